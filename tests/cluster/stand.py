"""The one-node Kubernetes that the tests of this folder run on, made by the scripts of another folder.

Those scripts are no part of this repository: KFP_PACHYDERM_CLUSTER_SCRIPTS says where they are,
../shared/cluster beside the checkout unless it is set. What they fetch and build stays in one folder,
KFP_PACHYDERM_STAND, and is taken from there by the next run.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SCRIPTS = Path(os.environ.get("KFP_PACHYDERM_CLUSTER_SCRIPTS", ROOT.parent / "shared" / "cluster"))
FOLDER = Path(os.environ.get("KFP_PACHYDERM_STAND", Path.home() / ".cache" / "kfp-pachyderm" / "stand"))
#: All that build.sh makes.
PROGRAMS = (
    "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy",
    "kubectl", "etcd", "coredns", "pause",
)  # fmt: skip


class StandError(Exception):
    """The stand does not do what the tests need of it."""


@dataclass(frozen=True)
class Stand:
    """A Kubernetes of one node in a folder.

    Args:
        folder: where setup.sh has laid it out.
    """

    folder: Path

    @classmethod
    def up(cls) -> Stand:
        """The stand, running; laid out and built where it is not yet, which takes half an hour."""
        stand = cls(FOLDER)
        if not (FOLDER / "up.sh").exists():
            _say(f"laying the stand out in {FOLDER}")
            _script(SCRIPTS / "setup.sh", str(FOLDER))
        if not all((FOLDER / "bin" / name).exists() for name in PROGRAMS):
            _say(f"building Kubernetes in {FOLDER}: half an hour the first time")
            _script(FOLDER / "build.sh")
        _script(FOLDER / "up.sh")
        return stand

    def kubectl(self, *arguments: str, stdin: str | None = None, timeout: float = 150) -> str:
        """What kubectl says.

        Raises:
            StandError: it ended with another code than 0.
        """
        done = subprocess.run(
            [self.folder / "bin" / "kubectl", "--kubeconfig", self.kubeconfig, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if done.returncode:
            raise StandError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    @cached_property
    def kubeconfig(self) -> str:
        """An administrator's."""
        return str(self.folder / "admin.kubeconfig")

    def apply(self, *objects: dict[str, Any]) -> None:
        """Makes objects, or changes them."""
        listed = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.kubectl("apply", "-f", "-", stdin=json.dumps(listed))

    def get(self, namespace: str, what: str) -> dict[str, Any]:
        """An object, like `pod/edges`."""
        return dict(json.loads(self.kubectl("-n", namespace, "get", what, "-o", "json")))

    def kill_pod(self, namespace: str, name: str) -> None:
        """Ends all processes of a pod at once, as a node without memory does."""
        uid = self.get(namespace, f"pod/{name}")["metadata"]["uid"]
        for path in Path("/proc").glob("[0-9]*/cgroup"):
            with contextlib.suppress(OSError):
                if f"pod{uid}" in path.read_text():
                    os.kill(int(path.parent.name), signal.SIGKILL)

    def pid(self, program: str) -> int:
        """The process that up.sh has started for a program of the control plane or the node."""
        return int((self.folder / "run" / f"{program}.pid").read_text())


def eventually(what: str, look: Callable[[], Any], seconds: float = 300) -> Any:
    """The first true answer.

    Args:
        what: what is waited for, as the error says it.
        look: asks; a StandError of it is no answer.
        seconds: how long.
    """
    end, seen = time.monotonic() + seconds, "nothing"
    while time.monotonic() < end:
        try:
            if answer := look():
                return answer
        except StandError as error:
            seen = str(error)
        time.sleep(0.3)
    raise StandError(f"{what}: not within {seconds:g} s; last seen: {seen}")


def _say(what: str) -> None:
    print(f"[test-cluster] {what}", flush=True)


def _script(path: Path, *arguments: str) -> None:
    """Runs one of the stand's scripts; what it says goes to a file, as its daemons keep what they inherit."""
    if not path.exists():
        raise StandError(f"there is no {path}: set KFP_PACHYDERM_CLUSTER_SCRIPTS to the stand's scripts")
    log = FOLDER.with_name(f"{FOLDER.name}-{path.stem}.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as target:
        done = subprocess.run([path, *arguments], stdout=target, stderr=subprocess.STDOUT)
    if done.returncode:
        raise StandError(f"{path} ended with {done.returncode}: {log.read_text()[-2000:]}")

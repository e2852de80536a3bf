"""The holder as the worker runs it: a process of its own, its source on the command line."""

from __future__ import annotations

import ast
import hashlib
import hmac
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import kfp_pachyderm
from kfp_pachyderm.errors import AttachError, AuthenticationError, HolderReplacedError, LeaseLostError
from kfp_pachyderm.launcher.attach.holder_client import BY_STATUS, HolderClient
from tests.waiting import PATIENCE, wait_for

SOURCE = (Path(kfp_pachyderm.__file__).parent / "holder.py").read_text()
TOKEN = "job-token"
JOB = "a" * 32
#: Seconds that a heartbeat of a busy machine keeps, too.
LEASE = 3.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


class Running:
    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process, self.url = process, f"http://127.0.0.1:{port}"
        self.client = HolderClient(self.url, TOKEN)

    def status(self) -> Any:
        return self.client.status(5)

    def post(self, action: str, **call: object) -> dict[str, Any]:
        return self.client.post(action, call, 5)

    def attach(self, session: str = "one") -> str:
        instance = self.status().instance
        self.post("attach", instance=instance, session=session, job=JOB)
        return str(instance)

    def end(self) -> tuple[int, str]:
        log, _ = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, log.decode()


def _pythons() -> list[str]:
    """The interpreters on this machine, from the oldest that the holder is written for."""
    named = (shutil.which(f"python3.{minor}") for minor in range(8, 20))
    found = {one for one in named if one and subprocess.run([one, "-V"], capture_output=True).returncode == 0}
    return sorted(found)


@contextmanager
def holder(python: str = sys.executable, source: str = SOURCE, **env: str) -> Iterator[Running]:
    port = free_port()
    settings = {"KFP_PACHYDERM_HOLDER_PORT": str(port), "KFP_PACHYDERM_HOLDER_HOST": "127.0.0.1"}
    process = subprocess.Popen(
        [python, "-I", "-S", "-c", source],
        env={**settings, "PACH_JOB_ID": JOB, "PACH_DATUM_ID": "d1", "PACH_TOKEN": TOKEN, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        assert process.stdout
        assert b"waits for its step" in process.stdout.readline()
        yield Running(process, port)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def running() -> Iterator[Running]:
    with holder() as one:
        yield one


def raw(url: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(url + path, data=body or None, headers=headers)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def signed(path: str, body: bytes, stamp: str, token: str = TOKEN) -> dict[str, str]:
    text = b"\n".join([b"POST", path.encode(), stamp.encode(), body])
    digest = hmac.new(token.encode(), text, hashlib.sha256).hexdigest()
    return {"Authorization": f"KFP-Pachyderm {digest}", "X-KFP-Pachyderm-Timestamp": stamp}


def test_status_says_who_it_is_and_no_credential(running: Running) -> None:
    status, answer = raw(running.url, "/v1/status")
    assert status == 200
    assert answer["job"] == JOB
    assert answer["datum"] == "d1"
    assert answer["version"] == 1
    assert answer["state"] == "waiting"
    assert answer["lease"] is None
    assert TOKEN not in json.dumps(answer)


def test_life_of_a_session_and_the_exit_code(running: Running) -> None:
    instance = running.attach()
    assert running.status().state == "attached"
    assert running.post("heartbeat", instance=instance, session="one") == {"lease": 30.0}
    answer = running.post("finish", instance=instance, session="one", exit_code=7, reason="it broke")
    assert answer == {"ended": True}
    code, log = running.end()
    assert code == 7
    assert "it broke" in log


def test_finish_0_ends_with_0(running: Running) -> None:
    instance = running.attach()
    running.post("finish", instance=instance, session="one", exit_code=0, reason="")
    assert running.end()[0] == 0


def test_texts_of_all_kinds_come_and_go() -> None:
    """Names of files and an error's text may hold any character, and what no encoding has."""
    strange = 'a "quote", a \\, a\tb, é, 😀, \udcff'
    with holder(KFP_PACHYDERM_PFS="/pfs", images=f"/pfs/{strange}") as one:
        assert one.status().files == {"images": strange}
        one.post("finish", instance=one.attach(), session="one", exit_code=7, reason=strange)
        code, log = one.end()
    assert code == 7
    assert 'a "quote", a \\, a\tb, é, 😀, ?' in log


@pytest.mark.parametrize("python", _pythons())
def test_other_pythons_run_it(python: str) -> None:
    with holder(python) as one:
        one.post("finish", instance=one.attach(), session="one", exit_code=7, reason='é "')
        assert one.end()[0] == 7


@pytest.mark.parametrize("module", ["_json", "re"])
def test_json_is_read_without_its_c_part_and_without_the_module(module: str) -> None:
    """The module `json` is asked only for what its C part does not take: it needs `re`, which loads long."""
    refuse = f"import _thread, sys\nsys.modules[{module!r}] = None\n"
    with holder(source=SOURCE.replace("import _thread\n", refuse)) as one:
        one.post("finish", instance=one.attach(), session="one", exit_code=7, reason='é "')
        assert one.end()[0] == 7


_FEW_FILES = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24))"
#: A limit of threads does not bind root, which tests may be.
_FEW_THREADS = """
real, left = _thread.start_new_thread, [1, 1, 1]
def start(function, given):
    if function is serve and left and left.pop():
        raise RuntimeError("can't start new thread")
    return real(function, given)
_thread.start_new_thread = start
"""


@pytest.mark.parametrize("few", [_FEW_FILES, _FEW_THREADS], ids=["files", "threads"])
def test_it_outlives_more_callers_than_it_can_serve(few: str) -> None:
    with holder(source=SOURCE.replace("import _thread\n", f"import _thread\n{few}\n")) as one:
        address = ("127.0.0.1", int(one.url.rpartition(":")[2]))
        callers = [socket.create_connection(address, PATIENCE) for _ in range(40)]
        if few is _FEW_FILES:
            wait_for(lambda: len(os.listdir(f"/proc/{one.process.pid}/fd")) >= 24)
        for caller in callers:
            caller.close()
        wait_for(lambda: not isinstance(_tried(one.status), Exception))
        one.post("finish", instance=one.attach(), session="one", exit_code=7)
        assert one.end()[0] == 7


def _tried(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:
        return error


def test_second_attach_is_refused_until_the_lease_is_gone_and_the_same_session_may(running: Running) -> None:
    instance = running.attach("one")
    with pytest.raises(AttachError, match="409"):
        running.post("attach", instance=instance, session="two", job=JOB)
    running.attach("one")
    with pytest.raises(AttachError, match="409"):
        running.post("finish", instance=instance, session="two", exit_code=0, reason="")
    assert running.process.poll() is None


def test_other_job_and_other_instance_are_told_apart(running: Running) -> None:
    instance = running.status().instance
    with pytest.raises(AttachError, match="421"):
        running.post("attach", instance=instance, session="one", job="b" * 32)
    with pytest.raises(HolderReplacedError, match="412"):
        running.post("attach", instance="old", session="one", job=JOB)


def test_wrong_or_missing_signature(running: Running) -> None:
    stranger = HolderClient(running.url, "default")
    instance = stranger.status(5).instance
    with pytest.raises(AuthenticationError):
        stranger.post("attach", {"instance": instance, "session": "x", "job": JOB}, 5)
    assert raw(running.url, "/v1/finish", b"{}")[0] == 401
    assert running.status().state == "waiting"


def test_signature_covers_the_body_and_the_path(running: Running) -> None:
    headers = signed("/v1/attach", b"{}", "0.5")
    assert raw(running.url, "/v1/attach", b"{ }", **headers)[0] == 401
    assert raw(running.url, "/v1/finish", b"{}", **headers)[0] == 401


def test_no_call_can_be_sent_twice(running: Running) -> None:
    instance, stamp = running.status().instance, f"{running.status().clock:.6f}"
    body = json.dumps({"instance": instance, "session": "one", "job": JOB}).encode()
    headers = signed("/v1/attach", body, stamp)
    assert raw(running.url, "/v1/attach", body, **headers)[0] == 200
    assert raw(running.url, "/v1/attach", body, **headers)[0] == 403


@pytest.mark.parametrize(
    ("stamp", "status"), [("5000.0", 403), ("-301", 403), ("nan", 403), ("now", 400), ("", 400)]
)
def test_timestamps_that_are_not_of_its_clock(running: Running, stamp: str, status: int) -> None:
    assert raw(running.url, "/v1/attach", b"{}", **signed("/v1/attach", b"{}", stamp))[0] == status


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/attach", b"not json", 400),
        ("/v1/attach", b"[]", 412),
        ("/v1/nothing", b"{}", 404),
        ("/v1/status", b"{}", 404),
    ],
)
def test_calls_that_make_no_sense(running: Running, path: str, body: bytes, status: int) -> None:
    stamp = f"{running.status().clock:.6f}"
    assert raw(running.url, path, body, **signed(path, body, stamp))[0] == status


@pytest.mark.parametrize("code", [256, -1, "0", None])
def test_exit_codes_that_are_none(running: Running, code: object) -> None:
    instance = running.attach()
    with pytest.raises(BY_STATUS[400]):
        running.post("finish", instance=instance, session="one", exit_code=code, reason="")


def test_no_attach_in_time_ends_it_as_failed() -> None:
    with holder(KFP_PACHYDERM_ATTACH_TIMEOUT="0.2") as one:
        code, log = one.end()
    assert code == 1
    assert "no step attached within 0.2 s" in log


def test_lost_lease_ends_it_as_failed_and_heartbeats_keep_it() -> None:
    with holder(KFP_PACHYDERM_LEASE=str(LEASE)) as one:
        instance = one.attach()
        over = one.status().clock + LEASE
        while one.status().clock <= over:
            one.post("heartbeat", instance=instance, session="one")
        assert one.process.poll() is None
        code, log = one.end()
    assert code == 1
    assert "lease lost" in log


def test_after_finish_nothing_else_counts(running: Running) -> None:
    # The process waits for its answer to leave, so a second call may still get in; it changes nothing.
    instance = running.attach()
    running.post("finish", instance=instance, session="one", exit_code=3, reason="first")
    with pytest.raises((LeaseLostError, AttachError)):
        running.post("finish", instance=instance, session="one", exit_code=0, reason="second")
    assert running.end()[0] == 3


def test_sigterm_ends_it(running: Running) -> None:
    running.process.send_signal(signal.SIGTERM)
    code, log = running.end()
    assert code == 143
    assert "SIGTERM" in log


def ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_ends_when_its_worker_is_gone() -> None:
    script = (
        "import subprocess, sys; p = subprocess.Popen([sys.executable, '-I', '-S', '-c', sys.argv[1]]);"
        "print(p.pid, flush=True); sys.stdin.read()"
    )
    env = {**os.environ, "KFP_PACHYDERM_HOLDER_PORT": "0", "KFP_PACHYDERM_HOLDER_HOST": "127.0.0.1"}
    worker = subprocess.Popen(
        [sys.executable, "-c", script, SOURCE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env
    )
    assert worker.stdout
    assert worker.stdin
    pid = int(worker.stdout.readline())
    assert b"waits" in worker.stdout.readline()
    worker.kill()
    worker.wait()
    wait_for(lambda: ended(pid), "the holder's end")
    worker.stdin.close()
    worker.stdout.close()


def test_a_caller_that_says_nothing_holds_up_nobody(running: Running) -> None:
    with socket.create_connection(("127.0.0.1", int(running.url.rpartition(":")[2]))) as silent:
        silent.sendall(b"POST /v1/fin")
        assert running.attach()


def test_a_call_has_one_deadline_for_all_that_it_does(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal handler has a second in all."""
    late, left = 0.1, list[float]()

    class Slow(socket.socket):
        def connect(self, address: Any) -> None:
            super().connect(address)
            time.sleep(late)

        def recv(self, *arguments: Any) -> bytes:
            left.append(self.gettimeout() or 0.0)
            return super().recv(*arguments)

    monkeypatch.setattr(socket, "socket", Slow)
    running.client.status(PATIENCE)
    assert left
    assert max(left) <= PATIENCE - late


def test_a_call_that_failed_does_not_make_the_next_one_ask_for_the_address(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS may take longer than a signal handler has; another address would be another holder's."""
    running.status()

    class Cut(socket.socket):
        def recv(self, *_: Any) -> bytes:
            raise TimeoutError("timed out")

    with monkeypatch.context() as patch:
        patch.setattr(socket, "socket", Cut)
        with pytest.raises(AttachError, match="timed out"):
            running.status()
    monkeypatch.delattr(socket, "getaddrinfo")
    running.attach()


def test_source_is_small_standard_library_only_and_old_python_reads_it() -> None:
    assert len(SOURCE.encode()) < 10_000
    tree = ast.parse(SOURCE, feature_version=(3, 8))
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert imported <= sys.stdlib_module_names
    assert "__file__" not in SOURCE

"""What KFP gives the launcher: inputs, outputs, and which run, task and attempt this is."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: The outputs that every step has in addition to its component's.
COMMIT, ARTIFACT = "commit", "pachyderm"
_LOCAL_OUTPUT_FILE = "executor_output.json"
_LOCAL_RUN = re.compile(r"(?P<pipeline>.+)-\d{4}(-\d\d){5}-\d{6}")
#: Where KFP's launcher keeps a bucket's artifact (KFP backend/src/v2/component/launcher_v2.go).
_MOUNTS = {"minio://": "/minio/", "s3://": "/s3/", "gs://": "/gcs/", "oci://": "/oci/"}


@dataclass(frozen=True)
class Identity:
    """Which KFP task this is.

    Args:
        pipeline: KFP pipeline's name.
        run: the run's ID; with kfp.local the run's folder.
        task: the task's name.
        salt: tells the executions of a task in a run apart (ParallelFor), not retries; "" with kfp.local.
        attempt: tells retries apart.
    """

    pipeline: str = ""
    run: str = ""
    task: str = ""
    salt: str = ""
    attempt: str = ""


@dataclass(frozen=True)
class Execution:
    """KFP's executor input.

    Args:
        data: the parsed JSON of `{{$}}`.
        identity: which task this is.
        command: the step's command with `{{$}}` in it, where KFP has put `data`.
    """

    data: dict[str, Any]
    identity: Identity
    command: tuple[str, ...] = ()

    def parameter(self, name: str) -> str:
        """The value of an input parameter that is a text; "" for any other value, or none."""
        value = self.value(name)
        return value if isinstance(value, str) else ""

    def value(self, name: str) -> Any:
        """The value of an input parameter of any type; None when it was left out."""
        return self.data.get("inputs", {}).get("parameterValues", {}).get(name)

    def input_artifact(self, name: str) -> dict[str, Any] | None:
        """An input artifact as KFP described it; None: no such input."""
        return _first(self.data.get("inputs", {}).get("artifacts", {}), name)

    def parameter_file(self, name: str) -> Path | None:
        """Where an output parameter's value is to be written; None: no such output."""
        found = self.data.get("outputs", {}).get("parameters", {}).get(name)
        return Path(found["outputFile"]) if found else None

    def artifact(self, name: str) -> dict[str, Any] | None:
        """An output artifact as KFP described it; None: no such output."""
        return _first(self.data.get("outputs", {}).get("artifacts", {}), name)

    @property
    def local(self) -> bool:
        """Whether kfp.local runs the task."""
        return self.output_file is not None and self.output_file.name == _LOCAL_OUTPUT_FILE

    @property
    def output_file(self) -> Path | None:
        """Where the executor's own output JSON is."""
        found = self.data.get("outputs", {}).get("outputFile")
        return Path(found) if found else None


def _first(artifacts: dict[str, Any], name: str) -> dict[str, Any] | None:
    found = artifacts.get(name, {}).get("artifacts")
    return dict(found[0]) if found else None


def local_path(uri: str) -> Path:
    """Returns the path of the file that KFP uploads to an artifact's URI."""
    for scheme, folder in _MOUNTS.items():
        if uri.startswith(scheme):
            return Path(folder + uri.removeprefix(scheme))
    return Path(uri)


def parse(text: str, env: Mapping[str, str] = os.environ, command: Sequence[str] = ()) -> Execution:
    """Reads KFP's executor input.

    Args:
        text: what KFP put in the place of `{{$}}`.
        env: the environment.
        command: the step's command.

    Raises:
        ValueError: it is no JSON.
    """
    try:
        data = json.loads(text)
    except ValueError as error:
        raise ValueError(
            f"what KFP says of the task is no JSON: {error}. kfp.local puts an output or a parameter into a "
            "list or a dict without escaping a double quote, a backslash or a line break in it "
            "(kfp/local/placeholder_utils.py, resolve_io_placeholders): pass it as a parameter of its own"
        ) from error
    placed = tuple(one.replace(text, "{{$}}") for one in command)
    return Execution(data, _identity(data.get("outputs", {}), env), placed)


def _identity(outputs: dict[str, Any], env: Mapping[str, str]) -> Identity:
    attempt = env.get("KFP_POD_UID") or f"local-{os.urandom(8).hex()}"
    if "KFP_RETRY_INDEX" in env:
        attempt += f"-{env['KFP_RETRY_INDEX']}"
    file = Path(outputs.get("outputFile", ""))
    if file.name == _LOCAL_OUTPUT_FILE:
        return _local(file, attempt)
    for path in (file.as_posix(), *_uris(outputs)):
        parts = path.split("/")[:-1]
        if len(parts) > 4:  # …/<pipeline>/<run>/<task>/<salt>/<file>: the scheme and bucket come before
            return Identity(parts[-4], parts[-3], parts[-2], parts[-1], attempt)
    return Identity(attempt=attempt)


def _local(file: Path, attempt: str) -> Identity:
    # Loops and nested pipelines add folders between the run's and the task's.
    above = [folder.name for folder in file.parent.parents]
    runs = (found for name in above if (found := _LOCAL_RUN.fullmatch(name)))
    found = next(runs, None)
    run = found[0] if found else above[0]
    return Identity(found["pipeline"] if found else run, run, file.parent.name, "", attempt)


def _uris(outputs: dict[str, Any]) -> list[str]:
    every = outputs.get("artifacts", {}).values()
    return [one["uri"] for listed in every for one in listed.get("artifacts", []) if "uri" in one]

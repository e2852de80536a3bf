"""How long after the launcher's start the step's S3 endpoint answers."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS = 9
#: The launcher's way to start the adapter, without the calls to Pachyderm, whose time is not the adapter's.
_PROGRAM = r"""
import sys, time
from kfp_pachyderm.fast_import import uncollected
from kfp_pachyderm.launcher.__main__ import spawn_adapter
with uncollected():
    spawned = spawn_adapter('{"kind": "step"}')
    import kfp_pachyderm.launcher.dispatch
    from kfp_pachyderm.adapter.config import AdapterConfig
    from kfp_pachyderm.adapter.control.process import AdapterProcess
with AdapterProcess(spawned) as process:
    config = AdapterConfig("grpc://127.0.0.1:9", "", "", {}, ("p", "r", "c"), {}, "k", "s", sys.argv[1])
    endpoint = process.configure(config, time.monotonic() + 60)
    import socket
    with socket.create_connection(("127.0.0.1", int(endpoint.rpartition(":")[2]))) as connection:
        connection.sendall(b"GET /out HTTP/1.1\r\nHost: here\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 403 ")
    print("ready", flush=True)
    sys.stdin.read()
"""


def _once(environment: dict[str, str]) -> float:
    command = [sys.executable, "-c", _PROGRAM, environment["PYTHONPYCACHEPREFIX"]]
    pipe = subprocess.PIPE
    begin = time.perf_counter()
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        if process.stdout.readline() != b"ready\n":
            raise RuntimeError("the adapter did not get ready")
        return time.perf_counter() - begin


def measure() -> float:
    """Median in seconds, interpreter starts included."""
    with tempfile.TemporaryDirectory() as folder:
        # pip compiles the modules that it installs; those of a clone may not be compiled yet
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": folder}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        _once(environment)
        return statistics.median(_once(environment) for _ in range(ROUNDS))

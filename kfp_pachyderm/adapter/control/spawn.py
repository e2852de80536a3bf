"""Starts the adapter's process. The launcher does that first of all, so this imports next to nothing."""

from __future__ import annotations

import os
import subprocess
import sys


def spawn() -> subprocess.Popen[bytes]:
    """The process, which loads its modules while the launcher loads its own; it ends when its stdin does."""
    # it must find what the launcher found, wherever that came from; one malloc arena for each of many
    # threads would keep megabytes that nobody uses
    search = os.pathsep.join(path for path in sys.path if path)
    environment = {**os.environ, "PYTHONPATH": search, "MALLOC_ARENA_MAX": "2"}
    # numpy is for large objects alone; its linear algebra would start a thread for each core
    environment["OPENBLAS_NUM_THREADS"] = "1"
    # gRPC tells the step's log at each end of a job that the sidecar closes its connections
    environment.setdefault("GRPC_VERBOSITY", "ERROR")
    # user code may look into the adapter's environment; the adapter works with the job's token
    environment.pop("KFP_PACHYDERM_TOKEN", None)
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "kfp_pachyderm.adapter"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
    )

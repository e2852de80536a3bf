"""Starts the adapter's process. The launcher does that first, so this module imports next to nothing."""

from __future__ import annotations

import os
import subprocess
import sys


def spawn() -> subprocess.Popen[bytes]:
    """Starts the process, which loads its modules while the launcher loads its own. It ends with stdin."""
    # The launcher may have been started with a search path of its own (the bootstrap's private folder): the
    # adapter gets the same one. glibc's malloc makes an arena for each of many threads, which keeps megabytes
    # that nobody uses: two are enough.
    search = os.pathsep.join(path for path in sys.path if path)
    environment = {**os.environ, "PYTHONPATH": search, "MALLOC_ARENA_MAX": "2"}
    # numpy only hashes large objects here; its linear algebra library would start a thread for each core
    environment["OPENBLAS_NUM_THREADS"] = "1"
    # at the end of each job the sidecar closes its connections, which gRPC would write to the step's log
    environment.setdefault("GRPC_VERBOSITY", "ERROR")
    # user code can read the adapter's environment (/proc); the adapter gets the job's token by its config
    environment.pop("KFP_PACHYDERM_TOKEN", None)
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "kfp_pachyderm.adapter"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
    )

"""`python -m kfp_pachyderm.embedded --data-dir DIR`: runs the embedded Pachyderm until it is told to end."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import logging
import os
import signal
import sys
import threading
from pathlib import Path

# The C core reads it when grpc is imported; user code is started without fork handlers of its own.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

from kfp_pachyderm.embedded.server import EmbeddedServer
from kfp_pachyderm.errors import PachydermError

_M_ARENA_MAX = -8


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m kfp_pachyderm.embedded", description=__doc__)
    parser.add_argument(
        "--data-dir", type=Path, required=True, help="where everything is kept; made when missing"
    )
    parser.add_argument("--port", type=int, default=0, help="gRPC port on 127.0.0.1 (0: any free one)")
    parser.add_argument("--exit-with-parent", action="store_true", help="end when standard input ends")
    return parser.parse_args()


def _log_to(folder: Path) -> None:
    handler = logging.FileHandler(folder / "server.log")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(handler)
    logging.getLogger("kfp_pachyderm").setLevel(logging.INFO)


def _keep_memory_small() -> None:
    # glibc otherwise keeps an arena per thread, and what one request freed never serves another.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)


def _watch_parent(end: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    end.set()


def main() -> int:
    """Runs the server; returns the exit code."""
    arguments = _arguments()
    _keep_memory_small()
    end = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: end.set())
    try:
        with EmbeddedServer(arguments.data_dir, arguments.port) as server:
            _log_to(server.data_dir)
            print(json.dumps(server.description), flush=True)
            if arguments.exit_with_parent:
                threading.Thread(target=_watch_parent, args=(end,), daemon=True).start()
            end.wait()
    except PachydermError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

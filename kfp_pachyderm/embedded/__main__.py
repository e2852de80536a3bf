"""`python -m kfp_pachyderm.embedded [serve|check|gc] --data-dir DIR`: runs the embedded Pachyderm until it is
told to end, looks its folder through, or removes what no commit needs any more."""

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
from kfp_pachyderm.embedded.store.check import check, collect
from kfp_pachyderm.errors import PachydermError

_M_ARENA_MAX = -8


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m kfp_pachyderm.embedded", description=__doc__)
    parser.add_argument("command", nargs="?", choices=("serve", "check", "gc"), default="serve")
    parser.add_argument(
        "--data-dir", type=Path, required=True, help="where everything is kept; made when missing"
    )
    parser.add_argument("--port", type=int, default=0, help="gRPC port on 127.0.0.1 (0: any free one)")
    parser.add_argument("--auth", action="store_true", help="turn auth on; root token in DATA_DIR/root-token")
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


def _check(folder: Path) -> int:
    report = check(folder)
    for problem in report.problems:
        print(problem)
    print(
        f"{len(report.problems)} problems in {report.files} files and {report.chunks} chunks; "
        f"{report.orphans} things ({report.orphan_bytes} bytes) that gc would remove"
    )
    return 1 if report.problems else 0


def _collect(folder: Path) -> int:
    report = collect(folder)
    print(f"removed {report.orphans} things ({report.orphan_bytes} bytes), kept {report.chunks} chunks")
    return 0


def _serve(arguments: argparse.Namespace) -> int:
    _keep_memory_small()
    end = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: end.set())
    with EmbeddedServer(arguments.data_dir, arguments.port, arguments.auth) as server:
        _log_to(server.data_dir)
        print(json.dumps(server.description), flush=True)
        if arguments.exit_with_parent:
            threading.Thread(target=_watch_parent, args=(end,), daemon=True).start()
        end.wait()
    return 0


def main() -> int:
    """Does what the command line says; returns the exit code."""
    arguments = _arguments()
    try:
        if arguments.command == "check":
            return _check(arguments.data_dir)
        return _collect(arguments.data_dir) if arguments.command == "gc" else _serve(arguments)
    except PachydermError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())

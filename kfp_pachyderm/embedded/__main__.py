"""Runs the embedded Pachyderm until a signal ends it, or checks or cleans its folder while no server uses it.

serve: a server for programs. dev: a server for a person at a terminal. fresh: one server after the other in
one process, for tests.
check: reads every file and compares it with its hash. gc: removes what no commit needs any more.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import logging
import os
import sys
import threading
from pathlib import Path

# grpc's C core reads this variable when grpc is imported. Its fork handlers are not needed: the server forks
# only to execute user code.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

from kfp_pachyderm.embedded.announce import JsonLines, welcome
from kfp_pachyderm.embedded.server import EmbeddedServer
from kfp_pachyderm.embedded.store.check import check, collect
from kfp_pachyderm.ending import Ending
from kfp_pachyderm.errors import PachydermError
from kfp_pachyderm.fast_import import SWITCH

logger = logging.getLogger("kfp_pachyderm.embedded")

_M_ARENA_MAX = -8


def _arguments() -> argparse.Namespace:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m kfp_pachyderm.embedded", None, __doc__, formatter_class=raw)
    parser.add_argument(
        "command", nargs="?", choices=("serve", "dev", "fresh", "check", "gc"), default="serve"
    )
    parser.add_argument("--data-dir", type=Path, help="where everything is kept; made when missing")
    parser.add_argument("--port", type=int, default=0, help="gRPC port (0: any free one)")
    parser.add_argument("--host", default="127.0.0.1", help="IPv4 address to listen on; 0.0.0.0: all")
    parser.add_argument("--auth", action="store_true", help="turn auth on; root token in DATA_DIR/root-token")
    parser.add_argument("--exit-with-parent", action="store_true", help="end when standard input ends")
    found = parser.parse_args()
    if found.data_dir is None and found.command != "fresh":
        parser.error("the following arguments are required: --data-dir")
    return found


def _log_to(*handlers: logging.Handler) -> None:
    for handler in handlers:
        handler.setFormatter(JsonLines())
        logging.getLogger().addHandler(handler)
    logging.getLogger("kfp_pachyderm").setLevel(logging.INFO)


def _keep_memory_small() -> None:
    # By default glibc has an arena for each thread, and memory that was freed in one never serves another.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)


def _watch_parent(end: Ending) -> None:
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
    where = (arguments.data_dir, arguments.port, arguments.auth, arguments.host)
    with Ending() as end, EmbeddedServer(*where) as server:
        file = logging.FileHandler(server.data_dir / "server.log")
        if arguments.command == "dev":
            print(welcome(server), end="\n\n", flush=True)
            _log_to(file, logging.StreamHandler())
        else:
            print(json.dumps(server.description), flush=True)
            _log_to(file)
        if arguments.exit_with_parent:
            threading.Thread(target=_watch_parent, args=(end,), daemon=True).start()
        end.wait()
        logger.info("stopping")
    return 0


def _serve_fresh() -> int:
    """Closes the running server at each line of standard input; opens the next on the folder that it names.

    An empty line opens none.
    """
    _keep_memory_small()
    with contextlib.ExitStack() as current:
        for line in sys.stdin:
            current.close()
            folder, answer = line.rstrip("\n"), {}
            if folder:
                try:
                    answer = dict(current.enter_context(EmbeddedServer(Path(folder))).description)
                except PachydermError as error:
                    answer = {"error": str(error)}
            print(json.dumps(answer), flush=True)
    return 0


def main() -> int:
    """Does what the command line says; returns the exit code."""
    arguments = _arguments()
    sys.setswitchinterval(SWITCH)
    try:
        if arguments.command == "fresh":
            return _serve_fresh()
        if arguments.command == "check":
            return _check(arguments.data_dir)
        return _collect(arguments.data_dir) if arguments.command == "gc" else _serve(arguments)
    except PachydermError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())

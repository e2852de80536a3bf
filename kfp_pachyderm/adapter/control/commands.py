"""The adapter's process: reads requests as JSON lines on stdin, answers on stdout, ends when stdin closes."""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import threading
from contextlib import suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, NoReturn

from kfp_pachyderm.fast_import import StandIn, real, uncollected
from kfp_pachyderm.s3.http import BACKLOG

if TYPE_CHECKING:
    from kfp_pachyderm.adapter.control.session import Session

log = logging.getLogger("kfp_pachyderm.adapter")


def _version(of: str) -> Any:
    return "unknown" if of == "cheroot" else real("importlib.metadata").version(of)


class _Process:
    def __init__(self) -> None:
        # stdout carries the answers, so what any library prints goes to stderr, the step's log
        self._answers = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)
        self._asked = SimpleQueue[dict[str, Any]]()
        #: The session once it is configured.
        self._session: Session | None = None

    def run(self) -> NoReturn:
        threading.Thread(target=self._listen, daemon=True).start()
        # cheroot reads its version by importlib.metadata, which takes longer than the rest of its import
        with uncollected(), StandIn("importlib.metadata", version=_version):
            from kfp_pachyderm.adapter.control.session import Session
        session = Session(self._tell)
        while True:
            self._do(session, self._asked.get())

    def _do(self, session: Session, request: dict[str, Any]) -> None:
        if request["op"] == "configure":
            self._configure(session, request)
        elif request["op"] == "move":
            session.move(request["sidecar"], request["sidecar_s3"])
        else:
            self._tell(session.answer(request))

    def _configure(self, session: Session, request: dict[str, Any]) -> None:
        try:
            session.configure(request["config"], request["listener"])
        except BaseException:
            # The launcher has its answer already. It ends the step when this process ends.
            log.exception("the adapter can't serve the step")
            os._exit(1)
        self._session = session

    def _listen(self) -> None:
        """Queues the launcher's requests, and carries out at once what must not wait.

        The endpoint is told before anything serves it: clients wait in the socket's backlog. A move must
        reach a flush that is under way. The end of stdin is the process's.
        """
        for line in sys.stdin:
            request = json.loads(line)
            if request["op"] == "configure":
                request["listener"] = listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
                self._tell({"ok": {"endpoint": f"http://127.0.0.1:{listener.getsockname()[1]}"}})
            if request["op"] == "move" and self._session is not None:
                self._session.move(request["sidecar"], request["sidecar_s3"])
            else:
                self._asked.put(request)
        os._exit(0)

    def _tell(self, said: dict[str, Any]) -> None:
        # the launcher has ended; stdin closes too, which ends this process
        with suppress(BrokenPipeError):
            print(json.dumps(said), file=self._answers, flush=True)


def main() -> NoReturn:
    """Serves one step, until stdin closes."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(name)s: %(message)s")
    _Process().run()

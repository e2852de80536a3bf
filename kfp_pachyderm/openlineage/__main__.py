"""`python -m kfp_pachyderm.openlineage`: sends the events that the launcher writes to its stdin.

stdin ends when the launcher ends. If a run has no last event by then, the launcher was killed, and the
process sends ABORT for it. Events that can't be sent within `AFTER` seconds after stdin's end are lost.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

from kfp_pachyderm.openlineage.facts import Facts, now, read

if TYPE_CHECKING:
    from openlineage.client import OpenLineageClient

#: The process ends at most so many seconds after the launcher.
AFTER = 10.0
_KILLED = "the launcher was killed"


class Teller:
    """Writes each text once to stdout. The launcher reads it there, and writes it into the step's log."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def __call__(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            with suppress(OSError):
                os.write(1, f"{text}\n".encode())


def main() -> None:
    """Sends all events. Returns after the last, or at once if no event can be sent."""
    tell, queue = Teller(), SimpleQueue[Facts | None]()
    threading.Thread(target=_listen, args=(queue,), daemon=True).start()
    # This import takes long, so the thread that reads the launcher's pipe starts before it.
    from kfp_pachyderm.openlineage.library import NoEvents, client, why

    with tempfile.TemporaryDirectory(
        prefix="kfp-pachyderm-openlineage-", ignore_cleanup_errors=True
    ) as folder:
        try:
            sending = client(Path(folder), tell)
        except NoEvents as error:
            tell(str(error))
            return
        except Exception as error:
            tell(f"no events are sent: {why(error)}")
            return
        send_all(queue, sending, tell)


def _listen(queue: SimpleQueue[Facts | None]) -> None:
    open_runs: dict[str, Facts] = {}
    for line in sys.stdin.buffer:
        facts = read(line)
        if facts.event == "START":
            open_runs[facts.job] = facts
        else:
            open_runs.pop(facts.job, None)
        queue.put(facts)
    for facts in open_runs.values():
        queue.put(replace(facts, event="ABORT", time=now(), reason=_KILLED))
    queue.put(None)
    time.sleep(AFTER)
    # The library may still wait for a connection, for DNS or for a server's answer.
    os._exit(1)


def send_all(queue: SimpleQueue[Facts | None], sending: OpenLineageClient, tell: Teller) -> None:
    """Sends the events in their order. An event that can't be sent is reported by `tell`."""
    from kfp_pachyderm.openlineage.event import event
    from kfp_pachyderm.openlineage.library import why

    for facts in iter(queue.get, None):
        try:
            sending.emit(event(facts))
        except Exception as error:
            tell(f"{facts.event} of {facts.job_name} could not be sent: {why(error)}")
    with suppress(Exception):
        sending.close(AFTER)


if __name__ == "__main__":
    try:
        main()
    finally:
        # The library's threads and the thread that reads stdin must not delay the end.
        os._exit(0)

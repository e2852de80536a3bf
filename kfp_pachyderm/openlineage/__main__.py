"""`python -m kfp_pachyderm.openlineage`: sends the events that the launcher writes to its stdin.

stdin ends when the launcher ends. A run without a last event by then is reported as ABORT: the launcher was
killed. Events that can't be sent within `AFTER` seconds from then are lost.
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

#: Seconds that the process outlives the launcher at most.
AFTER = 10.0
_KILLED = "the launcher was killed"


class Teller:
    """Tells the launcher, which writes it into the step's log; each text once."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def __call__(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            with suppress(OSError):
                os.write(1, f"{text}\n".encode())


def main() -> None:
    """Sends all events, and returns when the last is sent."""
    tell, queue = Teller(), SimpleQueue[Facts | None]()
    threading.Thread(target=_listen, args=(queue,), daemon=True).start()
    # Loaded only now, as it takes long: the launcher's pipe is being read.
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
    """Sends event after event, in their order; what fails is told."""
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
        # Threads must not hold up the end: the library's, and the one that still reads.
        os._exit(0)

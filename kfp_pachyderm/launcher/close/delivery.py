"""Delivers everything that the child wrote into the output commit of the attached holder."""

from __future__ import annotations

import time

from kfp_pachyderm.errors import TemporaryError
from kfp_pachyderm.launcher.attach.session import Session
from kfp_pachyderm.launcher.gateway.endpoint import Gateway


class Delivery:
    """Delivers to the attached holder. A new holder has an empty output commit and gets everything again.

    Args:
        session: the attached session.
        gateway: the child's S3.
        timeout: seconds for each delivery.
    """

    def __init__(self, session: Session, gateway: Gateway, timeout: float) -> None:
        self._session, self._gateway, self._timeout = session, gateway, timeout
        self._generation = session.generation

    def deliver(self) -> None:
        """Returns when everything is in the attached holder's commit, with the heartbeat stopped.

        Raises:
            PachydermError: the job can't be saved.
        """
        while True:
            generation = self._session.generation
            again = generation != self._generation
            try:
                self._gateway.deliver(again, self._timeout)
            except TemporaryError as error:
                self._session.recover(error, time.monotonic() + self._timeout)
                self._session.raise_problem()
                if self._session.generation == generation:
                    raise
                continue
            self._session.stop_beating()
            self._session.raise_problem()
            self._generation = generation
            if self._session.generation == generation:
                return
            self._session.start_beating()

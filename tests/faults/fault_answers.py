"""A pachd that answers a call with an error of its own where a test wants it, its work done or not."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import grpc

from tests.faults.fault_pachd import FaultyPachd, Rewrite


@dataclass(frozen=True)
class Wrong:
    """An answer instead of the right one.

    Args:
        text: what comes as UNKNOWN.
        carried_out: whether the call has done its work all the same.
    """

    text: str
    carried_out: bool


#: From a call's name and its first request to what is answered instead.
Plan = Callable[[str, bytes], Wrong | None]


class AnsweringPachd(FaultyPachd):
    """Passes gRPC on as bytes, but for what the plan says. A context manager.

    Args:
        target: "host:port" of pachd, or of a sidecar.
        plan: asked once for every call.
        rewrite: replaces an answer.
    """

    def __init__(self, target: str, plan: Plan, rewrite: Rewrite = lambda _, answer: answer) -> None:
        self._plan = plan
        super().__init__(target, rewrite)

    def _pass(self, path: str, requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
        first, method = next(requests, b""), path.rpartition("/")[2]
        every = itertools.chain([first], requests)
        wrong = self._plan(method, first)
        if wrong is None:
            yield from super()._pass(path, every, context)
            return
        if wrong.carried_out:
            list(self._ask(path, method, every, context))
        context.abort(grpc.StatusCode.UNKNOWN, wrong.text)

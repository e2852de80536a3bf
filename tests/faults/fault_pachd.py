"""A pachd that passes every call on, and fails, is slow or says other addresses where a test wants it so."""

from __future__ import annotations

import contextlib
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from pachyderm_sdk.api import transaction

_DAY = 86_400.0

#: From a call's name and its first answer to another answer.
Rewrite = Callable[[str, bytes], bytes]


class FaultyPachd:
    """Passes gRPC on as bytes. A context manager.

    Args:
        target: pachd's "host:port".
        rewrite: replaces an answer.
    """

    def __init__(self, target: str, rewrite: Rewrite = lambda _, answer: answer) -> None:
        self._rewrite = rewrite
        self._channel = grpc.insecure_channel(target, options=[("grpc.max_reconnect_backoff_ms", 200)])
        self._server = grpc.server(ThreadPoolExecutor(32), [_Everything(self._pass)])
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._lock = threading.Lock()
        self._before: dict[str, Callable[[], None]] = {}
        self._lost: dict[str, list[bool]] = {}
        self._refused: dict[str, Callable[[bytes], bool]] = {}
        self._late: dict[str, threading.Event] = {}
        self.delay = 0.0
        self.calls = 0
        self.called: list[str] = []
        self.transactions: set[str] = set()
        self._server.start()

    def before(self, method: str, act: Callable[[], None]) -> None:
        """Acts once, before the next call of this name is passed on."""
        self._before[method] = act

    def lose(self, method: str, carried_out: list[bool]) -> None:
        """Fails one call after the other of this name; True: it is carried out, and only its answer lost."""
        self._lost[method] = carried_out

    def refuse(self, method: str, refused: Callable[[bytes], bool]) -> None:
        """Fails each call of this name whose request is refused."""
        self._refused[method] = refused

    def answer_too_early(self, method: str) -> threading.Event:
        """The next call of this name met its deadline, it is said; it is carried out once this is set."""
        return self._late.setdefault(method, threading.Event())

    def __enter__(self) -> FaultyPachd:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(None)
        self._channel.close()

    def _pass(self, path: str, requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
        method = path.rpartition("/")[2]
        with self._lock:
            self.calls += 1
            self.called.append(method)
            act = self._before.pop(method, None)
            losses = self._lost.get(method)
            loss = losses.pop(0) if losses else None
            late = self._late.pop(method, None)
        if act:
            act()
        time.sleep(self.delay)
        if late:
            first = next(requests)
            threading.Thread(target=self._carry_out, args=(path, first, late), daemon=True).start()
            context.abort(grpc.StatusCode.UNKNOWN, "context deadline exceeded")
        if method in self._refused:
            first = next(requests)
            requests = itertools.chain([first], requests)
            loss = False if self._refused[method](first) else loss
        if loss is False:
            text = "pq: SQLSTATE 25P02: current transaction is aborted"
            context.abort(grpc.StatusCode.UNKNOWN, text)
        answers = self._ask(path, method, requests, context)
        if loss:
            list(answers)
            context.abort(grpc.StatusCode.UNAVAILABLE, "connection reset by peer")
        yield from answers

    def _carry_out(self, path: str, request: bytes, late: threading.Event) -> None:
        late.wait()
        list(self._channel.stream_stream(path)(iter([request])))
        late.clear()

    def _ask(self, path: str, method: str, requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
        headers = [(key, value) for key, value in context.invocation_metadata() if key != "user-agent"]
        # gRPC gives a call without a deadline some centuries, and takes no such timeout
        seconds = min(context.time_remaining() or _DAY, _DAY)
        call = self._channel.stream_stream(path)(requests, metadata=headers, timeout=seconds)
        context.add_callback(call.cancel)
        try:
            for answer in call:
                self._note(method, answer)
                yield self._rewrite(method, answer)
        except grpc.RpcError as error:
            context.abort(error.code(), error.details())

    def _note(self, method: str, answer: bytes) -> None:
        if method == "StartTransaction":
            self.transactions.add(transaction.Transaction().parse(answer).id)


class _Everything(grpc.GenericRpcHandler):
    def __init__(self, handle: Callable[[str, Iterator[bytes], Any], Iterator[bytes]]) -> None:
        self._handle = handle

    def service(self, details: Any) -> Any:
        path = details.method
        return grpc.stream_stream_rpc_method_handler(
            lambda requests, context: self._handle(path, requests, context)
        )


def announced(route: Callable[[str, str], str]) -> Rewrite:
    """Leads the addresses that the locator says over other routes: kind and URL to another URL."""

    def rewrite(method: str, answer: bytes) -> bytes:
        if method != "Locate":
            return answer
        with contextlib.suppress(ValueError):
            return json.dumps({kind: route(kind, url) for kind, url in json.loads(answer).items()}).encode()
        return answer

    return rewrite

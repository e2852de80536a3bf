"""Makes gRPC handlers of tables of calls, and status codes of refusals."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, NoReturn, Protocol

import betterproto.lib.google.protobuf as google
import grpc

from kfp_pachyderm.embedded import deadline
from kfp_pachyderm.embedded.services.whole_streams import take_rest, whole
from kfp_pachyderm.embedded.status import Refused

logger = logging.getLogger(__name__)


class Context(Protocol):
    """The part of grpc.ServicerContext that handlers use; grpc has no type information."""

    def add_callback(self, callback: Callable[[], None]) -> bool:
        """Has `callback` called when the call ends."""

    def is_active(self) -> bool:
        """Whether the client still waits."""

    def time_remaining(self) -> float | None:
        """Seconds until the client's deadline; None: it has none."""

    def invocation_metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        """The request's headers."""

    def abort(self, code: grpc.StatusCode, details: str) -> NoReturn:
        """Ends the call with a status."""

    def code(self) -> grpc.StatusCode | None:
        """The status that was set, if any."""


Kind = Literal["unary", "stream", "upload", "both"]

#: A ModifyFile message of the SDK holds 19 MiB; pachd's own limit is 20 MiB.
MAX_MESSAGE = 64 * 2**20

OPTIONS = [
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    ("grpc.max_send_message_length", MAX_MESSAGE),
    ("grpc.so_reuseport", 0),
    # By default gRPC reads up to 30 MiB of an upload ahead of a handler that waits for the disk.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 2**20),
    # Pachyderm's servers allow this (src/internal/grpcutil/server.go); grpc's default is 5 minutes.
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
]

Empty = google.Empty
Server = grpc.Server


@dataclass(frozen=True)
class Call:
    """One method: `function(request, context)` returns a message, or an iterator of messages.

    Args:
        function: the implementation. "upload" and "both" get an iterator of requests.
        parse: makes a request of bytes.
        kind: who streams: nobody ("unary"), the server ("stream"), the client ("upload"), "both".
        write: makes bytes of a response.
    """

    function: Callable[[Any, Context], Any]
    parse: Callable[[bytes], Any]
    kind: Kind = "unary"
    write: Callable[[Any], bytes] = bytes


Calls = dict[str, Call]

#: Checks a call before it does anything, in its thread. It gets "service/method", and raises to refuse.
Gate = Callable[[str, Context], None]


def message(kind: type[Any]) -> Callable[[bytes], Any]:
    """A parser for one betterproto message type."""
    return lambda data: kind().parse(data)


def unary(function: Callable[[Any, Context], Any], request: type[Any]) -> Call:
    """A call with one request and one answer."""
    return Call(function, message(request))


def stream(function: Callable[[Any, Context], Iterator[Any]], request: type[Any]) -> Call:
    """A call with one request and a stream of answers."""
    return Call(function, message(request), "stream")


def already_bytes(data: bytes) -> bytes:
    """Returns its argument: the `write` of answers that are encoded by hand."""
    return data


#: Calls that answer DEADLINE_EXCEEDED at the client's deadline (Pachyderm
#: src/server/pps/server/api_server.go, listJob and listPipeline); all others answer UNKNOWN.
_WITH_DEADLINE_CODE = ("pps_v2.API/ListJob", "pps_v2.API/ListPipeline")


def refuse(context: Context, name: str, error: Exception) -> NoReturn:
    """Ends a call with the status that an exception stands for."""
    if isinstance(error, deadline.DeadlineExceeded) and name in _WITH_DEADLINE_CODE:
        context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, error.text)
    if isinstance(error, Refused):
        context.abort(grpc.StatusCode[error.code], error.text)
    if not context.is_active():
        context.abort(grpc.StatusCode.CANCELLED, f"{name}: the client went away")
    if isinstance(error, sqlite3.OperationalError) and "full" in str(error):
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{name}: {error}; nothing was changed")
    logger.exception("%s failed", name)
    context.abort(grpc.StatusCode.INTERNAL, f"{name}: internal error of the embedded Pachyderm: {error!r}")


def _guard_unary(name: str, call: Call, gate: Gate) -> Callable[[Any, Context], Any]:
    def run(request: Any, context: Context) -> Any:
        try:
            deadline.enter(context.time_remaining())
            gate(name, context)
            given = whole(request, context) if call.kind == "upload" else call.parse(request)
            return call.function(given, context)
        except Exception as error:
            # grpc's own `abort` raises a bare Exception, too. Raised again, it ends the call with its status.
            if context.code() is not None:
                raise
            if call.kind == "upload":
                take_rest(request, context.time_remaining())
            refuse(context, name, error)

    return run


def _guard_stream(name: str, call: Call, gate: Gate) -> Callable[[Any, Context], Iterator[Any]]:
    def run(request: Any, context: Context) -> Iterator[Any]:
        try:
            deadline.enter(context.time_remaining())
            gate(name, context)
            for answer in call.function(request if call.kind == "both" else call.parse(request), context):
                deadline.check()
                yield answer
        except Exception as error:
            if context.code() is not None:
                raise
            if call.kind == "both":
                take_rest(request, context.time_remaining())
            refuse(context, name, error)

    return run


def _handler(name: str, call: Call, gate: Gate) -> grpc.RpcMethodHandler:
    # grpc would parse a single request in the one thread that takes all calls: the call's own thread does it.
    if call.kind == "stream":
        return grpc.unary_stream_rpc_method_handler(_guard_stream(name, call, gate), None, call.write)
    if call.kind == "both":
        return grpc.stream_stream_rpc_method_handler(_guard_stream(name, call, gate), call.parse, call.write)
    if call.kind == "upload":
        return grpc.stream_unary_rpc_method_handler(_guard_unary(name, call, gate), call.parse, call.write)
    return grpc.unary_unary_rpc_method_handler(_guard_unary(name, call, gate), None, call.write)


class _Router(grpc.GenericRpcHandler):  # type: ignore[misc]
    def __init__(self, services: dict[str, Calls], gate: Gate) -> None:
        self._handlers = {
            f"/{service}/{name}": _handler(f"{service}/{name}", call, gate)
            for service, calls in services.items()
            for name, call in calls.items()
        }

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        return self._handlers.get(details.method) or self._absent(details.method)

    def _absent(self, method: str) -> grpc.RpcMethodHandler:
        text = f"{method.lstrip('/')} is not implemented by the embedded Pachyderm"

        def refuse(requests: Iterator[bytes], context: Context) -> Iterator[bytes]:
            take_rest(requests, context.time_remaining())
            context.abort(grpc.StatusCode.UNIMPLEMENTED, text)
            yield b""

        return grpc.stream_stream_rpc_method_handler(refuse)


def serve(
    services: dict[str, Calls], host: str, port: int, threads: int, gate: Gate
) -> tuple[grpc.Server, int]:
    """Starts a gRPC server.

    Args:
        services: wire name of a service → its calls.
        host: the IPv4 address to listen on.
        port: 0: any free one.
        threads: how many calls run at once, those that wait included.
        gate: checks every call.

    Returns:
        The running server and its port.

    Raises:
        OSError: the port is taken.
    """
    server = grpc.server(ThreadPoolExecutor(threads, "grpc"), [_Router(services, gate)], options=OPTIONS)
    try:
        bound = server.add_insecure_port(f"{host}:{port}")
    except RuntimeError as error:
        raise OSError(f"port {port} on {host} can't be listened on: {error}") from error
    server.start()
    return server, bound

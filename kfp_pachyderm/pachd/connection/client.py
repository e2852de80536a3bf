"""The connection to pachd: pachyderm_sdk's stubs over a channel that adds timeouts, retries, our errors."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import grpc

from kfp_pachyderm.errors import (
    PachydermUnreachableError,
    ProtocolError,
    TemporaryError,
    UnknownAnswerError,
)
from kfp_pachyderm.pachd.connection.address import Address
from kfp_pachyderm.pachd.connection.status_codes import translated

#: The usual timeout of one call, in seconds.
CALL_TIMEOUT = 30.0
#: Seconds after which `connect` gives up an address that does not answer.
CONNECT_TIMEOUT = 10.0
#: Seconds that pachd may be unreachable after it has answered once: it restarts, or moves to another node.
GRACE = 60.0
#: The longest and the shortest timeout of a call that checks whether pachd is back, in seconds.
_LOOK, _SHORT_LOOK = 3.0, 1.0

#: The first and the longest pause between two tries of a call, in seconds; the try that the user is told of.
_PAUSE, _LONGEST_PAUSE, _TOLD_TRY = 0.05, 1.0, 3
#: The beginnings of the names of calls that are safe to repeat: they only read, or set something to a value,
#: or change nothing the second time.
_HARMLESS = ("Inspect", "List", "Walk", "Glob", "GetFile", "WhoAmI", "Locate", "EditMetadata", "StopJob")

if TYPE_CHECKING:
    from kfp_pachyderm.pachd.sdk import admin, auth, metadata, pfs, pps, transaction, version

T = TypeVar("T")
logger = logging.getLogger(__name__)

_OPTIONS = (
    ("grpc.max_receive_message_length", 64 * 2**20),
    ("grpc.max_send_message_length", 64 * 2**20),
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2000),
)


#: Call → the error texts that the user has been told; a call's texts are removed once it succeeds.
Told = dict[str, set[str]]


def repeated(attempt: Callable[[float], T], seconds: float, what: str, told: Told) -> T:
    """Repeats an attempt while it fails with errors that may pass, and returns its result.

    Args:
        attempt: makes one try. Its argument is the seconds that are left.
        seconds: the longest time for all tries.
        what: the call's name, for the user.
        told: the error texts that the user has been told on this connection; they are not told again.

    Raises:
        PachydermError: the error of the last attempt.
    """
    until, pause, tries, away = time.monotonic() + seconds, _PAUSE, 1, float("inf")
    while True:
        try:
            found = attempt(until - time.monotonic())
            told.pop(what, None)
            return found
        except TemporaryError as error:
            if isinstance(error, PachydermUnreachableError):
                error.since = away = min(away, error.since)
            if time.monotonic() + pause >= until:
                raise
            if tries == _TOLD_TRY and str(error) not in told.setdefault(what, set()):
                told[what].add(str(error))
                logger.warning("%s; trying again", error)
        time.sleep(pause)
        pause, tries = min(2 * pause, _LONGEST_PAUSE), tries + 1


class _Channel:
    """A channel for the SDK's stubs. It adds a timeout, the token, retries and our errors to every call.

    Args:
        channel: the gRPC channel.
        address: pachd's URL, for error messages.
        timeout: the timeout of one call, in seconds.
        again: seconds for which a call that is safe to repeat is tried again after errors that may pass.
        told: as of `repeated`.
        ends: `time.monotonic()` at which all calls end.
        options: further arguments of every gRPC call.
    """

    def __init__(
        self,
        channel: grpc.Channel,
        address: str,
        timeout: float,
        again: float,
        told: Told,
        ends: float,
        **options: Any,
    ) -> None:
        self._channel, self._address, self._options = channel, address, options
        self._longest, self._again, self._told, self._ends = timeout, again, told, ends

    @property
    def _timeout(self) -> float:
        return min(self._longest, max(self._ends - time.monotonic(), 0.001))

    def unary_unary(
        self, method: str, request_serializer: Any, response_deserializer: Any
    ) -> Callable[..., Any]:
        return self._answered(
            method, self._channel.unary_unary(method, request_serializer, response_deserializer)
        )

    def stream_unary(
        self, method: str, request_serializer: Any, response_deserializer: Any
    ) -> Callable[..., Any]:
        return self._answered(
            method, self._channel.stream_unary(method, request_serializer, response_deserializer)
        )

    def unary_stream(
        self, method: str, request_serializer: Any, response_deserializer: Any
    ) -> Callable[..., Any]:
        return self._streamed(
            method, self._channel.unary_stream(method, request_serializer, response_deserializer)
        )

    def stream_stream(
        self, method: str, request_serializer: Any, response_deserializer: Any
    ) -> Callable[..., Any]:
        return self._streamed(
            method, self._channel.stream_stream(method, request_serializer, response_deserializer)
        )

    def _answered(self, method: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def once(request: Any, seconds: float) -> Any:
            with translated(self._address, method):
                return call(request, timeout=min(seconds, self._timeout), **self._options)

        def ask(request: Any) -> Any:
            if not self._may_repeat(method):
                return once(request, self._timeout)
            return repeated(lambda seconds: once(request, seconds), self._patience, method, self._told)

        return ask

    @property
    def _patience(self) -> float:
        return min(self._again, self._ends - time.monotonic())

    def _may_repeat(self, method: str) -> bool:
        return self._again > 0 and method.rpartition("/")[2].startswith(_HARMLESS)

    def _streamed(self, method: str, call: Callable[..., Any]) -> Callable[..., Iterator[Any]]:
        def opened(request: Any) -> tuple[Iterator[Any], list[Any]]:
            """Opens the stream and waits for its first answer. Later errors are not retried here."""
            with translated(self._address, method):
                answers = call(request, timeout=self._timeout, **self._options)
                return answers, [one for one in [next(answers, None)] if one is not None]

        def ask(request: Any) -> Iterator[Any]:
            if self._may_repeat(method):
                answers, first = repeated(lambda _: opened(request), self._patience, method, self._told)
            else:
                answers, first = opened(request)
            yield from first
            with translated(self._address, method):
                yield from answers

        return ask


class Pachd:
    """A connection to pachd, or to a job's sidecar, with pachyderm_sdk's generated stubs.

    It is a context manager, and safe for many threads.

    Args:
        address: pachd's address.
        channel: an open channel to share; None: a new one.
        timeout: the timeout of each call, in seconds.
        transaction_id: the transaction that every call joins; "": none.
        wait: whether a call waits, up to its timeout, for a connection that is down.
        grace: seconds that pachd may be unreachable before waits give up.
        again: seconds for which a call that is safe to repeat is tried again after errors that may pass.
        told: the errors that the user has been told; None: none yet.
        ends: `time.monotonic()` at which all calls end.
    """

    def __init__(
        self,
        address: Address,
        *,
        channel: grpc.Channel | None = None,
        timeout: float = CALL_TIMEOUT,
        transaction_id: str = "",
        wait: bool = True,
        grace: float = GRACE,
        again: float = 0.0,
        told: Told | None = None,
        ends: float = float("inf"),
    ) -> None:
        self.address, self.grace, self.ends = address, grace, ends
        #: Whether it has said that it is not the embedded one; asked by whoever needs to know.
        self.in_cluster = False
        self._told: Told = {} if told is None else told
        self._timeout, self._transaction_id, self._again = timeout, transaction_id, again
        self.channel = channel or _open(address)
        sent = {"authn-token": address.token, "pach-transaction": transaction_id}
        metadata = [(key, value) for key, value in sent.items() if value]
        self._view = _Channel(
            self.channel,
            address.url,
            timeout,
            again,
            self._told,
            ends,
            metadata=metadata,
            wait_for_ready=wait,
        )

    def patient(self, timeout: float) -> Pachd:
        """Returns the same connection with another timeout, in seconds.

        Calls that are safe to repeat are retried as long, but not longer than the grace.
        """
        seconds = max(timeout, 0.001)
        return self._same(seconds, self._transaction_id, min(seconds, self.grace), self.ends)

    def until(self, deadline: float) -> Pachd:
        """The same connection for calls that all end by a deadline, in `time.monotonic()`."""
        return self._same(self._timeout, self._transaction_id, self._again, min(deadline, self.ends))

    def within(self, transaction_id: str) -> Pachd:
        """Returns the same connection with every call in the transaction. No call is retried."""
        return self._same(self._timeout, transaction_id, 0.0, self.ends)

    def _same(self, timeout: float, transaction_id: str, again: float, ends: float) -> Pachd:
        return Pachd(
            self.address,
            channel=self.channel,
            timeout=timeout,
            transaction_id=transaction_id,
            grace=self.grace,
            again=again,
            told=self._told,
            ends=ends,
        )

    def repeated(self, attempt: Callable[[], T], what: str) -> T:
        """Repeats an attempt after errors that may pass, for the grace, and returns its result.

        Args:
            attempt: makes calls that are safe to repeat, and reads their answers to the end.
            what: the call's name, for the user.

        Raises:
            PachydermError: the error of the last attempt.
        """
        seconds = min(self.grace, self.ends - time.monotonic())
        return repeated(lambda _: attempt(), seconds, what, self._told)

    def wait_for_answer(self, error: PachydermUnreachableError) -> None:
        """Waits until pachd answers again.

        Args:
            error: the error that said that pachd is unreachable.

        Raises:
            PachydermUnreachableError: `error` itself, when pachd has been unreachable for the grace.
        """
        until = min(error.since + self.grace, self.ends)
        while True:
            look = min(max(until - time.monotonic(), _SHORT_LOOK), _LOOK)
            try:
                self.patient(look).admin.inspect_cluster()
                return
            except (TemporaryError, UnknownAnswerError):
                if time.monotonic() >= until:
                    raise error from None
            time.sleep(0.1)

    @cached_property
    def pfs(self) -> pfs.ApiStub:
        """The stub for repos, branches, commits and files."""
        from kfp_pachyderm.pachd.sdk import pfs

        return pfs.ApiStub(self._view)

    @cached_property
    def pps(self) -> pps.ApiStub:
        """The stub for pipelines and jobs."""
        from kfp_pachyderm.pachd.sdk import pps

        return pps.ApiStub(self._view)

    @cached_property
    def transactions(self) -> transaction.ApiStub:
        """The stub for transactions."""
        from kfp_pachyderm.pachd.sdk import transaction

        return transaction.ApiStub(self._view)

    @cached_property
    def metadata(self) -> metadata.ApiStub:
        """The stub for metadata of projects, repos, branches and commits."""
        from kfp_pachyderm.pachd.sdk import metadata

        return metadata.ApiStub(self._view)

    @cached_property
    def admin(self) -> admin.ApiStub:
        """The stub for the cluster's state."""
        from kfp_pachyderm.pachd.sdk import admin

        return admin.ApiStub(self._view)

    @cached_property
    def auth(self) -> auth.ApiStub:
        """The stub for principals and their roles."""
        from kfp_pachyderm.pachd.sdk import auth

        return auth.ApiStub(self._view)

    @cached_property
    def version(self) -> version.ApiStub:
        """The stub for pachd's version."""
        from kfp_pachyderm.pachd.sdk import version

        return version.ApiStub(self._view)

    def raw(self, method: str, request: bytes) -> bytes:
        """Makes one unary call whose request and answer are encoded messages."""
        answer: bytes = self._view.unary_unary(method, None, None)(request)
        return answer

    def raw_stream(self, method: str, request: bytes) -> Iterator[bytes]:
        """Makes one call with a stream of answers; request and answers are encoded messages."""
        answers: Iterator[bytes] = self._view.unary_stream(method, None, None)(request)
        return answers

    def close(self) -> None:
        """Closes the channel, also for connections that share it."""
        self.channel.close()

    def __enter__(self) -> Pachd:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _open(address: Address) -> grpc.Channel:
    options = (*_OPTIONS, *_own_name(address))
    if address.tls:
        return grpc.secure_channel(address.target, grpc.ssl_channel_credentials(address.ca), options=options)
    return grpc.insecure_channel(address.target, options=options)


def _own_name(address: Address) -> list[tuple[str, str]]:
    """Returns the channel options for a port-forward: host name and certificate stay pachd's own."""
    if not address.dialled:
        return []
    name = ("grpc.ssl_target_name_override", address.host)
    return [("grpc.default_authority", address.host), *([name] if address.tls else [])]


def connect(address: Address, timeout: float = CONNECT_TIMEOUT, grace: float = GRACE) -> Pachd:
    """Connects to pachd, and checks that Pachyderm answers.

    Args:
        address: pachd's address.
        timeout: seconds to try while nothing answers at the address.
        grace: seconds that pachd may be unreachable later on.

    Returns:
        The connection, for the caller to close.

    Raises:
        PachydermUnreachableError: nothing answers, or another server than Pachyderm.
        AuthenticationError: pachd refuses the token.
        CertificateError: the TLS handshake fails for a reason that does not pass.
    """
    pachd = Pachd(address, timeout=timeout, wait=False, grace=grace)
    try:
        _greet(pachd, timeout)
    except BaseException:
        pachd.close()
        raise
    return Pachd(address, channel=pachd.channel, grace=grace, again=grace)


def _greet(pachd: Pachd, timeout: float) -> None:
    began, told = time.monotonic(), set[str]()
    url, until = pachd.address.url, began + timeout
    while True:
        try:
            pachd.raw("/admin_v2.API/InspectCluster", b"")  # only that pachd answers matters, not its answer
            return
        except ProtocolError as error:
            raise PachydermUnreachableError(f"{url} answers, but not as Pachyderm does: {error}") from error
        except PachydermUnreachableError as error:
            if pachd.address.tls:
                # Imported here because it loads ssl, which most steps don't need.
                from kfp_pachyderm.pachd.connection.tls import check_certificate

                check_certificate(pachd.address, timeout)
            if time.monotonic() >= until:
                raise PachydermUnreachableError(
                    f"no Pachyderm answers at {url} within {timeout:g} s: {error}"
                ) from error
        except (TemporaryError, UnknownAnswerError) as error:
            # pachd answers, but its database may still be starting
            if time.monotonic() >= began + pachd.grace:
                raise
            if str(error) not in told:
                told.add(str(error))
                logger.warning("%s; trying again", error)
            time.sleep(1.0)
        time.sleep(0.1)

"""The connection to pachd: pachyderm_sdk's stubs over a channel with deadlines and our own errors."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, TypeVar

import grpc

from kfp_pachyderm.errors import (
    PachydermUnreachableError,
    ProtocolError,
    TemporaryError,
    UnknownAnswerError,
)
from kfp_pachyderm.pachd.connection.address import Address
from kfp_pachyderm.pachd.connection.status_codes import translated
from kfp_pachyderm.pachd.sdk import admin, auth, metadata, pfs, pps, transaction, version

#: Seconds for one call that has no reason to wait.
CALL_TIMEOUT = 30.0
#: Seconds until an address where nobody answers is given up.
CONNECT_TIMEOUT = 10.0
#: Seconds that a pachd which has answered may be away: it restarts, it moves to another node.
GRACE = 60.0
#: Seconds that a look whether it is back takes at most, and at least.
_LOOK, _SHORT_LOOK = 3.0, 1.0

#: Seconds between two tries of a call, at first and at most; and the try that the user hears of.
_PAUSE, _LONGEST_PAUSE, _TOLD_TRY = 0.05, 1.0, 3
#: Calls that do no harm a second time, by the beginnings of their names: what only looks, what sets something
#: to a value, what is over after the first.
_HARMLESS = ("Inspect", "List", "Walk", "Glob", "GetFile", "WhoAmI", "Locate", "EditMetadata", "StopJob")

T = TypeVar("T")
logger = logging.getLogger(__name__)

_OPTIONS = (
    ("grpc.max_receive_message_length", 64 * 2**20),
    ("grpc.max_send_message_length", 64 * 2**20),
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2000),
)


#: What the user has heard of calls that fail, by the calls; forgotten once they work again.
Told = dict[str, set[str]]


def repeated(attempt: Callable[[float], T], seconds: float, what: str, told: Told) -> T:
    """What an attempt returns, which is made again while what fails may pass.

    Args:
        attempt: takes the seconds that are left.
        seconds: until it is given up.
        what: is tried.
        told: what the user has heard of the same connection, also in waits that look again and again.

    Raises:
        PachydermError: what the last attempt raised.
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
    """What the SDK's stubs take for a channel; it gives every call a deadline, the token and our errors.

    Args:
        channel: the gRPC channel.
        address: its URL, for errors.
        timeout: seconds for one call.
        again: seconds in which a call that does no harm twice is tried again.
        told: as `repeated` takes it.
        ends: `time.monotonic()` at which all calls end.
        options: of every call.
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
            """The answers, of which the first has come: what fails later is the caller's to repeat."""
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
    """pachd, or a job's sidecar, as pachyderm_sdk's generated stubs. A context manager; threads may share it.

    Args:
        address: where it is.
        channel: an open channel to share; None: a new one.
        timeout: seconds for each call.
        transaction_id: the transaction that every call joins.
        wait: whether a call waits, as long as its timeout, for a connection that is down.
        grace: seconds that it may be away before what needs it gives up.
        again: seconds in which a call that does no harm twice is tried again when what fails may pass.
        told: what the user has heard of calls that fail; None: nothing yet.
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
        """The same connection for calls that may take `timeout` seconds."""
        seconds = max(timeout, 0.001)
        return self._same(seconds, self._transaction_id, min(seconds, self.grace), self.ends)

    def until(self, deadline: float) -> Pachd:
        """The same connection for calls that all end by a deadline, in `time.monotonic()`."""
        return self._same(self._timeout, self._transaction_id, self._again, min(deadline, self.ends))

    def within(self, transaction_id: str) -> Pachd:
        """The same connection, every call joining the transaction; none is made twice."""
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
        """What an attempt returns that does no harm a second time; tried again for the grace.

        Args:
            attempt: asks Pachyderm, and takes the answer whole.
            what: it is, for the user.

        Raises:
            PachydermError: what the last attempt raised.
        """
        seconds = min(self.grace, self.ends - time.monotonic())
        return repeated(lambda _: attempt(), seconds, what, self._told)

    def wait_for_answer(self, error: PachydermUnreachableError) -> None:
        """Returns once pachd answers again.

        Raises:
            PachydermUnreachableError: `error` itself, when it has been away for the grace.
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
        """Repos, branches, commits, files."""
        return pfs.ApiStub(self._view)

    @cached_property
    def pps(self) -> pps.ApiStub:
        """Pipelines and jobs."""
        return pps.ApiStub(self._view)

    @cached_property
    def transactions(self) -> transaction.ApiStub:
        """Transactions."""
        return transaction.ApiStub(self._view)

    @cached_property
    def metadata(self) -> metadata.ApiStub:
        """Metadata of commits and others."""
        return metadata.ApiStub(self._view)

    @cached_property
    def admin(self) -> admin.ApiStub:
        """The cluster itself."""
        return admin.ApiStub(self._view)

    @cached_property
    def auth(self) -> auth.ApiStub:
        """Principals and their roles."""
        return auth.ApiStub(self._view)

    @cached_property
    def version(self) -> version.ApiStub:
        """The release."""
        return version.ApiStub(self._view)

    def raw(self, method: str, request: bytes) -> bytes:
        """One unary call without messages."""
        answer: bytes = self._view.unary_unary(method, None, None)(request)
        return answer

    def raw_stream(self, method: str, request: bytes) -> Iterator[bytes]:
        """One call with many answers, without messages."""
        answers: Iterator[bytes] = self._view.unary_stream(method, None, None)(request)
        return answers

    def close(self) -> None:
        """Closes the channel, also for those that share it."""
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
    """Through a port-forward pachd is still called, and shows its certificate, by its own name."""
    if not address.dialled:
        return []
    name = ("grpc.ssl_target_name_override", address.host)
    return [("grpc.default_authority", address.host), *([name] if address.tls else [])]


def connect(address: Address, timeout: float = CONNECT_TIMEOUT, grace: float = GRACE) -> Pachd:
    """A connection that is known to lead to Pachyderm.

    Args:
        address: where pachd is.
        timeout: seconds to try while nobody answers.
        grace: seconds that it may be away later on.

    Raises:
        PachydermUnreachableError: nobody answers, or whoever does is not Pachyderm.
        AuthenticationError: the token is refused.
        CertificateError: TLS fails, and will go on failing.
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
            pachd.admin.inspect_cluster()
            return
        except ProtocolError as error:
            raise PachydermUnreachableError(f"{url} answers, but not as Pachyderm does: {error}") from error
        except PachydermUnreachableError as error:
            if pachd.address.tls:
                # Loads ssl, which most steps have no use for.
                from kfp_pachyderm.pachd.connection.tls import check_certificate

                check_certificate(pachd.address, timeout)
            if time.monotonic() >= until:
                raise PachydermUnreachableError(
                    f"no Pachyderm answers at {url} within {timeout:g} s: {error}"
                ) from error
        except (TemporaryError, UnknownAnswerError) as error:
            # it is there, and its database perhaps is not
            if time.monotonic() >= began + pachd.grace:
                raise
            if str(error) not in told:
                told.add(str(error))
                logger.warning("%s; trying again", error)
            time.sleep(1.0)
        time.sleep(0.1)

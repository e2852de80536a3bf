"""The table from gRPC's status codes to our errors, and the context manager that applies it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from kfp_pachyderm.errors import (
    AuthenticationError,
    NotFoundError,
    PachydermError,
    PachydermUnreachableError,
    PermanentError,
    ProtocolError,
    TemporaryError,
    UnknownAnswerError,
)
from kfp_pachyderm.protocol.transient_errors import DEADLINE, passes

Code = grpc.StatusCode

#: Status code → error class. For some codes the text decides: see `error_class`.
BY_CODE: dict[grpc.StatusCode, type[PachydermError]] = {
    Code.CANCELLED: TemporaryError,
    Code.UNKNOWN: UnknownAnswerError,
    Code.INVALID_ARGUMENT: PermanentError,
    Code.DEADLINE_EXCEEDED: PachydermUnreachableError,
    Code.NOT_FOUND: NotFoundError,
    Code.ALREADY_EXISTS: PermanentError,
    Code.PERMISSION_DENIED: AuthenticationError,
    Code.RESOURCE_EXHAUSTED: TemporaryError,
    Code.FAILED_PRECONDITION: PermanentError,
    Code.ABORTED: TemporaryError,
    Code.OUT_OF_RANGE: PermanentError,
    Code.UNIMPLEMENTED: ProtocolError,
    Code.INTERNAL: TemporaryError,
    Code.UNAVAILABLE: PachydermUnreachableError,
    Code.DATA_LOSS: PermanentError,
    Code.UNAUTHENTICATED: AuthenticationError,
}

_BY_TEXT: tuple[tuple[str, type[PachydermError]], ...] = (
    ("has not been finished", TemporaryError),  # StartCommit on a branch whose head is open
    ("no authentication token", AuthenticationError),
    ("is not authorized", AuthenticationError),
    ("not found", NotFoundError),
    # with auth on, for a repo or a project that does not exist (src/auth/auth.go, ErrNoRoleBinding)
    ("no role binding exists", NotFoundError),
)

#: Pachyderm src/auth/auth.go, ErrNoMetadata and ErrExpiredToken.
_NO_TOKEN = ("no authentication metadata", "token expiration is in the past")
#: google.golang.org/grpc/rpc_util.go, recv, and stream.go, SendMsg.
_TOO_LARGE = "larger than max"

#: A text in pachd's answer when no commit has the ID: pachd panics while it formats the error
#: (src/server/pfs/pfs.go, ErrBranchNotFound.Error, for a commit without branch). Seen on a real pachd.
_NO_COMMIT = "ErrBranchNotFound.Error"

_HINTS: dict[type[PachydermError], str] = {
    PachydermUnreachableError: "; is this pachd's address (grpcs:// with TLS), and is pachd up?",
    AuthenticationError: "; give a token with the needed role by Connection(token_secret=...)",
}


def error_class(code: grpc.StatusCode, details: str) -> type[PachydermError]:
    """Returns the class of our error for one error of pachd's."""
    if code is Code.UNKNOWN:
        return _of_unknown(details)
    if code is Code.INTERNAL and any(text in details for text in _NO_TOKEN):
        return AuthenticationError
    if code is Code.ABORTED and _NO_COMMIT in details:
        return NotFoundError
    if code is Code.RESOURCE_EXHAUSTED and _TOO_LARGE in details:
        return PermanentError
    return BY_CODE.get(code, ProtocolError)


def _of_unknown(details: str) -> type[PachydermError]:
    if DEADLINE in details:
        # the same as DEADLINE_EXCEEDED in the client: nobody knows what pachd did
        return PachydermUnreachableError
    if passes(details):
        return TemporaryError
    return next((kind for text, kind in _BY_TEXT if text in details), UnknownAnswerError)


def code_of(error: PachydermError) -> grpc.StatusCode | None:
    """Returns the gRPC status code of an error that `translated` raised; None for other errors."""
    cause = error.__cause__
    return cause.code() if isinstance(cause, grpc.RpcError) else None


@contextmanager
def translated(address: str, method: str) -> Iterator[None]:
    """Turns every RpcError inside the block into our error.

    Args:
        address: pachd's URL, for the message.
        method: the gRPC method's path.

    Raises:
        PachydermError: the class of the table; the message has the address, the call, the answer and a hint.
    """
    began = time.monotonic()
    try:
        yield
    except grpc.RpcError as error:
        code, details = error.code(), error.details() or ""
        kind = error_class(code, details)
        hint = "" if code is Code.UNKNOWN and DEADLINE in details else _HINTS.get(kind, "")
        text = f"{address}, {method.rsplit('/', 1)[-1]}: {details} ({code.name}){hint}"
        if kind is PachydermUnreachableError:
            raise PachydermUnreachableError(text, began) from error
        raise kind(text) from error

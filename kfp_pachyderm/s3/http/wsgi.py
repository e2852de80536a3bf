"""The WSGI application: makes S3 requests of WSGI's, answers of a handler's responses, XML of its errors."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

from kfp_pachyderm.s3 import xml
from kfp_pachyderm.s3.errors import S3Error
from kfp_pachyderm.s3.request import S3Request, Source, from_environ

log = logging.getLogger(__name__)

XML_TYPE = "application/xml"
_PIECE = 2**20
_CLOSE = ("Connection", "close")

Headers = Sequence[tuple[str, str]]
WSGIApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


@dataclass(frozen=True)
class Response:
    """The answer to one request.

    Args:
        status: the HTTP status.
        headers: the headers. For a `body` of bytes Content-Length is added.
        body: bytes, or pieces of content whose Content-Length is in `headers`.
    """

    status: int = 200
    headers: Headers = ()
    body: bytes | Iterable[bytes] = b""


def xml_response(name: str, content: xml.Content, headers: Headers = ()) -> Response:
    """Makes a response of status 200 with an XML document."""
    return Response(200, (("Content-Type", XML_TYPE), *headers), xml.document(name, content))


def error_response(error: S3Error, path: str, request_id: str) -> Response:
    """Makes the response for an error: S3's XML document."""
    body = xml.document(
        "Error",
        [
            ("Code", error.code),
            ("Message", error.message),
            *error.fields,
            ("Resource", path),
            ("RequestId", request_id),
        ],
        namespace=False,
    )
    return Response(error.status, (("Content-Type", XML_TYPE), *error.headers), body)


def drained(source: Source) -> bool:
    """Reads the rest of a body piece by piece. False: that failed, and the connection can't be used again."""
    try:
        while source.read(_PIECE):
            pass
    except (S3Error, OSError):
        return False
    return True


def _ends(response: Response) -> bool:
    """Tells whether the connection ends with the answer, so that the rest of the body need not be read."""
    return _CLOSE in response.headers


def identified(response: Response, request_id: str) -> Response:
    """The same answer with the request's ID in its headers."""
    return with_headers(response, ("x-amz-request-id", request_id), ("x-amz-id-2", request_id))


def _handled(handle: Callable[[S3Request], Response], request: S3Request, identify: bool) -> Response:
    try:
        response = handle(request)
    except S3Error as error:
        response = error_response(error, request.path, request.id)
    except (ConnectionError, TimeoutError):
        response = error_response(S3Error("IncompleteBody"), request.path, request.id)
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        response = error_response(S3Error("InternalError"), request.path, request.id)
    ends = () if _ends(response) or drained(request.body) else (_CLOSE,)
    return with_headers(identified(response, request.id) if identify else response, *ends)


def _answer(handle: Callable[[S3Request], Response], environ: dict[str, Any], identify: bool) -> Response:
    try:
        request = from_environ(environ)
    except S3Error as error:
        # nobody knows where the request's body ends, so the connection can't be used again
        return with_headers(error_response(error, "/", ""), _CLOSE)
    return _handled(handle, request, identify)


def with_headers(response: Response, *headers: tuple[str, str]) -> Response:
    """Returns the same response with further headers."""
    return replace(response, headers=(*response.headers, *headers))


def _with_length(response: Response) -> list[tuple[str, str]]:
    given = {name.lower() for name, _ in response.headers}
    if response.status in (204, 304) or "content-length" in given or not isinstance(response.body, bytes):
        return list(response.headers)
    return [*response.headers, ("Content-Length", str(len(response.body)))]


def _close(body: object) -> None:
    close = getattr(body, "close", None)
    if close is not None:
        close()


def application(handle: Callable[[S3Request], Response], identify: bool = True) -> WSGIApplication:
    """Makes a WSGI application of a handler.

    Args:
        handle: answers a request, or raises `S3Error`.
        identify: whether each answer gets a header with its request's ID; False: `handle` adds it.
    """

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        response = _answer(handle, environ, identify)
        start_response(f"{response.status} {HTTPStatus(response.status).phrase}", _with_length(response))
        if environ["REQUEST_METHOD"] == "HEAD":
            _close(response.body)
            return []
        return [response.body] if isinstance(response.body, bytes) else response.body

    return app

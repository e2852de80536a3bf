"""The WSGI front: request in, answer out, errors as S3's XML, bodies streamed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from kfp_pachyderm.s3 import xml
from kfp_pachyderm.s3.errors import S3Error
from kfp_pachyderm.s3.request import S3Request, from_environ

log = logging.getLogger(__name__)

XML_TYPE = "application/xml"
_PIECE = 2**20

Headers = Sequence[tuple[str, str]]
WSGIApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


@dataclass(frozen=True)
class Response:
    """One answer.

    Args:
        status: HTTP status.
        headers: without Content-Length where `body` is bytes: it is added.
        body: bytes, or pieces whose length `headers` names.
    """

    status: int = 200
    headers: Headers = ()
    body: bytes | Iterable[bytes] = b""


def xml_response(name: str, content: xml.Content, headers: Headers = ()) -> Response:
    """A 200 with an XML document."""
    return Response(200, (("Content-Type", XML_TYPE), *headers), xml.document(name, content))


def error_response(error: S3Error, path: str, request_id: str) -> Response:
    """S3's XML for an error."""
    body = xml.document(
        "Error",
        [("Code", error.code), ("Message", error.message), ("Resource", path), ("RequestId", request_id)],
        namespace=False,
    )
    return Response(error.status, (("Content-Type", XML_TYPE), *error.headers), body)


def _drain(source: Any) -> None:
    # cheroot would read the rest of a refused upload into memory at once
    while source.read(_PIECE):
        pass


def _answer(handle: Callable[[S3Request], Response], environ: dict[str, Any]) -> tuple[Response, str]:
    path, request_id = "/", ""
    try:
        request = from_environ(environ)
        path, request_id = request.path, request.id
        return handle(request), request_id
    except S3Error as error:
        return error_response(error, path, request_id), request_id
    except Exception:
        log.exception("%s %s failed", environ["REQUEST_METHOD"], path)
        return error_response(S3Error("InternalError"), path, request_id), request_id


def _with_length(response: Response, request_id: str) -> list[tuple[str, str]]:
    headers = [*response.headers, ("x-amz-request-id", request_id), ("x-amz-id-2", request_id)]
    if isinstance(response.body, bytes) and response.status not in (204, 304):
        if not any(name.lower() == "content-length" for name, _ in headers):
            headers.append(("Content-Length", str(len(response.body))))
    return headers


def _close(body: object) -> None:
    close = getattr(body, "close", None)
    if close is not None:
        close()


def application(handle: Callable[[S3Request], Response]) -> WSGIApplication:
    """A WSGI application around `handle`, which may raise `S3Error`."""

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        response, request_id = _answer(handle, environ)
        _drain(environ["wsgi.input"])
        headers = _with_length(response, request_id)
        start_response(f"{response.status} {HTTPStatus(response.status).phrase}", headers)
        if environ["REQUEST_METHOD"] == "HEAD":
            _close(response.body)
            return []
        return [response.body] if isinstance(response.body, bytes) else response.body

    return app

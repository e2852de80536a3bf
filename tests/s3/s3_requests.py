"""Makes S3 requests for tests without a server."""

from __future__ import annotations

import io
from typing import Any

from kfp_pachyderm.s3.request import S3Request, from_environ


def environ(
    method: str, uri: str, headers: dict[str, str] | None = None, body: bytes = b""
) -> dict[str, Any]:
    made: dict[str, Any] = {"REQUEST_METHOD": method, "REQUEST_URI": uri, "wsgi.input": io.BytesIO(body)}
    for name, value in (headers or {}).items():
        key = name.upper().replace("-", "_")
        made[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = value
    return made


def request(method: str, uri: str, headers: dict[str, str] | None = None, body: bytes = b"") -> S3Request:
    return from_environ(environ(method, uri, headers, body))

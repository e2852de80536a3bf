"""A client for one S3 endpoint: signed requests, streamed bodies, one connection for each request."""

from __future__ import annotations

import http.client
import io
from collections.abc import Iterable, Mapping
from contextlib import closing
from datetime import UTC, datetime
from types import TracebackType
from urllib.parse import quote, urlencode, urlsplit

from kfp_pachyderm.s3.request import S3Request
from kfp_pachyderm.s3.signature import sign

#: Seconds without a byte after which a request fails. The sidecar's gateway ends a request after five
#: minutes.
_PATIENCE = 330.0


class Answer:
    """The answer to a request. Its body can be read until it is closed. A context manager.

    Args:
        connection: the connection on which the request was sent.
    """

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self._connection = connection
        self.body = connection.getresponse()
        self.status = self.body.status
        self.headers = self.body.headers

    def close(self) -> None:
        """Ends the connection."""
        self.body.close()
        self._connection.close()

    def __enter__(self) -> Answer:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()


class S3Client:
    """Sends requests to one endpoint, signed by one key (Signature Version 4).

    Args:
        address: "http://host:port".
        access_key: the access key.
        secret: the secret key of `access_key`.
    """

    def __init__(self, address: str, access_key: str, secret: str) -> None:
        self._netloc = urlsplit(address).netloc
        self._access_key, self._secret = access_key, secret

    def ask(
        self,
        method: str,
        bucket: str,
        key: str = "",
        query: tuple[tuple[str, str], ...] = (),
        headers: Mapping[str, str] | None = None,
        body: Iterable[bytes] = (),
        length: int = 0,
    ) -> Answer:
        """Sends one request, and returns its answer, which the caller closes.

        Args:
            method: the HTTP method: "GET", ...
            bucket: the bucket's name.
            key: the object's key, "" for the bucket itself.
            query: the query parameters, not encoded.
            headers: header values by lower-case name; they are signed.
            body: the content in pieces.
            length: the content's length in bytes.

        Raises:
            OSError: there is no answer, or none in HTTP.
        """
        request = self._signed(method, bucket, key, query, headers or {}, length)
        connection = http.client.HTTPConnection(self._netloc, timeout=_PATIENCE)
        try:
            connection.request(method, _target(request), body=body, headers=dict(request.headers))
            return Answer(connection)
        except http.client.HTTPException as error:
            connection.close()
            raise ConnectionError(f"no HTTP answer: {error!r}") from error
        except BaseException:
            connection.close()
            raise

    def _signed(
        self,
        method: str,
        bucket: str,
        key: str,
        query: tuple[tuple[str, str], ...],
        headers: Mapping[str, str],
        length: int,
    ) -> S3Request:
        date = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        path = f"/{bucket}/{key}" if key else f"/{bucket}"
        every = {
            **headers,
            "host": self._netloc,
            "x-amz-date": date,
            "x-amz-content-sha256": "UNSIGNED-PAYLOAD",
            "content-length": str(length),
        }
        with closing(io.BytesIO()) as nothing:
            request = S3Request(method, quote(path), path, bucket, key, query, every, nothing, length)
        every["authorization"] = sign(request, self._access_key, self._secret, date)
        return request


def _target(request: S3Request) -> str:
    path = quote(request.path, safe="/-_.~")
    return f"{path}?{urlencode(request.query, quote_via=quote)}" if request.query else path

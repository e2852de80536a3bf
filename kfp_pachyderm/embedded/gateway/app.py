"""The S3 gateway of one job's sidecar. It answers as Pachyderm's own does, faults included.

Facts: Pachyderm src/server/pfs/s3/{s3,auth,bucket,object,multipart}.go; s2, the S3 library under it
(github.com/pachyderm/s2); and answers recorded from a real 2.12 (tests/embedded/gateway/vectors).
"""

from __future__ import annotations

import errno
import posixpath
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from kfp_pachyderm.embedded.gateway.auth import authorize
from kfp_pachyderm.embedded.gateway.body import Body, with_document
from kfp_pachyderm.embedded.gateway.job_buckets import JobBuckets
from kfp_pachyderm.embedded.gateway.listing import Listings
from kfp_pachyderm.embedded.gateway.multipart import Panic, Uploads
from kfp_pachyderm.embedded.gateway.objects import Objects
from kfp_pachyderm.embedded.status import Refused
from kfp_pachyderm.s3.errors import S3Error
from kfp_pachyderm.s3.http.wsgi import (
    XML_TYPE,
    Response,
    WSGIApplication,
    application,
    error_response,
    identified,
)
from kfp_pachyderm.s3.request import S3Request
from kfp_pachyderm.s3.routes import Route, match
from kfp_pachyderm.s3.signature import Secrets

_BUCKET = re.compile(r"[a-zA-Z0-9\-_.]{1,255}")
#: Subresource → methods for which s2 answers 501 (s2.go, attachBucketRoutes, attachObjectRoutes). With
#: another method s2 ignores the subresource.
_BUCKET_501 = {
    **dict.fromkeys(
        ("accelerate", "acl", "logging", "notification", "object-lock", "requestPayment"), "GET PUT"
    ),
    **dict.fromkeys(
        ("analytics", "cors", "encryption", "inventory", "lifecycle", "metrics"), "GET PUT DELETE"
    ),
    **dict.fromkeys(("policy", "publicAccessBlock", "tagging", "website"), "GET PUT DELETE"),
    "policyStatus": "GET",
    "replication": "PUT DELETE",
}
_OBJECT_501 = {
    **dict.fromkeys(("acl", "legal-hold", "retention"), "GET PUT"),
    "tagging": "GET PUT DELETE",
    "torrent": "GET",
    "restore": "POST",
    "select": "POST",
}
_GO_REFUSAL = (("Content-Type", "text/plain; charset=utf-8"), ("Connection", "close"))
#: The largest Content-Length that Go's net/http parses.
_LARGEST_LENGTH = 2**63 - 1
#: Bytes of an answer that Go's net/http buffers. It begins to send a longer one before it knows the length.
_BUFFERED = 2048

#: The routes of s2: UploadPartCopy goes to UploadPart, an unknown subresource to the listing.
_ROUTES: tuple[Route, ...] = (
    Route("service", "GET HEAD", "ListBuckets"),
    *(Route("bucket", methods, "NotImplemented", (name,)) for name, methods in _BUCKET_501.items()),
    Route("bucket", "GET", "GetBucketLocation", ("location",)),
    Route("bucket", "GET", "GetBucketVersioning", ("versioning",)),
    Route("bucket", "PUT", "PutBucketVersioning", ("versioning",)),
    Route("bucket", "GET", "ListMultipartUploads", ("uploads",)),
    Route("bucket", "GET", "ListObjectVersions", ("versions",)),
    Route("bucket", "POST", "DeleteObjects", ("delete",)),
    Route("bucket", "GET HEAD", "ListObjects"),
    Route("bucket", "PUT DELETE POST", "NotImplemented"),
    *(Route("object", methods, "NotImplemented", (name,)) for name, methods in _OBJECT_501.items()),
    Route("object", "GET", "ListParts", ("uploadId",)),
    Route("object", "POST", "CreateMultipartUpload", ("uploads",)),
    Route("object", "POST", "CompleteMultipartUpload", ("uploadId",)),
    Route("object", "PUT", "UploadPart", ("uploadId",)),
    Route("object", "DELETE", "AbortMultipartUpload", ("uploadId",)),
    Route("object", "PUT", "CopyObject", (), ("x-amz-copy-source",)),
    Route("object", "PUT", "PutObject"),
    Route("object", "GET HEAD", "GetObject"),
    Route("object", "DELETE", "DeleteObject"),
)


Operation = Callable[[S3Request], Response]
#: Operations that read the body themselves, piece by piece.
_STREAMED = ("PutObject", "UploadPart")


def _not_implemented(_request: S3Request) -> Response:
    raise S3Error("NotImplemented")


def _operations(buckets: JobBuckets) -> dict[str, Operation]:
    listings, objects, uploads = Listings(buckets), Objects(buckets), Uploads(buckets)
    return {
        "NotImplemented": _not_implemented,
        "ListBuckets": listings.buckets,
        "GetBucketLocation": listings.location,
        "GetBucketVersioning": listings.versioning,
        "PutBucketVersioning": listings.put_versioning,
        "ListObjects": listings.objects,
        "ListObjectVersions": listings.versions,
        "DeleteObjects": objects.delete_many,
        "GetObject": objects.get,
        "PutObject": objects.put,
        "CopyObject": objects.copy,
        "DeleteObject": objects.delete,
        "ListMultipartUploads": uploads.list_uploads,
        "CreateMultipartUpload": uploads.create,
        "UploadPart": uploads.part,
        "ListParts": uploads.list_parts,
        "CompleteMultipartUpload": uploads.complete,
        "AbortMultipartUpload": uploads.abort,
    }


def _secrets(buckets: JobBuckets) -> Secrets:
    """Finds the secret key of an access key: the same text, if it is a valid token or auth is off."""

    def secrets(access_key: str) -> str | None:
        if buckets.token is not None and buckets.sign_in is not None:
            return access_key if buckets.sign_in(access_key) else None
        return access_key if buckets.token in (None, access_key) else None

    return secrets


def _cleaned(path: str) -> str:
    """The path in gorilla/mux's clean form; mux redirects from any other."""
    clean = posixpath.normpath("/" + path.lstrip("/"))
    return clean + "/" if path.endswith("/") and clean != "/" else clean


def _answer_before_routing(request: S3Request) -> Response | None:
    """The answer to a request that no route takes: an unclean path, a bad bucket, a newline in the key."""
    clean = _cleaned(request.path)
    if clean != request.path:
        query = f"?{request.raw_query}" if request.raw_query else ""
        return Response(301, (("Location", quote(clean, safe="/-_.~!$&'()*+,;=:@") + query),))
    if request.bucket and not _BUCKET.fullmatch(request.bucket):
        return error_response(S3Error("InvalidBucketName"), request.path, "")
    if "\n" in request.key:
        return error_response(S3Error("NoSuchKey"), request.path, "")
    return None


def _routed(host: str, service: str, own_hosts: frozenset[str] | None) -> bool:
    # Pachyderm looks up a Host without a dot whole, port included.
    name = host.partition(".")[0] if "." in host else host
    return own_hosts is None or host in own_hosts or name == service


def _answer(operations: dict[str, Operation], operation: str, request: S3Request) -> Response:
    body = Body(request)
    if operation not in _STREAMED:
        return operations[operation](with_document(request, body))
    try:
        return operations[operation](replace(request, body=body))
    except (S3Error, Refused):
        # s2 reads the whole body before the handler runs, so an error of the body comes before the handler's.
        body.finish()
        raise


def _without_body(response: Response) -> Response:
    """The answer to a HEAD; it has the body's length where Go knows it before it sends (`_BUFFERED`)."""
    if isinstance(response.body, bytes) and not 0 < len(response.body) <= _BUFFERED:
        return replace(response, body=())
    return response


def _identified(response: Response, request_id: str) -> Response:
    """s2 says the request's ID with XML alone (util_xml.go), an empty one where it has no handler."""
    return identified(response, request_id) if ("Content-Type", XML_TYPE) in response.headers else response


def _is_length(text: str) -> bool:
    return not text or (text.isascii() and text.isdigit() and int(text) <= _LARGEST_LENGTH)


def gateway_app(buckets: JobBuckets, own_hosts: frozenset[str] | None) -> WSGIApplication:
    """The gateway of one job as a WSGI application.

    Args:
        buckets: what it serves.
        own_hosts: Host headers ("127.0.0.1:1234") that stand for the job's service name; None: all do.
    """
    operations, secrets = _operations(buckets), _secrets(buckets)

    def routed(request: S3Request) -> Response:
        unrouted = _answer_before_routing(request)
        if unrouted:
            return _identified(unrouted, "")
        try:
            operation = match(_ROUTES, request)
        except S3Error as error:
            return _identified(error_response(error, request.path, ""), "")
        return _identified(handled(operation, request), request.id)

    def handled(operation: str, request: S3Request) -> Response:
        try:
            authorize(request, secrets, anonymous=buckets.token is None)
            return _answer(operations, operation, request)
        except Refused as error:
            return error_response(S3Error("InternalError", error.text), request.path, request.id)
        except S3Error as error:
            return error_response(error, request.path, request.id)

    def handle(request: S3Request) -> Response:
        return _without_body(routed(request)) if request.method == "HEAD" else routed(request)

    inner = application(handle, identify=False)

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if not _is_length(environ.get("CONTENT_LENGTH", "")):
            start_response("400 Bad Request", list(_GO_REFUSAL))
            return [b"400 Bad Request"]
        if not _routed(environ.get("HTTP_HOST", ""), buckets.service, own_hosts):
            start_response("500 Internal Server Error", [("Content-Length", "0")])
            return []
        try:
            return inner(environ, start_response)
        except Panic as panic:
            # The HTTP server takes this error for a client that went away, and closes without an answer.
            raise ConnectionResetError(errno.ECONNRESET, "panic in the gateway") from panic

    return app

"""The sidecar's S3 gateway as Pachyderm's own answers, faults included, over one job's buckets.

Facts: Pachyderm src/server/pfs/s3/{s3,auth,bucket,object,multipart}.go, github.com/pachyderm/s2, and answers
recorded from a real 2.12 (tests/embedded/vectors).
"""

from __future__ import annotations

import errno
import posixpath
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from kfp_pachyderm.embedded.gateway_listing import Listings
from kfp_pachyderm.embedded.gateway_multipart import Panic, Uploads
from kfp_pachyderm.embedded.gateway_objects import Objects
from kfp_pachyderm.embedded.status import Refused
from kfp_pachyderm.embedded.view import JobBuckets
from kfp_pachyderm.s3.errors import S3Error
from kfp_pachyderm.s3.request import S3Request
from kfp_pachyderm.s3.routes import Route, match
from kfp_pachyderm.s3.signature import header_v2, header_v4
from kfp_pachyderm.s3.wsgi import Response, WSGIApplication, application, error_response

_BUCKET = re.compile(r"[a-zA-Z0-9\-_.]{1,255}")
_BUCKET_501 = (
    "accelerate", "acl", "analytics", "cors", "encryption", "inventory", "lifecycle", "logging", "metrics",
    "notification", "object-lock", "policy", "policyStatus", "publicAccessBlock", "requestPayment", "tagging",
    "website",
)  # fmt: skip
_GO_REFUSAL = (("Content-Type", "text/plain; charset=utf-8"), ("Connection", "close"))
_OBJECT_501 = ("acl", "legal-hold", "retention", "tagging", "torrent", "restore", "select", "versionId")

#: What s2 routes where: a part's copy to UploadPart, unknown subresources to the listing.
_ROUTES: tuple[Route, ...] = (
    Route("service", "GET HEAD", "ListBuckets"),
    *(Route("bucket", "GET PUT POST DELETE", "NotImplemented", (name,)) for name in _BUCKET_501),
    Route("bucket", "GET", "GetBucketLocation", ("location",)),
    Route("bucket", "GET", "GetBucketVersioning", ("versioning",)),
    Route("bucket", "PUT", "PutBucketVersioning", ("versioning",)),
    Route("bucket", "GET", "ListMultipartUploads", ("uploads",)),
    Route("bucket", "GET", "NotImplemented", ("versions",)),
    Route("bucket", "POST", "DeleteObjects", ("delete",)),
    Route("bucket", "GET", "ListObjects"),
    Route("bucket", "HEAD", "HeadBucket"),
    Route("bucket", "PUT DELETE POST", "NotImplemented"),
    *(Route("object", "GET HEAD PUT POST DELETE", "NotImplemented", (name,)) for name in _OBJECT_501),
    Route("object", "GET", "ListParts", ("uploadId",)),
    Route("object", "POST", "CreateMultipartUpload", ("uploads",)),
    Route("object", "POST", "CompleteMultipartUpload", ("uploadId",)),
    Route("object", "PUT", "UploadPart", ("uploadId", "partNumber")),
    Route("object", "DELETE", "AbortMultipartUpload", ("uploadId",)),
    Route("object", "PUT", "CopyObject", (), ("x-amz-copy-source",)),
    Route("object", "PUT", "PutObject"),
    Route("object", "GET HEAD", "GetObject"),
    Route("object", "DELETE", "DeleteObject"),
)


def _not_implemented(_request: S3Request) -> Response:
    raise S3Error("NotImplemented")


def _operations(buckets: JobBuckets) -> dict[str, Callable[[S3Request], Response]]:
    listings, objects, uploads = Listings(buckets), Objects(buckets), Uploads(buckets)
    return {
        "NotImplemented": _not_implemented,
        "ListBuckets": listings.buckets,
        "GetBucketLocation": listings.location,
        "GetBucketVersioning": listings.versioning,
        "PutBucketVersioning": listings.put_versioning,
        "ListObjects": listings.objects,
        "HeadBucket": listings.head,
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


def authorize(request: S3Request, buckets: JobBuckets) -> None:
    """Access key = secret key = a good token; with auth off any key whose secret is itself, or none at all.

    Raises:
        S3Error: AccessDenied, InvalidAccessKeyId, SignatureDoesNotMatch and the like.
    """

    def secrets(access_key: str) -> str | None:
        if buckets.token is not None and buckets.sign_in is not None:
            return access_key if buckets.sign_in(access_key) else None
        return access_key if buckets.token in (None, access_key) else None

    if header_v4(request, secrets, datetime.now(UTC)):
        return
    try:
        signed = header_v2(request, secrets)
    except S3Error as error:
        raise S3Error("AccessDenied") if error.code == "SignatureDoesNotMatch" else error from error
    if signed is None and buckets.token is not None:
        raise S3Error("AccessDenied")


def _cleaned(path: str) -> str:
    """The path as gorilla/mux wants it; another one is redirected."""
    clean = posixpath.normpath("/" + path.lstrip("/"))
    return clean + "/" if path.endswith("/") and clean != "/" else clean


def _unrouted(request: S3Request) -> Response | None:
    """What s2 answers before it has a handler: redirect, bad bucket, a key that its pattern excludes."""
    clean = _cleaned(request.path)
    if clean != request.path:
        return Response(301, (("Location", quote(clean, safe="/-_.~!$&'()*+,;=:@")),))
    if request.bucket and not _BUCKET.fullmatch(request.bucket):
        return error_response(S3Error("InvalidBucketName"), request.path, "")
    if "\n" in request.key:
        return error_response(S3Error("NoSuchKey"), request.path, "")
    return None


def _routed(host: str, service: str, own_hosts: frozenset[str] | None) -> bool:
    # a Host without a dot is looked up whole, port included
    name = host.partition(".")[0] if "." in host else host
    return own_hosts is None or host in own_hosts or name == service


def gateway_app(buckets: JobBuckets, own_hosts: frozenset[str] | None) -> WSGIApplication:
    """The gateway of one job as a WSGI application.

    Args:
        buckets: what it serves.
        own_hosts: Host values ("127.0.0.1:1234") that stand for the job's service name; None: all do.
    """
    operations = _operations(buckets)

    def handle(request: S3Request) -> Response:
        unrouted = _unrouted(request)
        if unrouted:
            return unrouted
        operation = match(_ROUTES, request)
        authorize(request, buckets)
        try:
            return operations[operation](request)
        except Refused as error:
            raise S3Error("InternalError", error.text) from error

    inner = application(handle)

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ.get("CONTENT_LENGTH", "").startswith("-"):
            start_response("400 Bad Request", list(_GO_REFUSAL))
            return [b"400 Bad Request"]
        if not _routed(environ.get("HTTP_HOST", ""), buckets.service, own_hosts):
            start_response("500 Internal Server Error", [("Content-Length", "0")])
            return []
        try:
            return inner(environ, start_response)
        except Panic as panic:
            # The one error that the HTTP server takes for a client that is gone: it closes without a word.
            raise ConnectionResetError(errno.ECONNRESET, "panic in the gateway") from panic

    return app

"""Checks a request's signature as s2 does, nearly as S3 (s2.go, authV4 and authV2; util_header.go)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import quote

from kfp_pachyderm.s3.errors import S3Error
from kfp_pachyderm.s3.request import S3Request
from kfp_pachyderm.s3.signature import Secrets, signing_key

_V4 = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]*)/([^/]*)/([^/]*)/s3/aws4_request, ?"
    r"SignedHeaders=([^,]+), ?Signature=(.+)"
)
_V2 = re.compile(r"AWS ([^:]*):(.*)")
_RFC1123 = re.compile(
    r"[A-Z][a-z]{2}, (\d\d) ([A-Z][a-z]{2}) (\d{4}) (\d\d):(\d\d):(\d\d) ([A-Z]{3,4}|[+-]\d{4})"
)
_SKEW = timedelta(minutes=15)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Query parameters that signature version 2 covers, in s2's own order (s2.go, subresourceQueryParams).
_SUBRESOURCES = (
    "acl", "lifecycle", "location", "logging", "notification", "partNumber", "policy", "requestPayment",
    "torrent", "uploadId", "uploads", "versionId", "versioning", "versions",
)  # fmt: skip


def authorize(request: S3Request, secrets: Secrets, anonymous: bool) -> None:
    """Lets a request in, or refuses it.

    Args:
        request: only its Authorization header counts; a presigned URL counts as unsigned.
        secrets: access key ("" too) → secret key.
        anonymous: whether a request without a signature is let in, which is so with auth off.

    Raises:
        S3Error: AccessDenied, AuthorizationHeaderMalformed, InvalidAccessKeyId, InvalidArgument,
            RequestTimeTooSkewed or SignatureDoesNotMatch.
    """
    text = request.header("authorization")
    if text.startswith("AWS4-HMAC-SHA256 "):
        _check_v4(request, text, secrets)
    elif text.startswith("AWS "):
        _check_v2(request, text, secrets)
    elif not anonymous:
        raise S3Error("AccessDenied")


def _secret(access_key: str, secrets: Secrets) -> str:
    secret = secrets(access_key)
    if secret is None:
        raise S3Error("InvalidAccessKeyId")
    return secret


def _check_v4(request: S3Request, text: str, secrets: Secrets) -> None:
    found = _V4.fullmatch(text)
    if not found:
        raise S3Error("AuthorizationHeaderMalformed")
    access_key, date, region, names, signature = found.groups()
    secret, scope = _secret(access_key, secrets), f"{date}/{region}/s3/aws4_request"
    canonical = _canonical(request, sorted(names.split(";")))
    when = _timestamp(request).moment.strftime("%Y%m%dT%H%M%SZ")
    to_sign = f"AWS4-HMAC-SHA256\n{when}\n{scope}\n{hashlib.sha256(canonical).hexdigest()}"
    if hmac.digest(signing_key(secret, scope), to_sign.encode(), "sha256").hex() != signature:
        raise S3Error("SignatureDoesNotMatch")


def _canonical(request: S3Request, names: list[str]) -> bytes:
    headers = "".join(f"{name}:{request.header(name.lower()).strip()}\n" for name in names)
    pairs = sorted(request.query, key=lambda pair: pair[0])
    query = "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in pairs)
    path, payload = quote(request.path, safe="/-_.~"), request.header("x-amz-content-sha256")
    lines = [request.method, path, query, headers, ";".join(names), payload]
    return "\n".join(lines).encode("latin-1", "replace")


def _check_v2(request: S3Request, text: str, secrets: Secrets) -> None:
    found = _V2.fullmatch(text)
    if not found:
        raise S3Error("InvalidArgument")
    secret = _secret(found[1], secrets)
    wanted = [name for name in _SUBRESOURCES if request.has(name)]
    resource = "&".join(name + (f"={request.param(name)}" if request.param(name) else "") for name in wanted)
    lines = [
        request.method,
        request.header("content-md5"),
        request.header("content-type"),
        str(_timestamp(request)),
        # No x-amz- header is covered: s2 looks for lower-case names, which Go's headers never have.
        request.path + (f"?{resource}" if resource else ""),
    ]
    digest = hmac.digest(secret.encode(), "\n".join(lines).encode("utf-8", "replace"), "sha1")
    if base64.b64encode(digest).decode() != found[2]:
        raise S3Error("AccessDenied")


@dataclass(frozen=True)
class _Timestamp:
    """When a request was signed, and what Go calls its time zone."""

    moment: datetime
    zone: str = "UTC"

    def __str__(self) -> str:
        return self.moment.strftime("%a, %d %b %Y %H:%M:%S ") + self.zone


def _timestamp(request: S3Request) -> _Timestamp:
    found = _parse(request.header("x-amz-date") or request.header("date"))
    if found is None or found.moment <= _EPOCH:
        raise S3Error("AccessDenied")
    if not -_SKEW < found.moment - datetime.now(UTC) <= _SKEW:
        raise S3Error("RequestTimeTooSkewed")
    return found


def _parse(text: str) -> _Timestamp | None:
    try:
        found = _RFC1123.fullmatch(text)
        if not found:
            return _Timestamp(datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC))
        local = datetime.strptime(" ".join(found.groups()[:6]), "%d %b %Y %H %M %S")
    except ValueError:
        return None
    zone = found[7]
    if zone[0] not in "+-":
        # Go gives a zone that is named by letters the offset 0.
        return _Timestamp(local.replace(tzinfo=UTC), zone)
    offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[3:])) * (-1 if zone[0] == "-" else 1)
    return _Timestamp(local.replace(tzinfo=timezone(offset)), zone if offset else "UTC")

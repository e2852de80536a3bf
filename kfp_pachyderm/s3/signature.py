"""Request signatures: AWS Signature Version 4 (header and query) and Version 2 (header and query)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from urllib.parse import quote

from kfp_pachyderm.s3.errors import S3Error
from kfp_pachyderm.s3.request import S3Request

_ALGORITHM = "AWS4-HMAC-SHA256"
_SKEW = timedelta(minutes=15)
_LONGEST = 7 * 24 * 3600
_SCOPE = re.compile(r"([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request")
_DIGITS = re.compile(r"[0-9]{1,19}")

#: Returns the secret key of an access key, None for an unknown access key.
Secrets = Callable[[str], str | None]

#: Query parameters that Signature Version 2 counts as part of the resource.
_V2_RESOURCE = frozenset({
    "acl", "cors", "delete", "lifecycle", "location", "logging", "notification", "partNumber", "policy",
    "requestPayment", "tagging", "torrent", "uploadId", "uploads", "versionId", "versioning", "versions",
    "website", "response-cache-control", "response-content-disposition", "response-content-encoding",
    "response-content-language", "response-content-type", "response-expires",
})  # fmt: skip


@dataclass(frozen=True)
class Signed:
    """A correct signature.

    Args:
        access_key: the key that signed.
        key: the signing key; b"" for version 2. With the fields below it signs the chunks of a chunked body.
        scope: "<date>/<region>/<service>/aws4_request"; "" for version 2.
        date: the request's date; "" for version 2.
        signature: the request's signature, hexadecimal; "" for version 2.
    """

    access_key: str
    key: bytes = b""
    scope: str = ""
    date: str = ""
    signature: str = ""


@dataclass(frozen=True)
class _Claim:
    access_key: str
    scope: str
    date: str
    signed_headers: tuple[str, ...]
    signature: str
    payload: str
    query: tuple[tuple[str, str], ...]


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")


@lru_cache(maxsize=16)
def signing_key(secret: str, scope: str) -> bytes:
    """Derives the signing key from the secret key, for a scope "<date>/<region>/<service>/aws4_request"."""
    key = ("AWS4" + secret).encode()
    for part in scope.split("/"):
        key = _hmac(key, part)
    return key


def _canonical_query(query: tuple[tuple[str, str], ...]) -> str:
    return "&".join(
        sorted(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in query)
    )


def _canonical_headers(request: S3Request, names: tuple[str, ...]) -> bytes:
    # the signature covers the bytes that were sent; WSGI passes them decoded as Latin-1 (PEP 3333)
    values = {name: request.header(name).encode("latin-1", "replace") for name in names}
    return b"".join(name.encode() + b":" + b" ".join(value.split()) + b"\n" for name, value in values.items())


def _canonical_request(request: S3Request, claim: _Claim) -> bytes:
    return b"\n".join(
        [
            request.method.encode(),
            quote(request.path, safe="/-_.~").encode(),
            _canonical_query(claim.query).encode(),
            _canonical_headers(request, claim.signed_headers),
            ";".join(claim.signed_headers).encode(),
            claim.payload.encode(),
        ]
    )


def _v4_signature(request: S3Request, claim: _Claim, key: bytes) -> str:
    digest = hashlib.sha256(_canonical_request(request, claim)).hexdigest()
    text = "\n".join([_ALGORITHM, claim.date, claim.scope, digest])
    return hmac.digest(key, text.encode(), "sha256").hex()


def _credential(text: str, code: str) -> tuple[str, str]:
    access_key, _, scope = text.partition("/")
    if not access_key or not _SCOPE.fullmatch(text):
        raise S3Error(code)
    return access_key, scope


def _header_claim(request: S3Request) -> _Claim:
    fields = dict(
        part.strip().partition("=")[::2]
        for part in request.header("authorization")[len(_ALGORITHM) :].split(",")
    )
    if not {"Credential", "SignedHeaders", "Signature"} <= fields.keys():
        raise S3Error("AuthorizationHeaderMalformed")
    access_key, scope = _credential(fields["Credential"], "AuthorizationHeaderMalformed")
    return _Claim(
        access_key=access_key,
        scope=scope,
        date=_header_date(request),
        signed_headers=tuple(fields["SignedHeaders"].split(";")),
        signature=fields["Signature"],
        payload=request.header("x-amz-content-sha256"),
        query=request.query,
    )


def _header_date(request: S3Request) -> str:
    date = request.header("x-amz-date")
    if date:
        return date
    try:
        return parsedate_to_datetime(request.header("date")).astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    except (ValueError, TypeError, OverflowError) as error:
        raise S3Error("AccessDenied", "the request is signed but has no date") from error


def _query_claim(request: S3Request) -> _Claim:
    access_key, scope = _credential(request.param("X-Amz-Credential"), "AuthorizationQueryParametersError")
    return _Claim(
        access_key=access_key,
        scope=scope,
        date=request.param("X-Amz-Date"),
        signed_headers=tuple(request.param("X-Amz-SignedHeaders").split(";")),
        signature=request.param("X-Amz-Signature"),
        payload=request.header("x-amz-content-sha256") or "UNSIGNED-PAYLOAD",
        query=tuple(pair for pair in request.query if pair[0] != "X-Amz-Signature"),
    )


def _time(date: str) -> datetime:
    try:
        return datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise S3Error("AccessDenied", f"{date!r} is no date of a signature") from error


def _check_skew(date: str, now: datetime) -> None:
    if abs(_time(date) - now) > _SKEW:
        raise S3Error("RequestTimeTooSkewed")


def _check_expiry(request: S3Request, now: datetime) -> None:
    text = request.param("X-Amz-Expires")
    if not _DIGITS.fullmatch(text.removeprefix("-")) or int(text) > _LONGEST:
        raise S3Error("AuthorizationQueryParametersError")
    age = now - _time(request.param("X-Amz-Date"))
    if age < -_SKEW or age > timedelta(seconds=max(int(text), 0)):
        raise S3Error("AccessDenied", "Request has expired")


def _check_v4(request: S3Request, claim: _Claim, secrets: Secrets) -> Signed:
    secret = secrets(claim.access_key)
    if secret is None:
        raise S3Error("InvalidAccessKeyId")
    key = signing_key(secret, claim.scope)
    if not hmac.compare_digest(_v4_signature(request, claim, key).encode(), claim.signature.encode()):
        raise S3Error("SignatureDoesNotMatch")
    return Signed(claim.access_key, key, claim.scope, claim.date, claim.signature)


def sign(request: S3Request, access_key: str, secret: str, date: str) -> str:
    """Makes the Authorization header (version 4) of a request that is to be sent. It signs all headers.

    Args:
        request: the request, with the headers x-amz-date and x-amz-content-sha256.
        access_key: the access key.
        secret: the secret key of `access_key`.
        date: the value of x-amz-date.
    """
    scope, names = f"{date[:8]}/us-east-1/s3/aws4_request", tuple(sorted(request.headers))
    payload = request.header("x-amz-content-sha256")
    claim = _Claim(access_key, scope, date, names, "", payload, request.query)
    signature = _v4_signature(request, claim, signing_key(secret, scope))
    signed = ";".join(names)
    return f"{_ALGORITHM} Credential={access_key}/{scope}, SignedHeaders={signed}, Signature={signature}"


def header_v4(request: S3Request, secrets: Secrets, now: datetime) -> Signed | None:
    """Checks a header `Authorization: AWS4-HMAC-SHA256 ...`; returns None if there is no such header."""
    if not request.header("authorization").startswith(_ALGORITHM):
        return None
    claim = _header_claim(request)
    _check_skew(claim.date, now)
    return _check_v4(request, claim, secrets)


def query_v4(request: S3Request, secrets: Secrets, now: datetime) -> Signed | None:
    """Checks a presigned URL of version 4; returns None if the query has no such signature."""
    if request.param("X-Amz-Algorithm") != _ALGORITHM:
        return None
    _check_expiry(request, now)
    return _check_v4(request, _query_claim(request), secrets)


def _v2_text(request: S3Request, date: str) -> str:
    resource = "&".join(
        sorted(name + (f"={value}" if value else "") for name, value in request.query if name in _V2_RESOURCE)
    )
    headers = sorted(
        (name, value.strip()) for name, value in request.headers.items() if name.startswith("x-amz-")
    )
    amz = "".join(f"{name}:{value}\n" for name, value in headers)
    head = [request.method, request.header("content-md5"), request.header("content-type"), date]
    return "\n".join(head) + "\n" + amz + request.raw_path + (f"?{resource}" if resource else "")


def _check_v2(access_key: str, signature: str, text: str, secrets: Secrets) -> Signed:
    secret = secrets(access_key)
    if secret is None:
        raise S3Error("InvalidAccessKeyId")
    try:
        given = base64.b64decode(signature, validate=True)
    except binascii.Error:
        given = b""
    if not hmac.compare_digest(
        hmac.digest(secret.encode(), text.encode("latin-1", "replace"), "sha1"), given
    ):
        raise S3Error("SignatureDoesNotMatch")
    return Signed(access_key)


def _check_v2_date(request: S3Request, now: datetime) -> None:
    if request.header("authorization").startswith("AWS "):
        text = request.header("x-amz-date" if "x-amz-date" in request.headers else "date")
        try:
            date = _time(text) if text.endswith("Z") else parsedate_to_datetime(text)
        except (ValueError, TypeError, OverflowError) as error:
            raise S3Error("AccessDenied", f"{text!r} is no date of a signature") from error
        date = date if date.tzinfo else date.replace(tzinfo=UTC)
        if date.timestamp() < 0:
            raise S3Error("AccessDenied", f"{text!r} is no date of a signature")
        if abs(date - now) > _SKEW:
            raise S3Error("RequestTimeTooSkewed")


def header_v2(request: S3Request, secrets: Secrets) -> Signed | None:
    """Checks a header `Authorization: AWS <key>:<signature>`; returns None if there is no such header."""
    value = request.header("authorization")
    if not value.startswith("AWS "):
        return None
    access_key, _, signature = value[4:].rpartition(":")
    date = "" if "x-amz-date" in request.headers else request.header("date")
    return _check_v2(access_key, signature, _v2_text(request, date), secrets)


def query_v2(request: S3Request, secrets: Secrets, now: datetime) -> Signed | None:
    """Checks a presigned URL of version 2 (boto3's default); returns None if the query has no signature."""
    access_key, signature = request.param("AWSAccessKeyId"), request.param("Signature")
    if not access_key or not signature:
        return None
    expires = request.param("Expires")
    if not _DIGITS.fullmatch(expires) or int(expires) < now.timestamp():
        raise S3Error("AccessDenied", "Request has expired")
    return _check_v2(access_key, signature, _v2_text(request, expires), secrets)


def verify(
    request: S3Request, secrets: Secrets, now: datetime | None = None, v4_only: bool = False
) -> Signed:
    """Checks the request's signature, of whichever version.

    Args:
        request: the request.
        secrets: returns the secret key of an access key.
        now: the current time; None: the clock's.
        v4_only: refuses Signature Version 2, which covers neither the content nor, in headers, the host.

    Raises:
        S3Error: AccessDenied for a request without signature, else the error of its signature.
    """
    now = now or datetime.now(UTC)
    if v4_only and (request.header("authorization").startswith("AWS ") or request.has("AWSAccessKeyId")):
        raise S3Error(
            "InvalidRequest",
            "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256: "
            'a step with share=True takes Signature Version 4 alone (botocore: signature_version="s3v4").',
        )
    _check_v2_date(request, now)
    signed = (
        header_v4(request, secrets, now)
        or query_v4(request, secrets, now)
        or header_v2(request, secrets)
        or query_v2(request, secrets, now)
    )
    if signed is None:
        raise S3Error("AccessDenied", "the request is not signed with the step's access key")
    return signed

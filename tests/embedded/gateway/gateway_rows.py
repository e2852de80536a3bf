"""Answers of the gateway that no recorded vector covers, each with the source line that it follows.

`s2` is github.com/pachyderm/s2 at e4a20345d93c, others are Pachyderm's src/server/pfs/s3 at 7ed6c9f7b9.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field

WRONG_MD5 = base64.b64encode(b"0" * 16).decode()
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
COPY = "x-amz-copy-source"
TWO_PARTS = b"<CompleteMultipartUpload><Part/><Part/></CompleteMultipartUpload>"


@dataclass(frozen=True)
class Row:
    """One request and its answer; auth is off, `ain` is the input bucket, its objects are a.txt and d/0000...

    Args:
        source: the source line that the answer follows.
        request: method and path.
        status: the answer's status.
        code: the error code in the answer's document; "" for none.
        headers: the request's headers; {etag} stands for the hash of a.txt.
        body: the request's body; None: none, and no Content-Length.
        shows: a text that the answer's document has.
        absent: a text that it does not have.
    """

    source: str
    request: str
    status: int
    code: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    shows: str = ""
    absent: str = ""

    def __str__(self) -> str:
        told = "; ".join(f"{name}: {value}" for name, value in self.headers.items())
        return f"{self.request} {told}".strip().replace(" ", "_")


def _many(source: str, *rows: tuple[object, ...]) -> list[Row]:
    return [Row(source, *row) for row in rows]  # type: ignore[arg-type]


def _copies(source: str, status: int, code: str, *texts: str) -> list[Row]:
    return [Row(source, "PUT /out/copied", status, code, {COPY: text}) for text in texts]


def _delete(key: str, version: str = "", quiet: str = "") -> bytes:
    named = f"<Object><Key>{key}</Key><VersionId>{version}</VersionId></Object>"
    return f"<Delete><Quiet>{quiet}</Quiet>{named}</Delete>".encode()


VERSIONS = [
    *_many(
        "object.go:39 after bucket and readable",
        ("GET /ain/a.txt?versionId=v", 501, "NotImplemented"),
        ("HEAD /ain/a.txt?versionId=v", 501),
        ("GET /ain/none?versionId=v", 501, "NotImplemented"),
        ("GET /ain/a.txt?versionId=", 200),
        ("GET /ain/a.txt?versionId", 200),
        ("GET /out/k?versionId=v", 404, "NoSuchKey"),
        ("GET /none/k?versionId=v", 404, "NoSuchBucket"),
    ),
    *_many(
        "object.go:187 before bucket and writable",
        ("DELETE /out/k?versionId=v", 501, "NotImplemented"),
        ("DELETE /none/k?versionId=v", 501, "NotImplemented"),
        ("DELETE /out/k?versionId=", 204),
    ),
    Row(
        "s2 object.go:346",
        "POST /out?delete",
        200,
        "NotImplemented",
        body=_delete("k", "v"),
        absent="<Deleted>",
    ),
    Row("s2 object.go:346", "POST /none?delete", 200, "NotImplemented", body=_delete("k", "v")),
    Row(
        "s2 object.go:346",
        "POST /out?delete",
        200,
        body=_delete("k"),
        shows="<Deleted><Key>k</Key></Deleted>",
    ),
    Row("s2 object.go:223 does not look at it", "PUT /out/versioned?versionId=v", 200, body=b"V"),
    Row("s2 s2.go:113 has no such POST", "POST /out/k?versionId=v", 405, "MethodNotAllowed", body=b""),
    *_copies(
        "object.go:39 by s2 object.go:167",
        501,
        "NotImplemented",
        "/ain/a.txt?versionId=v",
        "/ain/no?versionId=v",
    ),
    *_copies("object.go:35 before the version", 404, "NoSuchKey", "/out/k?versionId=v"),
    *_copies("driver.go:212", 404, "NoSuchBucket", "/none/k?versionId=v"),
    *_copies("s2 object.go:143", 200, "", "/ain/a.txt?versionId=", "/ain/a.txt?x=1#y"),
    Row("s2 object.go:154", "PUT /out/k", 404, "NoSuchKey", {COPY: "/out/k?versionId=v"}),
]

SOURCES = [
    *_copies("s2 object.go:126 url.Parse", 400, "InvalidArgument", "/ain/%zz", "a:b/c"),
    *_copies("s2 object.go:141", 400, "InvalidArgument", "ain", "", "x:ain"),
    *_copies("s2 object.go:135", 400, "InvalidArgument", "ain/d/0000"),
    *_copies("s2 object.go:147", 400, "InvalidBucketName", "/a.txt", "//ain/a.txt", "/"),
    *_copies("s2 object.go:151", 404, "NoSuchKey", "/ain/", "ain/"),
    *_copies(
        "s2 object.go:129", 200, "", "ain/a.txt", "/ain/d/0000", "http://elsewhere/ain/a.txt", "/ain/%61.txt"
    ),
    *[
        Row(
            "s2 util_header_match.go",
            "PUT /out/copied",
            status,
            code,
            {COPY: "/ain/a.txt", f"{COPY}-if-{name}": value},
        )
        for name, value, status, code in (
            ("match", "{etag}", 412, "PreconditionFailed"),
            ("match", '"{etag}"', 412, "PreconditionFailed"),
            ("match", "*", 200, ""),
            ("match", '"x", *', 200, ""),
            ("none-match", "{etag}", 200, ""),
            ("none-match", '"{etag}"', 200, ""),
            ("none-match", "*", 412, "PreconditionFailed"),
            ("modified-since", "Fri, 02 Jan 2026 03:04:05 GMT", 412, "PreconditionFailed"),
            ("modified-since", "Fri, 02 Jan 2026 03:04:04 GMT", 200, ""),
            ("modified-since", "2026-01-03", 200, ""),
            ("unmodified-since", "Fri Jan  2 03:04:04 2026", 412, "PreconditionFailed"),
            ("unmodified-since", "Friday, 02-Jan-26 03:04:05 GMT", 200, ""),
        )
    ],
]

CONDITIONS = [
    Row(source, "GET /ain/a.txt", status, "", {name: value})
    for source, name, value, status in (
        ("s2 s2.go:383", "If-Match", "{etag}", 200),
        ("s2 s2.go:383", "If-Match", "*", 412),
        ("s2 s2.go:383", "If-Match", 'W/"{etag}"', 412),
        ("s2 s2.go:383", "If-Match", '{etag}, "x"', 412),
        ("net/http fs.go checkIfMatch", "If-Match", '"x", "{etag}"', 200),
        ("net/http fs.go etagStrongMatch", "If-Match", '"x", W/"{etag}"', 412),
        ("net/http fs.go checkIfMatch", "If-Match", '"x", *', 200),
        ("net/http fs.go etagWeakMatch", "If-None-Match", '"x", W/"{etag}"', 304),
        ("s2 s2.go:383", "If-None-Match", 'W/"{etag}"', 200),
        ("s2 s2.go:383", "If-None-Match", "{etag}", 304),
        ("net/http http.go ParseTime", "If-Modified-Since", "2 Jan 2026 03:04:05 GMT", 200),
        ("net/http http.go ParseTime", "If-Modified-Since", "Fri Jan  2 03:04:05 2026", 304),
        ("net/http http.go ParseTime", "If-Unmodified-Since", "Friday, 02-Jan-26 03:04:04 GMT", 412),
    )
] + [
    Row(
        "net/http fs.go checkIfRange", "GET /ain/a.txt", status, "", {"If-Range": value, "Range": "bytes=0-1"}
    )
    for value, status in (
        ('"{etag}"', 206),
        ("{etag}", 200),
        ('W/"{etag}"', 200),
        ('"x", "{etag}"', 200),
        ("Fri, 02 Jan 2026 03:04:05 GMT", 206),
        ("Fri, 02 Jan 2026 03:04:06 GMT", 200),
    )
]

SUBRESOURCES = [
    *_many(
        "s2 s2.go:99-105: other methods than the listed go on",
        ("HEAD /ain/a.txt?acl", 200),
        ("HEAD /ain/a.txt?tagging", 200),
        ("GET /ain/a.txt?restore", 200),
        ("GET /ain/a.txt?select", 200),
        ("HEAD /ain/a.txt?torrent", 200),
        ("DELETE /out/k?acl", 204),
        ("DELETE /out/k?retention", 204),
        ("DELETE /out/k?tagging", 501, "NotImplemented"),
        ("POST /out/k?acl", 405, "MethodNotAllowed", {}, b""),
        ("POST /out/k?restore", 501, "NotImplemented", {}, b""),
        ("PUT /out/k?torrent", 200, "", {}, b"T"),
        ("PUT /out/k?legal-hold", 501, "NotImplemented", {}, b"T"),
    ),
    *_many(
        "s2 s2.go:64-94",
        ("HEAD /ain?acl", 200),
        ("HEAD /ain?location", 200),
        ("HEAD /ain?uploads", 200),
        ("GET /ain?replication", 200),
        ("PUT /none?replication", 501, "NotImplemented", {}, b""),
        ("DELETE /none?acl", 501, "NotImplemented"),
        ("POST /none?acl", 501, "NotImplemented", {}, b""),
        ("POST /out?acl&delete", 200, "", {}, _delete("k")),
        ("PATCH /ain?acl", 405, "MethodNotAllowed", {}, b""),
        ("PUT /", 405, "MethodNotAllowed", {}, b""),
    ),
]

LISTINGS = [
    *_many(
        "s2 util_header.go:39 strconv.Atoi",
        ("GET /ain?max-keys=%2B1", 200, "", {}, None, "<MaxKeys>1</MaxKeys>"),
        ("GET /ain?max-keys=-0", 200, "", {}, None, "<MaxKeys>0</MaxKeys>"),
        ("GET /ain?max-keys=1.5", 400, "InvalidArgument"),
        ("GET /ain?max-keys=5001", 400, "InvalidArgument"),
        ("HEAD /ain?max-keys=x", 400),
    ),
    *_many(
        "bucket.go:61 before the bucket",
        ("GET /none?delimiter=x", 400, "InvalidDelimiter"),
        ("GET /none?max-keys=x&delimiter=x", 400, "InvalidArgument"),
    ),
    *_many(
        "s2 bucket.go:336",
        ("GET /ain?versions&max-keys=1001", 400, "InvalidArgument"),
        ("GET /none?versions&max-keys=1000", 501, "NotImplemented"),
    ),
    *_many(
        "s2 multipart.go:145-153",
        ("GET /out?uploads&max-uploads=1001", 400, "InvalidArgument"),
        ("GET /none?uploads&max-uploads=x", 400, "InvalidArgument"),
        ("GET /out?uploads&max-uploads=7", 200, "", {}, None, "<MaxUploads>7</MaxUploads>"),
        (
            "GET /out?uploads&key-marker=k&upload-id-marker=u",
            200,
            "",
            {},
            None,
            "<KeyMarker>k</KeyMarker><UploadIdMarker>u",
        ),
        ("GET /out?uploads&upload-id-marker=u", 200, "", {}, None, "<UploadIdMarker></UploadIdMarker>"),
    ),
    *_many(
        "s2 bucket.go:302-323",
        ("PUT /none?versioning", 400, "MalformedXML", {}, b"no XML"),
        (
            "PUT /none?versioning",
            400,
            "IllegalVersioningConfigurationException",
            {},
            b"<VersioningConfiguration><Status>On</Status></VersioningConfiguration>",
        ),
        (
            "PUT /none?versioning",
            404,
            "NoSuchBucket",
            {},
            b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
        ),
        (
            "PUT /ain?versioning",
            501,
            "NotImplemented",
            {},
            b"<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>",
        ),
        ("PUT /ain?versioning", 200, "", {}, b"<VersioningConfiguration/>"),
    ),
]

BODIES = [
    *_many(
        "s2 s2.go:440 for every request, before its handler",
        ("PUT /none/k", 400, "BadDigest", {"Content-MD5": WRONG_MD5}, b"data"),
        ("PUT /ain/k", 400, "BadDigest", {"Content-MD5": WRONG_MD5}, b"data"),
        ("PUT /out/k*", 400, "BadDigest", {"Content-MD5": WRONG_MD5}, b"data"),
        ("POST /out?delete", 400, "BadDigest", {"Content-MD5": WRONG_MD5}, _delete("k")),
        ("DELETE /out/k", 400, "BadDigest", {"Content-MD5": WRONG_MD5}, b"data"),
        ("GET /ain/a.txt", 400, "BadDigest", {"Content-MD5": WRONG_MD5}, b"data"),
        ("GET /ain/a.txt", 200, "", {"Content-MD5": WRONG_MD5}),
        ("PUT /out/k", 400, "InvalidDigest", {"Content-MD5": ""}, b"data"),
        ("PUT /out/k?uploadId=u", 400, "InvalidDigest", {"Content-MD5": "AAAA"}, b"data"),
    ),
    *_many(
        "s2 object.go:232, multipart.go:302",
        ("PUT /none/k", 411, "MissingContentLength"),
        ("POST /none/k?uploadId=u", 411, "MissingContentLength"),
        ("POST /out?delete", 400, "MalformedXML"),
    ),
    *_many(
        "s2 object.go:301 strconv.ParseBool",
        ("POST /out?delete", 200, "", {}, _delete("k", "", "1"), "DeleteResult", "<Deleted>"),
        ("POST /out?delete", 200, "", {}, _delete("k", "", "F"), "<Deleted>"),
        ("POST /out?delete", 400, "MalformedXML", {}, _delete("k", "", "yes")),
    ),
    Row(
        "object.go:203 maybeNotFoundError",
        "DELETE /out/k*",
        500,
        "InternalError",
        shows="(*) not allowed in path",
    ),
    Row("gorilla/mux cleanPath keeps the query", "GET /ain//d/../a.txt?x=%20y", 301),
]

UPLOADS = [
    *_many(
        "s2 multipart.go:215-221, 406",
        ("GET /out/k?uploadId=u&max-parts=1001", 400, "InvalidArgument"),
        ("GET /none/k?uploadId=u&part-number-marker=10001", 400, "InvalidArgument"),
        ("PUT /none/k?uploadId=u&partNumber=10001", 400, "InvalidArgument", {}, b""),
        ("PUT /out/k?uploadId=u", 404, "NoSuchUpload", {}, b""),
        ("PUT /out/k?uploadId=u&partNumber=1", 404, "NoSuchUpload"),
    ),
    *_many(
        "s2 multipart.go:318-328",
        ("POST /none/k?uploadId=u", 400, "MalformedXML", {}, b"no XML"),
        ("POST /none/k?uploadId=u", 400, "InvalidPartOrder", {}, b"<CompleteMultipartUpload/>"),
        ("POST /out/k?uploadId=u", 404, "NoSuchUpload", {}, TWO_PARTS),
    ),
    Row("s2 multipart.go:312 FormValue takes the body", "POST /out/k?uploadId=u", 400, "MalformedXML", FORM,
        b"<CompleteMultipartUpload><Part/></CompleteMultipartUpload>"),
]  # fmt: skip

ROWS = VERSIONS + SOURCES + CONDITIONS + SUBRESOURCES + LISTINGS + BODIES + UPLOADS

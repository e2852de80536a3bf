from __future__ import annotations

from contextlib import suppress

import botocore.session
import pytest
from hypothesis import given
from hypothesis import strategies as st
from s3_requests import environ, request

from kfp_pachyderm.s3 import xml
from kfp_pachyderm.s3.conditions import Conditions, Span, parse_range
from kfp_pachyderm.s3.errors import S3Error
from kfp_pachyderm.s3.http.wsgi import Response, application
from kfp_pachyderm.s3.listing import page
from kfp_pachyderm.s3.routes import S3_ROUTES, match

KEYS = st.text(alphabet="ab/-é", min_size=1, max_size=6)


class Entry:
    def __init__(self, key: str) -> None:
        self.key = key


def walker(keys: set[str]):
    def walk(prefix: str, after: str):
        return (Entry(key) for key in sorted(keys) if key.startswith(prefix) and key > after)

    return walk


def expected(keys: set[str], prefix: str, delimiter: str) -> tuple[list[str], list[str]]:
    entries, prefixes = [], set()
    for key in sorted(key for key in keys if key.startswith(prefix)):
        head, found, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
        prefixes.add(prefix + head + found) if found else entries.append(key)
    return entries, sorted(prefixes)


@given(
    st.sets(KEYS),
    st.text(alphabet="ab/", max_size=2),
    st.sampled_from(["", "/", "-", "ab"]),
    st.integers(1, 4),
)
def test_pages_add_up_to_the_whole_listing(keys: set[str], prefix: str, delimiter: str, limit: int) -> None:
    entries, prefixes, after = [], [], ""
    while True:
        one = page(walker(keys), prefix=prefix, delimiter=delimiter, after=after, limit=limit)
        assert len(one) <= limit
        entries += [entry.key for entry in one.entries]
        prefixes += one.prefixes
        if not one.truncated:
            break
        assert one.last > after
        after = one.last
    assert (entries, prefixes) == expected(keys, prefix, delimiter)


def test_an_empty_page_is_not_truncated() -> None:
    one = page(walker({"a", "b"}), prefix="", delimiter="", after="", limit=0)
    assert (len(one), one.truncated) == (0, False)


@given(st.text(alphabet="bytes=-0123456789, x", max_size=20), st.integers(0, 50))
def test_any_range_is_inside_or_refused(value: str, size: int) -> None:
    with suppress(S3Error):
        span = parse_range(value, size)
        assert span is None or (span.length > 0 and span.start + span.length <= size)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 50))
def test_ranges_select_what_slices_do(first: int, last: int, size: int) -> None:
    content = bytes(range(size))
    if first <= last and first < size:
        span = parse_range(f"bytes={first}-{last}", size)
        assert span
        assert content[span.start : span.start + span.length] == content[first : last + 1]


def test_suffix_ranges() -> None:
    assert parse_range("bytes=-3", 10) == Span(7, 3)
    assert parse_range("bytes=-30", 10) == Span(0, 10)
    for value in ("bytes=-0", "bytes=10-"):
        with pytest.raises(S3Error, match="InvalidRange"):
            parse_range(value, 10)
    for value in ("bytes=5-2", "bytes=0-0,2-3", "items=0-1", "bytes=abc", "bytes=-"):
        assert parse_range(value, 10) is None


TEXT = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=20)


@given(TEXT)
def test_xml_comes_back_as_it_was_written(text: str) -> None:
    data = xml.document("Delete", [("Object", [("Key", text)])])
    assert xml.parse(data, "Delete").all("Object")[0].value("Key") == text.replace(
        "\ufffe", "\ufffd"
    ).replace("\uffff", "\ufffd")


@given(st.binary(max_size=60))
def test_no_document_breaks_the_parser(data: bytes) -> None:
    with pytest.raises(S3Error, match="MalformedXML"):
        xml.parse(data, "Delete")


@pytest.mark.parametrize(
    "document",
    [
        '<!DOCTYPE d [<!ENTITY e "x">]><Delete>&e;</Delete>',
        "<?xml version='1.0' encoding='utf-16'?><!DOCTYPE d><Delete/>",
        "<Delete>" * 1000 + "</Delete>" * 1000,
        "<Other/>",
        "",
    ],
)
def test_dangerous_documents_are_refused(document: str) -> None:
    with pytest.raises(S3Error, match="MalformedXML"):
        xml.parse(document.encode(), "Delete")


def test_control_characters_do_not_break_a_document() -> None:
    data = xml.document("Error", [("Resource", "a\x00b\x1bc\td\ud800")])
    assert xml.parse(data, "Error").value("Resource") == "a\ufffdb\ufffdc\td\ufffd"


def test_paths_and_queries() -> None:
    made = request("GET", "/bucket/a%20b/c+d%2Fe?prefix=x+y%2B&uploads&a=1&a=2")
    assert (made.bucket, made.key) == ("bucket", "a b/c+d/e")
    assert (made.param("prefix"), made.has("uploads"), made.param("a")) == ("x y+", True, "1")
    assert request("GET", "http://host/b/k").key == "k"
    with pytest.raises(S3Error, match="InvalidURI"):
        request("GET", "/b/%ff")
    for length in ("-1", "1.5", "x", "²"):
        with pytest.raises(S3Error, match="InvalidArgument"):
            request("PUT", "/b/k", {"Content-Length": length})


@pytest.mark.parametrize(
    ("method", "uri", "headers", "operation"),
    [
        ("GET", "/", {}, "ListBuckets"),
        ("GET", "/b?list-type=2", {}, "ListObjects"),
        ("GET", "/b/?uploads", {}, "ListMultipartUploads"),
        ("GET", "/b?acl", {}, "GetAcl"),
        ("PUT", "/b?acl", {}, "NotImplemented"),
        ("GET", "/b?logging", {}, "GetEmptyConfiguration"),
        ("GET", "/b/k?retention", {}, "GetObjectLock"),
        ("POST", "/b?delete", {}, "DeleteObjects"),
        ("PUT", "/b/k", {}, "PutObject"),
        ("PUT", "/b/k", {"x-amz-copy-source": "/b/j"}, "CopyObject"),
        ("PUT", "/b/k?partNumber=1&uploadId=x", {"x-amz-copy-source": "/b/j"}, "UploadPartCopy"),
        ("PUT", "/b/k?partNumber=1&uploadId=x", {}, "UploadPart"),
        ("DELETE", "/b/k?uploadId=x", {}, "AbortMultipartUpload"),
        ("PUT", "/b/k?tagging", {}, "NotImplemented"),
        ("GET", "/b/k?tagging", {}, "GetObjectTagging"),
        ("GET", "/b/k?attributes", {}, "GetObjectAttributes"),
        ("GET", "/b?policy", {}, "GetAbsentConfiguration"),
        ("PUT", "/b?policy", {}, "NotImplemented"),
    ],
)
def test_routes(method: str, uri: str, headers: dict[str, str], operation: str) -> None:
    assert match(S3_ROUTES, request(method, uri, headers)) == operation


#: Operations whose path names no subresource.
WHOLE = {
    "AbortMultipartUpload", "CompleteMultipartUpload", "CopyObject", "CreateBucket", "DeleteBucket",
    "DeleteObject", "GetObject", "HeadBucket", "HeadObject", "ListBuckets", "ListDirectoryBuckets",
    "ListObjects", "ListObjectsV2", "ListParts", "PutObject", "UploadPart", "UploadPartCopy",
    "WriteGetObjectResponse",
}  # fmt: skip


def test_what_is_asked_of_a_subresource_is_not_done_to_the_object_or_the_bucket() -> None:
    """All operations of botocore: storing an annotation stores no object, deleting it deletes no object."""
    model = botocore.session.get_session().get_service_model("s3")
    asked = {name: model.operation_model(name).http for name in set(model.operation_names) - WHOLE}
    assert all("?" in http["requestUri"] for http in asked.values())
    found = {
        name: match(
            S3_ROUTES, request(http["method"], http["requestUri"].format(Bucket="b", **{"Key+": "k"}))
        )
        for name, http in asked.items()
    }
    assert {name: operation for name, operation in found.items() if operation in WHOLE} == {}


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(S3Error, match="MethodNotAllowed"):
        match(S3_ROUTES, request("PATCH", "/b/k"))


def test_conditions_ignore_quotes_and_bad_dates() -> None:
    from datetime import UTC, datetime

    when = datetime(2026, 1, 1, tzinfo=UTC)
    assert Conditions("e", "", "", "").check("e", when)
    assert Conditions('"x", W/"e"', "", "", "").check("e", when)
    assert not Conditions("", "*", "", "").check("e", when)
    assert Conditions("", "", "never", "never").check("e", when)
    with pytest.raises(S3Error, match="PreconditionFailed"):
        Conditions("", "", "", "Wed, 31 Dec 2025 00:00:00 GMT").check("e", when)


def _answer(handle, environment) -> tuple[str, bytes]:
    seen = []
    body = b"".join(application(handle)(environment, lambda status, _headers: seen.append(status)))
    return seen[0], body


def test_a_failure_inside_shows_no_trace(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_request: object) -> Response:
        raise ZeroDivisionError("secret detail")

    status, body = _answer(broken, environ("GET", "/b/k"))
    assert status.startswith("500")
    assert b"secret" not in body
    assert b"<Code>InternalError</Code>" in body
    assert "secret detail" in caplog.text


def test_a_request_that_cannot_be_read_closes_the_connection() -> None:
    status, body = _answer(lambda _: Response(), environ("PUT", "/b/k", {"Content-Length": "-5"}))
    assert status.startswith("400")
    assert b"InvalidArgument" in body

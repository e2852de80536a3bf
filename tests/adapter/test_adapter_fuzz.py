"""Whatever a client sends, the adapter answers or closes in time, never with 5xx, a traceback or a secret."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from adapter_steps import ACCESS, SECRET, Step
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from raw_http import exchange, request, signed, status, statuses

TOKEN = "token-of-the-job"
#: NotImplemented, and HTTP/2 or later in the request line.
DELIBERATE = {501, 505}
few = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def step(new_step: Any) -> Iterator[Step]:
    """One adapter for all requests of this module: it has to survive them."""
    with new_step(token=TOKEN) as made:
        yield made
        assert status(made, request("GET", "out", {"max-keys": "1"})) == 200


def answers(step: Step, data: bytes) -> list[int]:
    """The statuses of the answers, which are checked for 5xx, tracebacks and secrets."""
    answer = exchange(step, data)
    for secret in (TOKEN, SECRET, "Traceback", 'File "'):
        assert secret.encode() not in answer
    found = statuses(answer)
    assert all(code < 500 or code in DELIBERATE for code in found), answer[:500]
    return found


LINE = st.binary(max_size=40).map(lambda data: data.replace(b"\r", b"").replace(b"\n", b""))
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=30)
WORD = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=30)
NUMBER = st.one_of(st.integers(-3, 3).map(str), st.integers(4000, 5000).map(lambda size: "9" * size), WORD)


@few
@given(
    st.sampled_from([b"GET", b"PUT", b"POST", b"HEAD", b"DELETE", b"OPTIONS", b"CONNECT", b"PATCH", b"get"]),
    st.one_of(
        LINE, LINE.map(lambda line: b"/out/" + line), st.sampled_from([b"//[", b"http://[", b"*", b"/#"])
    ),
    st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/x", b"HTTP/1.1 x", b""]),
    st.lists(st.tuples(LINE, LINE), max_size=5),
    st.binary(max_size=40),
)
@example(b"GET", b"//[", b"HTTP/1.1", [], b"")
@example(b"PUT", b"/out/k", b"HTTP/1.1", [(b"Content-Length", b"9" * 5000)], b"")
@example(b"PUT", b"/out/k", b"HTTP/1.1", [(b"Content-Length", b"-5")], b"")
def test_heads(
    step: Step, method: bytes, target: bytes, version: bytes, headers: list[tuple[bytes, bytes]], rest: bytes
) -> None:
    lines = [b" ".join([method, target, version]), *(name + b": " + value for name, value in headers)]
    assert 200 not in answers(step, b"\r\n".join(lines) + b"\r\n\r\n" + rest)


PARAMETERS = [
    "list-type", "prefix", "delimiter", "marker", "start-after", "continuation-token",
    "encoding-type", "max-keys", "max-uploads", "max-parts", "key-marker", "upload-id-marker",
    "part-number-marker", "uploads", "uploadId", "partNumber", "attributes", "tagging", "acl",
    "policy", "versionId", "response-content-type", "response-content-disposition",
    "response-expires",
]  # fmt: skip
QUERIES = st.dictionaries(
    st.sampled_from(PARAMETERS),
    st.one_of(TEXT, NUMBER, st.sampled_from(["2", "url", "/", "a\r\nX-Injected: 1"])),
    max_size=4,
)
NAMES = [
    "range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range",
    "content-md5", "content-type", "content-encoding", "x-amz-copy-source",
    "x-amz-copy-source-range", "x-amz-checksum-crc32", "x-amz-checksum-crc64nvme",
    "x-amz-checksum-sha256", "x-amz-trailer", "x-amz-checksum-algorithm", "x-amz-checksum-type",
    "x-amz-checksum-mode", "x-amz-mp-object-size", "x-amz-object-attributes", "x-amz-max-parts",
    "x-amz-part-number-marker", "x-amz-meta-a", "x-amz-decoded-content-length",
    "x-amz-if-match-last-modified-time", "x-amz-metadata-directive",
]  # fmt: skip
HEADERS = st.dictionaries(
    st.sampled_from(NAMES),
    st.one_of(
        WORD,
        NUMBER,
        st.tuples(NUMBER, NUMBER).map(lambda ends: f"bytes={ends[0][:20]}-{ends[1][:20]}"),
        st.sampled_from(
            ["/images/a.txt", "/out/k", "Fri, 31 Dec 9999 23:59:59 -2359", "0001-01-01T00:00:00+14:00"]
        ),
        st.sampled_from(["aws-chunked", "ETag,Checksum,ObjectParts", "SHA256", "ENABLED", "REPLACE", "*"]),
    ),
    max_size=4,
)


@few
@given(
    st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE"]),
    st.one_of(
        TEXT, TEXT.map(lambda key: "out/" + key), st.sampled_from(["images/a.txt", "out/k", "images", "out"])
    ),
    QUERIES,
    HEADERS,
    st.binary(max_size=30),
)
@example("GET", "images", {"max-keys": "9" * 5000}, {}, b"")
@example("GET", "images/a.txt", {"response-content-type": "\u6f22"}, {}, b"")
@example("GET", "images/a.txt", {"partNumber": "1", "response-expires": "a\r\nX-Injected: 1"}, {}, b"")
@example("DELETE", "out/k", {}, {"x-amz-if-match-last-modified-time": "0001-01-01T00:00:00+14:00"}, b"")
def test_signed_requests(
    step: Step, method: str, key: str, query: dict[str, str], headers: dict[str, str], body: bytes
) -> None:
    data = request(method, key, query, headers, body)
    assert len(answers(step, data)) == 1
    assert b"X-Injected" not in exchange(step, data).partition(b"\r\n\r\n")[0]


@few
@given(st.sampled_from(["Credential", "SignedHeaders", "Signature", "date", "query"]), TEXT.filter(bool))
@example("date", "00010101T000000Z")
@example("date", "99991231T235959Z")
def test_spoilt_signatures(step: Step, what: str, value: str) -> None:
    """No request with a wrong signature is accepted."""
    good, seal = signed("GET", "images/a.txt")
    assert answers(step, good + b"\r\n") == [200]
    raw = value.replace("\r", "").replace("\n", "").encode()
    if what == "query":
        pairs = {
            "Algorithm": "AWS4-HMAC-SHA256",
            "Credential": f"{ACCESS}/{seal.scope}",
            "Date": "00010101T000000Z",
            "Expires": "-9999999999",
            "SignedHeaders": "host",
            "Signature": value,
        }
        query = urlencode({"X-Amz-" + name: given for name, given in pairs.items()})
        spoilt = f"GET /images/a.txt?{query} HTTP/1.1\r\nHost: a\r\n".encode()
    elif what == "date":
        spoilt = good.replace(b"x-amz-date: " + seal.date.encode(), b"x-amz-date: " + raw)
    else:
        spoilt = re.sub(what.encode() + b"=[^,\r]*", lambda _: what.encode() + b"=x" + raw, good)
    (found,) = answers(step, spoilt + b"\r\n")
    assert found in (400, 403)


FORMS = ["STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"]
FORMS += ["STREAMING-UNSIGNED-PAYLOAD-TRAILER"]


def framed(form: str, content: bytes) -> bytes:
    """A PUT of the content in two chunks, as the SDKs send it."""
    trailer = b"x-amz-checksum-sha256:" + base64.b64encode(hashlib.sha256(content).digest())
    chunks = [content[:9], content[9:], b""]
    names = {"x-amz-trailer": "x-amz-checksum-sha256"} if form.endswith("TRAILER") else {}
    decoded = {"x-amz-decoded-content-length": str(len(content)), **names}
    head, seal = signed("PUT", "out/framed", {}, decoded, form)
    previous, lines = seal.signature, []

    def sign(kind: str, *digests: str) -> str:
        return seal.sign(f"AWS4-HMAC-SHA256-{kind}", seal.date, seal.scope, previous, *digests)

    for chunk in chunks:
        previous = sign("PAYLOAD", hashlib.sha256().hexdigest(), hashlib.sha256(chunk).hexdigest())
        tail = b";chunk-signature=" + previous.encode() if "AWS4" in form else b""
        lines.append(b"%x%s" % (len(chunk), tail))
        lines += [chunk] if chunk else []
    lines += [trailer] if names else []
    if names and "AWS4" in form:
        digest = hashlib.sha256(trailer + b"\n").hexdigest()
        lines.append(b"x-amz-trailer-signature:" + sign("TRAILER", digest).encode())
    return head, b"\r\n".join(lines) + b"\r\n\r\n"


def transferred(body: bytes, size: int) -> bytes:
    """The body with Transfer-Encoding: chunked."""
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


@few
@given(
    st.sampled_from(FORMS),
    st.booleans(),
    st.integers(0, 2**20),
    st.one_of(st.none(), st.integers(1, 255)),
    st.booleans(),
)
@example(FORMS[0], False, 0, None, False)
@example(FORMS[1], True, 0, None, False)
@example(FORMS[2], True, 0, None, False)
def test_chunked_bodies(
    step: Step, form: str, chunked: bool, place: int, flip: int | None, cut: bool
) -> None:
    """A body that was changed or cut on its way is refused, unless its content is still the same."""
    content = b"some content, not so long"
    head, body = framed(form, content)
    if chunked:
        body = transferred(body, 7)
    spoilt = bytearray(body)
    place %= len(body)
    if flip:
        spoilt[place] ^= flip
    if cut:
        del spoilt[place:]
    length = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(spoilt)
    found = answers(step, head + length + b"\r\n\r\n" + bytes(spoilt))
    if not flip and not cut:
        assert found == [200]
    if found[:1] == [200]:
        assert exchange(step, request("GET", "out/framed")).endswith(b"\r\n\r\n" + content)


LEVELS = "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(25))
BOMB = f'<!DOCTYPE d [<!ENTITY a "aaaaaaaaaa">{LEVELS}]><Delete><Object><Key>&z;</Key></Object></Delete>'
EXTERNAL = (
    '<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><Delete><Object><Key>&x;</Key></Object></Delete>'
)
DOCUMENTS = st.one_of(
    st.binary(max_size=60),
    TEXT.map(lambda text: f"<Delete><Object><Key>{text}</Key></Object></Delete>".encode()),
    st.tuples(NUMBER, TEXT).map(
        lambda part: (
            "<CompleteMultipartUpload><Part>"
            f"<PartNumber>{part[0]}</PartNumber><ETag>{part[1]}</ETag></Part></CompleteMultipartUpload>"
        ).encode()
    ),
)


@few
@given(DOCUMENTS)
@example(BOMB.encode())
@example(EXTERNAL.encode())
@example(b"<Delete>" * 100_000)
@example(b"<Delete>" + b"<a/>" * 2**20 + b"</Delete>")
@example(b"<Delete><Object><Key>" + b"k" * 2**23)
@example("<?xml version='1.0' encoding='utf-16'?><Delete/>".encode("utf-16"))
@example(b"<?xml version='1.0' encoding='x-none'?><Delete/>")
def test_documents(step: Step, document: bytes) -> None:
    for key, query in (("out", {"delete": ""}), ("out/k", {"uploadId": "none"})):
        answer = exchange(step, request("POST", key, query, body=document))
        assert b"root:" not in answer
        assert statuses(answer)[0] in (200, 400, 404)
    assert step.peak_memory() < 150 * 2**20

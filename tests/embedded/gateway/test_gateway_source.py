"""Answers of the gateway that follow the source of s2 and of Pachyderm's gateway, not a recorded vector."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import io
import re
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import formatdate
from urllib.parse import quote

import pytest
from gateway_rows import FORM, ROWS, Row
from test_gateway import SERVICE, Running

from kfp_pachyderm.s3.request import S3Request
from kfp_pachyderm.s3.signature import sign


@pytest.fixture(scope="module")
def gateway() -> Iterator[Running]:
    running = Running(None)
    yield running
    running.server.close()


@pytest.fixture(scope="module")
def guarded() -> Iterator[Running]:
    running = Running("token")
    yield running
    running.server.close()


HOST = f"{SERVICE}.pachyderm:1600"
Answer = tuple[int, dict[str, str], str]


def ask(running: Running, request: str, headers: dict[str, str], body: bytes | None = None) -> Answer:
    method, path = request.split(" ")
    connection = http.client.HTTPConnection("127.0.0.1", running.server.port, timeout=60)
    try:
        connection.putrequest(method, path)
        for name, value in headers.items():
            connection.putheader(name, value)
        chunked = "Transfer-Encoding" in headers
        if body is not None and not chunked and "Content-Length" not in headers:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders()
        if body:
            connection.send(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if chunked else body)
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read().decode()
    finally:
        connection.close()


def code(text: str) -> str:
    found = re.search(r"<Code>(\w+)</Code>", text)
    return found[1] if found else ""


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_answers_as_the_source_says(gateway: Running, row: Row) -> None:
    etag = hashlib.blake2b(b"auth data", digest_size=32).hexdigest()
    headers = {name: value.replace("{etag}", etag) for name, value in row.headers.items()}
    status, _, text = ask(gateway, row.request, headers, row.body)
    assert (status, code(text)) == (row.status, row.code), text
    assert row.shows in text
    assert not row.absent or row.absent not in text


def test_a_head_has_the_length_of_the_body_that_a_get_would_have(gateway: Running) -> None:
    """net/http server.go, chunkWriter.writeHeader: only if the answer fits into 2048 bytes."""
    for path in ("/out", "/", "/ain?max-keys=5", "/none", "/out/k", "/ain/none", "/ain?max-keys=x", "/b!d"):
        got, head = ask(gateway, f"GET {path}", {}), ask(gateway, f"HEAD {path}", {})
        assert (head[0], head[2]) == (got[0], "")
        assert head[1]["content-length"] == str(len(got[2])), path
    assert ask(gateway, "HEAD /out", {})[1]["content-length"] == "229"
    assert "content-length" not in ask(gateway, "HEAD /ain", {})[1], "1501 objects: begun before it is known"
    assert "content-length" not in ask(gateway, "HEAD /ain/a.txt", {"If-Match": "x"})[1], "no body at all"


@pytest.mark.parametrize("request_line", ["PUT /out/k", "PUT /none/k", "POST /out?delete", "GET /ain/a.txt"])
@pytest.mark.parametrize("length", [2**32, 2**63 - 1])
def test_a_length_of_more_than_32_bits_is_refused_at_once(
    gateway: Running, request_line: str, length: int
) -> None:
    """s2 s2.go:398; nothing of the body is read, and the connection ends."""
    status, headers, text = ask(gateway, request_line, {"Content-Length": str(length)})
    assert (status, code(text), headers["connection"]) == (400, "InvalidArgument", "close")


def test_a_client_that_sends_all_the_same_reads_the_refusal(gateway: Running) -> None:
    with socket.create_connection(("127.0.0.1", gateway.server.port), timeout=60) as client:
        client.sendall(f"PUT /out/k HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {2**32}\r\n\r\n".encode())
        client.sendall(b"x" * 2**16)
        assert client.recv(2**16).startswith(b"HTTP/1.1 400 ")


def test_a_length_that_go_can_not_hold_is_no_request(gateway: Running) -> None:
    """net/http transfer.go, parseContentLength."""
    assert ask(gateway, "PUT /out/k", {"Content-Length": str(2**63)})[::2] == (400, "400 Bad Request")


def test_what_is_refused_for_its_body_is_not_done(gateway: Running) -> None:
    view = gateway.buckets.buckets["out"].view
    ask(gateway, "PUT /out/kept", {}, b"kept")
    wrong = {"Content-MD5": base64.b64encode(b"0" * 16).decode()}
    document = b"<Delete><Object><Key>kept</Key></Object></Delete>"
    for line, body in (
        ("PUT /out/kept", b"other"),
        ("DELETE /out/kept", b"x"),
        ("POST /out?delete", document),
    ):
        assert ask(gateway, line, wrong, body)[0] == 400
    assert b"".join(view.read("/kept", 0, 9)) == b"kept"


@pytest.mark.parametrize(
    "line", ["DELETE /out/k", "POST /out?delete", "PUT /none/k", "PUT /out/k?uploadId=u"]
)
def test_a_short_body_comes_before_everything_else(gateway: Running, line: str) -> None:
    """s2 s2.go:459, readBody."""
    with socket.create_connection(("127.0.0.1", gateway.server.port), timeout=60) as client:
        client.sendall(f"{line} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 9\r\n\r\nx".encode())
        client.shutdown(socket.SHUT_WR)
        answer = client.makefile("rb").read().decode()
    assert " 500 " in answer
    assert "unexpected EOF" in answer


def test_chunked_bodies(gateway: Running) -> None:
    """Go hides the Content-Length: s2 s2.go:392 goes on, object.go:232 and multipart.go:302 refuse."""
    chunked, view = {"Transfer-Encoding": "chunked"}, gateway.buckets.buckets["out"].view
    ask(gateway, "PUT /out/gone", {}, b"x")
    document = b"<Delete><Object><Key>gone</Key></Object></Delete>"
    status, _, text = ask(gateway, "POST /out?delete", chunked, document)
    assert (status, "<Deleted>" in text, view.inspect("/gone")) == (200, True, None)
    assert ask(gateway, "PUT /out/k", chunked, b"x")[0] == 411
    assert ask(gateway, "POST /out/k?uploadId=u", chunked, b"<CompleteMultipartUpload/>")[0] == 411


def test_parts(gateway: Running) -> None:
    """s2 multipart.go:394 needs no length; 399 drops what Go reads as a form; parts are sorted as texts."""
    _, _, text = ask(gateway, "POST /out/parts?uploads", {}, b"")
    upload = text.split("<UploadId>")[1].split("<")[0]
    sent = {0: b"0", 1: b"one", 2: b"two", 10: b"ten"}
    for number, body in sent.items():
        status, _, _ = ask(gateway, f"PUT /out/parts?uploadId={upload}&partNumber={number}", {}, body)
        assert status == 200
    line = f"PUT /out/parts?uploadId={upload}&partNumber="
    assert ask(gateway, f"{line}3", {"Transfer-Encoding": "chunked"}, b"three")[0] == 200
    assert ask(gateway, f"{line}4", FORM, b"lost")[0] == 200
    assert ask(gateway, f"{line}5", {})[0] == 200

    def listed(more: str) -> tuple[list[int], str]:
        _, _, answer = ask(gateway, f"GET /out/parts?uploadId={upload}&part-number-marker={more}", {})
        numbers = [int(one) for one in re.findall(r"<PartNumber>(\d+)<", answer)]
        return numbers, answer.split("<NextPartNumberMarker>")[1].split("<")[0]

    kept = re.match(r"\d*", upload)[0]
    first = [int(kept)] if kept and int(kept) > 1 else []
    assert listed("1")[0] == [*first, 10, 2, 3, 4, 5] or first
    assert listed("9999999"[:4]) in (([*first], "0"), ([], "0"))
    numbers, marker = listed("2&max-parts=1")
    assert (len(numbers), marker) == (1, str(numbers[0]))
    assert listed("2&max-parts=0") == ([], "0")

    document = "".join(f"<Part><PartNumber>{number}</PartNumber></Part>" for number in (3, 3))
    whole = f"<CompleteMultipartUpload>{document}</CompleteMultipartUpload>".encode()
    status, _, text = ask(gateway, f"POST /out/parts?uploadId={upload}", {}, whole)
    assert (status, code(text)) == (400, "EntityTooSmall"), "the same number twice is in order"
    for number, body in ((3, b"three"), (4, b""), (5, b"")):
        part = f"<Part><PartNumber> {number} </PartNumber></Part>"
        one = f"<CompleteMultipartUpload>{part}</CompleteMultipartUpload>".encode()
        assert ask(gateway, f"POST /out/parts?uploadId={upload}", {}, one)[0] == 200
        assert b"".join(gateway.buckets.buckets["out"].view.read("/parts", 0, 99)) == body


def test_a_redirect_keeps_the_query(gateway: Running) -> None:
    """gorilla/mux mux.go, ServeHTTP."""
    headers = ask(gateway, "GET /ain//d/../a.txt?x=%20y", {})[1]
    assert headers["location"] == "/ain/a.txt?x=%20y"


def v4(key: str, secret: str, path: str = "/", date: str = "", **headers: str) -> dict[str, str]:
    date = date or datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    signed = {"host": HOST, "x-amz-date": date, "x-amz-content-sha256": "UNSIGNED-PAYLOAD", **headers}
    request = S3Request("GET", path, path, "", "", (), signed, io.BytesIO(), None)
    return {**signed, "authorization": sign(request, key, secret, date)}


def v2(key: str, path: str, resource: str = "", **headers: str) -> dict[str, str]:
    date = formatdate(usegmt=True)
    text = f"GET\n\n\n{date}\n{path}{resource}"
    digest = base64.b64encode(hmac.new(key.encode(), text.encode(), "sha1").digest()).decode()
    return {"date": date, "authorization": f"AWS {key}:{digest}", **headers}


def signed_answer(running: Running, headers: dict[str, str], path: str = "/") -> tuple[int, str]:
    """Sends a signed request on a socket, since its Host header is signed, too."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in {"host": HOST, **headers}.items())
    with socket.create_connection(("127.0.0.1", running.server.port), timeout=60) as client:
        client.sendall(
            f"GET {quote(path, safe='/?=&')} HTTP/1.1\r\n{lines}Connection: close\r\n\r\n".encode()
        )
        answer = client.makefile("rb").read().decode()
    return int(answer.split(" ")[1]), code(answer)


def test_an_empty_access_key(gateway: Running, guarded: Running) -> None:
    """auth.go:16: with auth off every key is its own secret; with auth on the empty one is no token."""
    assert signed_answer(gateway, v4("", "")) == (200, "")
    assert signed_answer(gateway, v4("", "x")) == (403, "SignatureDoesNotMatch")
    assert signed_answer(guarded, v4("", "")) == (403, "InvalidAccessKeyId")
    assert signed_answer(gateway, v2("", "/")) == (200, "")


def test_what_s2_takes_for_a_signature(gateway: Running, guarded: Running) -> None:
    """s2 s2.go:350-358: the header's start decides, and its fields must have one order."""
    good = v4("k", "k")["authorization"]
    scope, names, signature = good.split(", ")
    malformed = (400, "AuthorizationHeaderMalformed")
    for text in (
        f"{scope}, {signature}, {names}",
        f"{scope} {names}, {signature}",
        good.replace("/s3/", "/sts/"),
    ):
        assert signed_answer(gateway, {"authorization": text}) == malformed
    assert signed_answer(gateway, {"authorization": "AWS4-HMAC-SHA256"}) == (200, "")
    assert signed_answer(guarded, {"authorization": "AWS4-HMAC-SHA256"}) == (403, "AccessDenied")
    assert signed_answer(gateway, {"authorization": "AWS key"}) == (400, "InvalidArgument")
    assert signed_answer(guarded, {"authorization": "AWS key"}) == (400, "InvalidArgument")
    assert signed_answer(gateway, {**v4("k", "k"), "authorization": good.replace(", ", ",")})[0] in (200, 403)


def test_the_key_is_asked_for_before_the_time(guarded: Running) -> None:
    """s2 s2.go:181 before 209; util_header.go:171."""
    old = v4("token", "token", date="20200101T000000Z")
    assert signed_answer(guarded, old) == (403, "RequestTimeTooSkewed")
    assert signed_answer(guarded, v4("other", "other", date="20200101T000000Z")) == (
        403,
        "InvalidAccessKeyId",
    )
    assert signed_answer(guarded, {**v4("token", "token"), "x-amz-date": "yesterday"}) == (
        403,
        "AccessDenied",
    )
    del old["x-amz-date"]
    assert signed_answer(guarded, old) == (403, "AccessDenied"), "no date at all"


def test_signed_values_are_not_collapsed(gateway: Running) -> None:
    """s2 s2.go:197 only trims values, where S3 also makes one space of several."""
    headers = v4("k", "k", **{"x-amz-meta-a": "two  spaces"})
    assert signed_answer(gateway, headers) == (403, "SignatureDoesNotMatch")
    assert signed_answer(gateway, v4("k", "k", **{"x-amz-meta-a": "one space"})) == (200, "")


def test_version_2_covers_the_decoded_path_and_no_amz_header(gateway: Running) -> None:
    """s2 s2.go:282 looks for lower-case names, which Go's headers never have; 305 takes the decoded path."""
    assert signed_answer(gateway, v2("k", "/ain/a b"), "/ain/a b") == (404, "NoSuchKey")
    assert signed_answer(gateway, v2("k", "/ain/a%20b"), "/ain/a b") == (403, "AccessDenied")
    assert signed_answer(gateway, v2("k", "/ain", "?location"), "/ain?location") == (200, "")
    assert signed_answer(gateway, v2("k", "/ain"), "/ain?delimiter=/") == (200, "")
    assert signed_answer(gateway, v2("k", "/ain", **{"x-amz-meta-a": "b"}), "/ain") == (200, "")
    assert signed_answer(gateway, v2("k", "/ain", **{"x-amz-date": "20200101T000000Z"}), "/ain") == (
        403,
        "RequestTimeTooSkewed",
    )

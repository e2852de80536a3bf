"""The embedded gateway answers as a real Pachyderm 2.12 sidecar's was recorded (see vectors/README.md)."""

from __future__ import annotations

import base64
import http.client
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from gateway_memory import MemoryView
from gateway_replay import KEY, Recording, body_of, comparable, lines

from kfp_pachyderm.embedded.gateway.app import gateway_app
from kfp_pachyderm.embedded.gateway.job_buckets import Bucket, JobBuckets
from kfp_pachyderm.s3.http.server import S3Server

VECTORS = lines("gateway.jsonl")
REQUESTS = [line for line in VECTORS if "request" in line]
EXPECTED = json.loads((Path(__file__).parent / "vectors" / "expected_failures.json").read_text())

_UPLOAD = re.compile(r"<UploadId>([0-9a-f]{32})</UploadId>")


def _buckets(state: dict[str, Any], service: str, job: str, token: str | None = None) -> JobBuckets:
    committed = datetime(2026, 11, 23, 7, 20, 6, 908494, UTC)
    files = {path: base64.b64decode(content) for path, content in state["files"].items()}
    name = state["input_bucket"]
    return JobBuckets(
        service=service,
        buckets={
            name: Bucket(name, False, job, committed, MemoryView(files, committed)),
            "out": Bucket("out", True, job, committed, MemoryView()),
        },
        token=token,
    )


class Replay:
    """Two jobs' gateways, and the state that later recorded requests need (upload IDs, ETags)."""

    def __init__(self) -> None:
        state, second = (line for line in VECTORS if line["name"].startswith("_state"))
        self.second_from = second["seq"]
        self.ids = {state["job_id"]: "JOB", second["job_id"]: "JOB"}
        self.servers = [self._server(state, state, state), self._server(state, second, second)]
        self.uploads: dict[str, str] = {}
        self.etags: dict[str, str] = {}

    @staticmethod
    def _server(state: dict[str, Any], host: dict[str, Any], job: dict[str, Any]) -> S3Server:
        service = host["host_header"].partition(".")[0]
        return S3Server(gateway_app(_buckets(state, service, job["job_id"]), frozenset()))

    def recording(self, line: dict[str, Any]) -> Recording:
        request, path = line["request"], line["request"]["path"]
        for recorded, ours in self.uploads.items():
            path = path.replace(recorded, ours)
        wrong = "wrong" in line["name"] and "auth" in line["name"]
        headers = {name: self._own_etag(value) for name, value in request["headers"].items()}
        made = Recording(request["method"], path, headers, body_of(request), "bad" if wrong else KEY)
        made.sign()
        if line["name"] in ("signed_streaming_good", "signed_streaming_trailer"):
            made.sign_chunks()
        return made

    def _own_etag(self, value: str) -> str:
        for recorded, ours in self.etags.items():
            value = value.replace(recorded, ours)
        return value

    def _learn(self, line: dict[str, Any], headers: dict[str, str], text: str) -> None:
        recorded, ours = _UPLOAD.search(line["response"].get("body_text") or ""), _UPLOAD.search(text)
        if recorded and ours:
            self.uploads[recorded[1]] = ours[1]
        etag = next((value for name, value in line["response"].get("headers", []) if name == "Etag"), "")
        if etag and "etag" in headers:
            self.etags[etag.strip('"')] = headers["etag"].strip('"')

    def ask(self, line: dict[str, Any]) -> dict[str, Any]:
        server = self.servers[line["seq"] >= self.second_from]
        try:
            status, headers, body = self.recording(line).send(server.port)
        except (http.client.RemoteDisconnected, ConnectionError):
            return comparable(None, {}, "", self.ids)
        text = body.decode("utf-8", "replace")
        self._learn(line, headers, text)
        return comparable(status, headers, text, self.ids)

    def close(self) -> None:
        for server in self.servers:
            server.close()


@pytest.fixture(scope="module")
def answers() -> Iterator[dict[int, dict[str, Any]]]:
    replay = Replay()
    try:
        yield {line["seq"]: replay.ask(line) for line in REQUESTS}
    finally:
        replay.close()


def _recorded(line: dict[str, Any]) -> dict[str, Any]:
    response = line["response"]
    headers = {name.lower(): value for name, value in response.get("headers", [])}
    ids = {one["job_id"]: "JOB" for one in VECTORS if one["name"].startswith("_state")}
    body = response.get("body_text")
    if body is None:
        body = base64.b64decode(response.get("body_b64") or "").decode("utf-8", "replace")
    if line["request"]["method"] == "HEAD":
        body = ""
    return comparable(response.get("status"), headers, body, ids)


def _parameters() -> list[Any]:
    marked = []
    for line in REQUESTS:
        reason = EXPECTED.get(line["name"])
        marks = [pytest.mark.xfail(reason=reason, strict=True)] if reason else []
        marked.append(pytest.param(line, id=f"{line['seq']}-{line['name']}", marks=marks))
    return marked


@pytest.mark.parametrize("line", _parameters())
def test_answers_as_the_real_gateway(line: dict[str, Any], answers: dict[int, dict[str, Any]]) -> None:
    expected, got = _recorded(line), answers[line["seq"]]
    assert got["status"] == expected["status"]
    assert got["headers"] == expected["headers"]
    if "body_len" not in line["response"]:
        assert got["body"] == expected["body"]


def test_parts_have_the_etags_that_the_real_gateway_gave() -> None:
    """One part has 5 MiB, which Pachyderm cuts into chunks by its content."""
    replay = Replay()
    try:
        for line in REQUESTS:
            if "/out/mp/f?" in line["request"]["path"]:
                replay.ask(line)
    finally:
        replay.close()
    recorded = {
        dict(line["response"]["headers"])["Etag"].strip('"')
        for line in REQUESTS
        if line["name"] in ("mp_part1_5MiB", "mp_part2_small")
    }
    assert len(recorded) == 2
    assert {replay.etags[etag] for etag in recorded} == recorded

"""A client may upload an object for longer than Pachyderm keeps its file sets: no segment is sent twice."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from adapter_steps import Pachyderm
from pachyderm_sdk import Client
from staged_steps import CONTENT, SEGMENTS, Steps, begun

from kfp_pachyderm.adapter.call_failed import CallFailedError
from kfp_pachyderm.adapter.disk import renewal
from kfp_pachyderm.adapter.sidecar.file_sets import FileSets
from kfp_pachyderm.embedded.server import EmbeddedServer
from kfp_pachyderm.embedded.store.files import file_sets
from tests.clock import Clock
from tests.waiting import PATIENCE, wait_for

#: The number of file sets that are made before the object's end is known.
AHEAD = len(SEGMENTS) - 1
#: Seconds: less than the time that a file set is kept, and more than half of it.
MOST = 500


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def pachyderm(tmp_path_factory: pytest.TempPathFactory, clock: Clock) -> Iterator[Pachyderm]:
    """A Pachyderm whose file sets expire by the test's clock."""
    with EmbeddedServer(tmp_path_factory.mktemp("pachyderm")) as server:
        server.store.file_sets = file_sets.FileSets(clock)
        client = Client(host="127.0.0.1", port=server.port)
        yield Pachyderm(server.address, client, ("default", "none", ""), itertools.count())


@pytest.fixture
def steps(pachyderm: Pachyderm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Steps]:
    made = Steps(pachyderm, tmp_path, monkeypatch)
    with closing(made.server), closing(made.s3):
        yield made


@pytest.fixture
def client(steps: Steps) -> Iterator[HTTPConnection]:
    """A client that has sent all of the object but its last ten bytes; complete segments are in file sets."""
    with closing(begun(steps, len(CONTENT))) as client:
        client.send(CONTENT[:-10])
        wait_for(lambda: len(held(steps)) == AHEAD)
        yield client


def held(steps: Steps) -> list[str]:
    return [one for staged in list(steps.renewal._objects) for one in staged.held()]


def end(steps: Steps, client: HTTPConnection) -> None:
    client.send(CONTENT[-10:])
    assert client.getresponse().status == 200
    steps.writeback.flush(PATIENCE)
    assert steps.files() == {"/a/b": CONTENT}


def fail_once(monkeypatch: pytest.MonkeyPatch, temporary: bool) -> threading.Event:
    """The next renewal is refused."""
    real, refused = FileSets.renew, threading.Event()

    def renew(sets: FileSets, one: str) -> bool:
        if not refused.is_set():
            refused.set()
            raise CallFailedError("connection refused", temporary)
        return real(sets, one)

    monkeypatch.setattr(FileSets, "renew", renew)
    return refused


def test_a_client_may_write_for_as_long_as_it_takes(
    steps: Steps, client: HTTPConnection, clock: Clock
) -> None:
    for _ in range(5):
        clock.now += MOST
        assert steps.renewal.round()
    end(steps, client)
    assert len(steps.made) == len(SEGMENTS)


def test_it_is_done_beside_all_else(steps: Steps, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also after a fault that passes."""
    monkeypatch.setattr(renewal, "_EVERY", 0.01)
    monkeypatch.setattr(renewal, "_AGAIN", 0.01)
    refused = fail_once(monkeypatch, temporary=True)
    rounds, ended = itertools.count(), threading.Condition()
    real, done = renewal.Renewal.round, [0]

    def counted(one: renewal.Renewal) -> bool:
        found = real(one)
        with ended:
            done[0] = next(rounds)
            ended.notify_all()
        return found

    monkeypatch.setattr(renewal.Renewal, "round", counted)
    with closing(begun(steps, len(CONTENT))) as client:
        client.send(CONTENT[:-10])
        wait_for(lambda: len(held(steps)) == AHEAD)
        for _ in range(3):
            clock.now += MOST
            with ended:
                # one may have begun before
                assert ended.wait_for(lambda until=done[0] + 2: done[0] >= until, PATIENCE)
        end(steps, client)
    assert refused.is_set()
    assert len(steps.made) == len(SEGMENTS)


@pytest.mark.parametrize("temporary", [True, False])
def test_a_refused_renewal_is_tried_again(
    steps: Steps, client: HTTPConnection, clock: Clock, monkeypatch: pytest.MonkeyPatch, temporary: bool
) -> None:
    """What Pachyderm refuses for one file set keeps no other from being renewed; both are told."""
    refused = fail_once(monkeypatch, temporary)
    clock.now += MOST
    assert steps.renewal.round() is not temporary
    assert refused.is_set()
    assert steps.renewal.round()
    clock.now += MOST
    end(steps, client)
    assert len(steps.made) == len(SEGMENTS)


def test_what_is_gone_all_the_same_is_sent_again_while_the_client_writes(
    steps: Steps, client: HTTPConnection, clock: Clock
) -> None:
    clock.now += 2 * MOST
    assert steps.renewal.round()
    steps.wait_for(2 * AHEAD)
    end(steps, client)
    assert len(steps.made) == len(SEGMENTS) + AHEAD


def test_what_is_gone_without_being_missed_is_sent_again_at_the_end(
    steps: Steps, client: HTTPConnection, clock: Clock
) -> None:
    clock.now += 2 * MOST
    end(steps, client)
    assert len(steps.made) == 2 * len(SEGMENTS)


def test_what_they_have_been_put_together_to_is_renewed_until_it_is_in_the_commit(
    steps: Steps, client: HTTPConnection, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = FileSets._ask

    def ask(sets: FileSets, method: Any, request: bytes, until: float) -> bytes:
        if method is sets._add:
            for _ in range(2):
                clock.now += MOST
                assert steps.renewal.round()
        return real(sets, method, request, until)

    monkeypatch.setattr(FileSets, "_ask", ask)
    end(steps, client)
    assert len(steps.made) == len(SEGMENTS)


def test_what_is_in_a_commit_or_given_up_is_not_renewed(
    steps: Steps, client: HTTPConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    renewed = list[str]()
    monkeypatch.setattr(FileSets, "renew", lambda _, one: not renewed.append(one))
    assert steps.renewal.round()
    assert len(renewed) == AHEAD
    end(steps, client)
    names = {"Bucket": "out", "Key": "m"}
    names["UploadId"] = steps.s3.create_multipart_upload(**names)["UploadId"]
    steps.s3.upload_part(**names, PartNumber=1, Body=CONTENT)
    wait_for(lambda: len(held(steps)) == AHEAD)
    steps.s3.abort_multipart_upload(**names)
    renewed.clear()
    assert steps.renewal.round()
    assert renewed == []

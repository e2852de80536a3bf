"""Streams that are refused or cancelled: each ends with the right status, and leaves no thread behind.

With KFP_PACHYDERM_TEST_ALL=1 each call is made a thousand times.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from pachyderm_sdk.api import pfs, pps

from kfp_pachyderm.embedded.server import THREADS, EmbeddedServer
from kfp_pachyderm.pachd.connection.address import parse
from kfp_pachyderm.pachd.connection.client import connect

TIMES = 1000 if os.environ.get("KFP_PACHYDERM_TEST_ALL") else 20


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """A server with auth on, which refuses calls without a token."""
    with EmbeddedServer(tmp_path_factory.mktemp("refusing"), auth_on=True) as server:
        yield server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path_factory.mktemp("streams")) as one:
        yield one


NO_TOKEN = ("UNAUTHENTICATED", "no authentication token (try logging in)")
#: The statuses of streams that check the token themselves.
REASONS = {"pfs_v2.API/GetFileTAR": ("UNKNOWN", "repo cannot be nil")}


def _channel(server: EmbeddedServer) -> grpc.Channel:
    return grpc.insecure_channel(server.address.removeprefix("grpc://"))


def _status(channel: grpc.Channel, method: str, requests: Iterator[bytes]) -> tuple[str, str]:
    """Makes a call to its end; returns its status code and text."""
    call = channel.stream_stream(f"/{method}")(requests, timeout=60)
    try:
        for _ in call:
            pass
    except grpc.RpcError as error:
        return error.code().name, error.details()
    return "OK", ""


def _streams(server: EmbeddedServer) -> dict[str, str]:
    """Every streaming method → which side streams."""
    return {
        f"{service}/{name}": call.kind
        for service, calls in server._services().items()
        for name, call in calls.items()
        if call.kind != "unary"
    }


def test_every_refused_stream_ends_with_its_reason(refusing: EmbeddedServer) -> None:
    methods = _streams(refusing)
    assert {"upload", "stream", "both"} == set(methods.values())
    with _channel(refusing) as channel, ThreadPoolExecutor(8) as pool:
        for method in methods:
            asked = [pool.submit(_status, channel, method, iter([b""])) for _ in range(TIMES)]
            seen = Counter(one.result() for one in asked)
            (status,) = seen
            assert (method, *status) == (method, *REASONS.get(method, NO_TOKEN))


class Slow:
    """Requests that come slowly, as from a client that reads its data from elsewhere."""

    def __init__(self, first: bytes, count: int) -> None:
        self._first, self.left = first, count

    def __iter__(self) -> Iterator[bytes]:
        yield self._first
        while self.left:
            time.sleep(0.002)
            self.left -= 1
            yield bytes(pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path="/a")))


NOWHERE = pfs.Repo(name="nowhere", type="user", project=pfs.Project(name="default"))
HEAD = pfs.Commit(repo=NOWHERE, branch=pfs.Branch(repo=NOWHERE, name="master"))
SET_COMMIT = bytes(pfs.ModifyFileRequest(set_commit=HEAD))
START = pps.StartCreateDatumRequest(input=pps.Input(pfs=pps.PfsInput(repo="nowhere", glob="/")))


@pytest.mark.parametrize(
    ("method", "first", "code"),
    [
        ("pfs_v2.API/ModifyFile", SET_COMMIT, "NOT_FOUND"),
        ("pps_v2.API/CreateDatum", bytes(pps.CreateDatumRequest(start=START)), "NOT_FOUND"),
        ("storage.Fileset/CreateFileset", SET_COMMIT, "UNIMPLEMENTED"),
    ],
    ids=["ModifyFile", "CreateDatum", "absent"],
)
def test_whoever_still_sends_hears_why_it_is_refused(
    server: EmbeddedServer, method: str, first: bytes, code: str
) -> None:
    """pachctl shows only EOF when the call ends before pachctl has sent everything."""
    with _channel(server) as channel:
        for _ in range(TIMES // 5):
            requests = Slow(first, 30)
            assert _status(channel, method, iter(requests))[0] == code
            assert requests.left == 0


def test_a_request_without_a_change(server: EmbeddedServer, waited_for: dict[str, bytes]) -> None:
    repo = pfs.Repo(name="waited", type="user", project=pfs.Project(name="default"))
    head = pfs.Commit(repo=repo, branch=pfs.Branch(repo=repo, name="master"))
    first = bytes(pfs.ModifyFileRequest(set_commit=head))
    with _channel(server) as channel:
        method = "pfs_v2.API/ModifyFile"
        assert _status(channel, method, iter([first, b""])) == ("UNKNOWN", "unrecognized message type")
        assert _status(channel, method, iter([b""])) == ("UNKNOWN", "first message must be a set commit")


def test_a_client_without_an_end_is_refused_all_the_same(server: EmbeddedServer) -> None:
    with _channel(server) as channel:
        requests = Slow(SET_COMMIT, 10**9)
        assert _status(channel, "pfs_v2.API/ModifyFile", iter(requests))[0] == "NOT_FOUND"


class Unfinished:
    """One request, then none until `gone` is set: only the client ends the call."""

    def __init__(self) -> None:
        self.sent, self.gone = threading.Event(), threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        yield b""
        self.sent.set()
        self.gone.wait()


def _cancelled(channel: grpc.Channel, method: str, kind: str, at_once: bool) -> str:
    """The status of a call that the client cancels: at once, or after its first request."""
    requests = Unfinished()
    if kind == "stream":
        call = channel.unary_stream(f"/{method}")(b"", timeout=60)
    else:
        call = channel.stream_stream(f"/{method}")(iter(requests), timeout=60)
        assert at_once or requests.sent.wait(60)
    call.cancel()
    requests.gone.set()
    return str(call.code().name)


def test_every_cancelled_stream_says_so(server: EmbeddedServer) -> None:
    with _channel(server) as channel, ThreadPoolExecutor(8) as pool:
        for method, kind in _streams(server).items():
            # A call that does not wait for the client may end before it is cancelled.
            ended = {_status(channel, method, iter([b""]))[0]} if kind != "upload" else set()
            asked = [
                pool.submit(_cancelled, channel, method, kind, number % 2 == 0) for number in range(TIMES)
            ]
            seen = Counter(one.result() for one in asked)
            assert (method, seen["CANCELLED"] > 0, set(seen) - ended - {"CANCELLED"}) == (method, True, set())
        assert _status(channel, "pfs_v2.API/ListRepo", iter([b""])) == ("OK", "")


@pytest.fixture(scope="module")
def waited_for(server: EmbeddedServer) -> dict[str, bytes]:
    """Method of a stream that never ends → its request."""
    repo = pfs.Repo(name="waited", type="user", project=pfs.Project(name="default"))
    with connect(parse(server.address)) as pachd:
        pachd.pfs.create_repo(repo=repo)
        commit = pachd.pfs.start_commit(branch=pfs.Branch(repo=repo, name="master"))
    return {
        "pfs_v2.API/SubscribeCommit": bytes(pfs.SubscribeCommitRequest(repo=repo)),
        "pfs_v2.API/InspectCommitSet": bytes(
            pfs.InspectCommitSetRequest(commit_set=pfs.CommitSet(id=commit.id), wait=True)
        ),
    }


@pytest.mark.parametrize("method", ["pfs_v2.API/SubscribeCommit", "pfs_v2.API/InspectCommitSet"])
def test_cancelled_streams_give_their_threads_back(
    server: EmbeddedServer, waited_for: dict[str, bytes], method: str
) -> None:
    times = max(TIMES, THREADS + 50)
    with _channel(server) as channel:
        call = channel.unary_stream(f"/{method}")
        every = [call(waited_for[method]) for _ in range(THREADS // 2)]
        for one in every:
            one.cancel()
        seen = Counter(one.code().name for one in every)
        for _ in range(times - len(every)):
            one = call(waited_for[method])
            one.cancel()
            seen[one.code().name] += 1
        assert seen == {"CANCELLED": times}
        # If each call had kept its thread, no thread would be left to answer.
        assert _status(channel, "pfs_v2.API/ListRepo", iter([b""])) == ("OK", "")

"""File sets: changes that are added to a commit later. The expected answers are a real pachd's (2.12)."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs

from kfp_pachyderm.embedded.process import start
from kfp_pachyderm.embedded.server import EmbeddedServer
from kfp_pachyderm.embedded.store.files.file_sets import FileSets
from kfp_pachyderm.embedded.store.files.spool import Spool
from kfp_pachyderm.protocol.file_hash import FileHash
from tests.clock import Clock

CONTENT = random.Random(4).randbytes(20 * 2**20)
NOBODY = "0" * 32
_numbers = itertools.count()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with start(tmp_path_factory.mktemp("pachyderm")) as server:
        host, port = server.address.removeprefix("grpc://").split(":")
        yield Client(host=host, port=int(port))


@pytest.fixture
def commit(client: Client) -> pfs.Commit:
    repo = pfs.Repo(name=f"r{next(_numbers)}", type="user", project=pfs.Project(name="default"))
    client.pfs.create_repo(repo=repo)
    return client.pfs.start_commit(branch=pfs.Branch(name="master", repo=repo))


def made(client: Client, data: bytes, anew: bool = False) -> str:
    deleted = [pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path="/f"))] if anew else []
    pieces = (data[at : at + 2**20] for at in range(0, len(data), 2**20))
    added = (pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/f", raw=piece)) for piece in pieces)
    return client.pfs.create_file_set(itertools.chain(deleted, added)).file_set_id


def look(client: Client, commit: pfs.Commit) -> tuple[int, bytes]:
    found = client.pfs.inspect_file(file=pfs.File(commit=commit, path="/f"))
    return found.size_bytes, found.hash


@pytest.mark.parametrize(
    "cut", [[], [1], [7565018], [16249536], [5, 8_000_000], [7565018, 16249536, 20_000_000]]
)
def test_parts_make_the_file_that_one_stream_makes(
    client: Client, commit: pfs.Commit, cut: list[int]
) -> None:
    client.pfs.modify_file(
        iter(
            [
                pfs.ModifyFileRequest(set_commit=commit),
                pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/f", raw=b"before")),
            ]
        )
    )
    spans = itertools.pairwise([0, *cut, len(CONTENT)])
    sets = [made(client, CONTENT[start:end], anew=start == 0) for start, end in spans]
    whole = client.pfs.compose_file_set(file_set_ids=sets, ttl_seconds=60, compact=True).file_set_id
    assert look(client, commit)[0] == len(b"before")
    expected = FileHash()
    expected.update(CONTENT)
    for _ in range(2):
        client.pfs.add_file_set(commit=commit, file_set_id=whole)
        assert look(client, commit) == (len(CONTENT), expected.digest())
    assert (
        b"".join(one.value for one in client.pfs.get_file(file=pfs.File(commit=commit, path="/f"))) == CONTENT
    )


def test_parts_that_end_where_chunks_do_are_not_read_again(
    timed: tuple[Client, Clock, FileSets], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, _, _ = timed
    repo = pfs.Repo(name="whole", type="user", project=pfs.Project(name="default"))
    client.pfs.create_repo(repo=repo)
    commit = client.pfs.start_commit(branch=pfs.Branch(name="master", repo=repo))
    expected = FileHash()
    cuts = [0, *expected.update(CONTENT), len(CONTENT)]
    sets = [made(client, CONTENT[start:end], anew=start == 0) for start, end in itertools.pairwise(cuts)]
    whole = client.pfs.compose_file_set(file_set_ids=sets, ttl_seconds=60, compact=True).file_set_id
    grown = list[int]()
    monkeypatch.setattr(Spool, "_grow", lambda _, data: grown.append(len(data)))
    client.pfs.add_file_set(commit=commit, file_set_id=whole)
    assert grown == []
    assert look(client, commit) == (len(CONTENT), expected.digest())


def test_it_outlives_an_erasure(client: Client, commit: pfs.Commit) -> None:
    one = made(client, b"content", anew=True)
    for _ in range(2):
        client.pfs.add_file_set(commit=commit, file_set_id=one)
        assert look(client, commit)[0] == len(b"content")
        client.pfs.clear_commit(commit=commit)


def refused(call: Callable[[], Any]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code(), caught.value.details()


def test_what_is_refused(client: Client, commit: pfs.Commit) -> None:
    known, code, api = made(client, b"x"), grpc.StatusCode, client.pfs
    assert refused(lambda: api.add_file_set(commit=commit, file_set_id=NOBODY)) == (
        code.UNKNOWN,
        "add file set: path does not exist",
    )
    assert refused(lambda: api.compose_file_set(file_set_ids=[known, NOBODY], ttl_seconds=60)) == (
        code.UNKNOWN,
        "the operation would create a dangling reference",
    )
    assert refused(lambda: api.renew_file_set(file_set_id=NOBODY, ttl_seconds=60)) == (
        code.NOT_FOUND,
        f"tracker does not contain item: (fileset/{NOBODY})",
    )
    assert refused(lambda: api.create_file_set(iter([pfs.ModifyFileRequest(set_commit=commit)]))) == (
        code.UNKNOWN,
        "cannot set commit",
    )
    api.renew_file_set(file_set_id=known, ttl_seconds=60)
    api.finish_commit(commit=commit)
    assert "has already finished" in refused(lambda: api.add_file_set(commit=commit, file_set_id=known))[1]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "ttl (-1000000000) must be at least one second"),
        (0, "ttl (0) must be at least one second"),
        (1801, "ttl (1801000000000) exceeds max ttl (1800000000000)"),
    ],
)
def test_a_renewal_has_its_limits(client: Client, seconds: int, text: str) -> None:
    """Source: Pachyderm src/server/pfs/server/server_file.go, renewFileSet."""
    one = made(client, b"x")
    said = refused(lambda: client.pfs.renew_file_set(file_set_id=one, ttl_seconds=seconds))
    assert said == (grpc.StatusCode.UNKNOWN, text)


@pytest.fixture(scope="module")
def timed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, Clock, FileSets]]:
    """A server whose file sets grow old by the test's clock."""
    with EmbeddedServer(tmp_path_factory.mktemp("timed")) as server:
        clock = Clock()
        server.store.file_sets = FileSets(clock)
        yield Client(host="127.0.0.1", port=server.port), clock, server.store.file_sets


def is_kept(client: Client, name: str) -> bool:
    """Without a renewal: whether another can be made of it."""
    try:
        client.pfs.compose_file_set(file_set_ids=[name], ttl_seconds=1)
    except grpc.RpcError:
        return False
    return True


def test_it_is_kept_for_ten_minutes_since_the_last_renewal(timed: tuple[Client, Clock, FileSets]) -> None:
    client, clock, _ = timed
    one, other = made(client, b"x"), made(client, b"y")
    clock.now += 599
    client.pfs.renew_file_set(file_set_id=one, ttl_seconds=600)
    assert (is_kept(client, one), is_kept(client, other)) == (True, True)
    clock.now += 1
    assert (is_kept(client, one), is_kept(client, other)) == (True, False)
    clock.now += 599
    assert not is_kept(client, one)
    assert refused(lambda: client.pfs.renew_file_set(file_set_id=one, ttl_seconds=600)) == (
        grpc.StatusCode.NOT_FOUND,
        f"tracker does not contain item: (fileset/{one})",
    )


def test_a_renewal_can_make_it_shorter(timed: tuple[Client, Clock, FileSets]) -> None:
    client, clock, _ = timed
    one = made(client, b"x")
    client.pfs.renew_file_set(file_set_id=one, ttl_seconds=1)
    clock.now += 1
    assert not is_kept(client, one)


def test_what_is_put_together_holds_its_parts_and_has_a_time_of_its_own(
    timed: tuple[Client, Clock, FileSets],
) -> None:
    """Source: src/server/pfs/server/compaction.go, Compact, which has no use for the time that is asked."""
    client, clock, _ = timed
    parts = [made(client, b"x"), made(client, b"y")]
    compose, code = client.pfs.compose_file_set, grpc.StatusCode
    compact = compose(file_set_ids=parts, ttl_seconds=60, compact=True).file_set_id
    plain = compose(file_set_ids=parts, ttl_seconds=60).file_set_id
    endless = compose(file_set_ids=parts).file_set_id
    clock.now += 60
    assert (is_kept(client, compact), is_kept(client, plain)) == (True, False)
    client.pfs.renew_file_set(file_set_id=compact, ttl_seconds=1800)
    clock.now += 1799
    assert [is_kept(client, one) for one in (*parts, compact, endless)] == [False, False, True, True]
    said = refused(lambda: compose(file_set_ids=[parts[0], compact], ttl_seconds=60, compact=True))
    assert said == (code.UNKNOWN, "path does not exist")


def test_what_is_gone_is_dropped(timed: tuple[Client, Clock, FileSets]) -> None:
    client, clock, kept = timed
    made(client, b"x")
    clock.now += 600
    assert not is_kept(client, NOBODY)
    assert all(one.until > clock.now for one in kept._sets.values())

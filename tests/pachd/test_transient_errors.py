"""Errors with status UNKNOWN: transient ones are retried; others are told, and borne for the grace."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import grpc
import pytest

from kfp_pachyderm import errors
from kfp_pachyderm.adapter.call_failed import CallFailedError
from kfp_pachyderm.adapter.sidecar.over_grpc import Pfs
from kfp_pachyderm.errors import PachydermUnreachableError, TemporaryError, UnknownAnswerError
from kfp_pachyderm.pachd.connection import client
from kfp_pachyderm.pachd.connection.address import parse
from kfp_pachyderm.pachd.connection.client import Pachd, connect
from kfp_pachyderm.pachd.connection.polling import looks
from kfp_pachyderm.pachd.connection.status_codes import error_class
from kfp_pachyderm.pachd.references import repo_message
from kfp_pachyderm.pachd.sdk import pfs
from kfp_pachyderm.protocol.transient_errors import DEADLINE, PASSING
from tests.faults.fault_answers import AnsweringPachd, Wrong
from tests.passing_texts import LASTING, SAMPLES

UNKNOWN = grpc.StatusCode.UNKNOWN


@pytest.mark.parametrize("details", SAMPLES)
def test_what_passes_is_temporary(details: str) -> None:
    wanted = PachydermUnreachableError if DEADLINE in details else TemporaryError
    assert error_class(UNKNOWN, details) is wanted


@pytest.mark.parametrize(("text", "source"), PASSING)
def test_each_row_of_the_table_is_met_by_an_answer_and_has_its_source(text: str, source: str) -> None:
    assert [one for one in SAMPLES if re.search(text, one)]
    assert source


@pytest.mark.parametrize("details", LASTING)
def test_what_lasts_is_not_tried_again(details: str) -> None:
    assert issubclass(error_class(UNKNOWN, details), errors.PermanentError)


@pytest.mark.parametrize(
    ("code", "details", "kind"),
    [
        ("INTERNAL", "no authentication metadata (try logging in)", errors.AuthenticationError),
        ("INTERNAL", "Received RST_STREAM with error code 2", TemporaryError),
        ("RESOURCE_EXHAUSTED", "trying to send message larger than max (3 vs. 2)", errors.PermanentError),
        ("RESOURCE_EXHAUSTED", "etcdserver: too many requests", TemporaryError),
    ],
)
def test_codes_that_stand_for_several_errors(code: str, details: str, kind: type[Exception]) -> None:
    assert error_class(grpc.StatusCode[code], details) is kind


Plan = Callable[[str], Wrong | None]


@contextmanager
def answering(address: str, plan: Plan, grace: float = 20.0) -> Iterator[Pachd]:
    """A connection to a pachd whose answers are replaced by those of a plan."""
    target = address.removeprefix("grpc://")
    with ExitStack() as stack:
        proxy = stack.enter_context(AnsweringPachd(target, lambda method, _: plan(method)))
        yield stack.enter_context(connect(parse(f"grpc://{proxy.address}"), grace=grace))


def _reads(pachd: Pachd) -> list[tuple[str, Callable[[], object]]]:
    repo = repo_message("default", "reads")
    head = pfs.Commit(repo=repo, branch=pfs.Branch(repo=repo, name="master"))
    file = pfs.File(commit=head, path="/")
    return [
        ("InspectRepo", lambda: pachd.pfs.inspect_repo(repo=repo)),
        ("InspectCommit", lambda: pachd.pfs.inspect_commit(commit=head)),
        ("InspectBranch", lambda: pachd.pfs.inspect_branch(branch=head.branch)),
        ("InspectProject", lambda: pachd.pfs.inspect_project(project=repo.project)),
        ("InspectCluster", pachd.admin.inspect_cluster),
        ("ListRepo", lambda: list(pachd.pfs.list_repo(type="user"))),
        ("ListJob", lambda: list(pachd.pps.list_job())),
        ("GlobFile", lambda: list(pachd.pfs.glob_file(commit=head, pattern="/*"))),
        ("WalkFile", lambda: list(pachd.pfs.walk_file(file=file))),
        ("ListFile", lambda: list(pachd.pfs.list_file(file=file))),
    ]


def test_every_read_is_answered_once_with_each_text(
    pachd: Pachd, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_PAUSE", 0.001)
    repo = repo_message("default", "reads")
    pachd.pfs.create_repo(repo=repo)
    commit = pachd.pfs.start_commit(branch=pfs.Branch(repo=repo, name="master"))
    pachd.pfs.finish_commit(commit=commit)
    due: list[tuple[str, str]] = []
    met: list[tuple[str, str]] = []

    def plan(method: str) -> Wrong | None:
        if not due or method != due[0][0]:
            return None
        met.append(due.pop())
        return Wrong(met[-1][1], carried_out=False)

    with answering(address, plan) as asked:
        reads = _reads(asked)
        for text, (method, read) in itertools.product(SAMPLES, reads):
            due.append((method, text))
            read()
    assert len(met) == len(SAMPLES) * len(reads)


def test_a_change_is_not_made_twice(address: str) -> None:
    texts = iter(SAMPLES)
    made = 0

    def plan(method: str) -> Wrong | None:
        nonlocal made
        made += method == "CreateRepo"
        return Wrong(next(texts), carried_out=False) if method == "CreateRepo" else None

    with answering(address, plan) as pachd, pytest.raises(TemporaryError):
        pachd.pfs.create_repo(repo=repo_message("default", "once"))
    assert made == 1


def test_a_stream_that_breaks_in_the_middle_is_asked_for_again(pachd: Pachd) -> None:
    tries = itertools.count()

    def attempt() -> list[int]:
        found = [1, 2]
        if next(tries) < 2:
            raise TemporaryError("lost connection to database")
        return found

    assert pachd.repeated(attempt, "ListJob") == [1, 2]


class Look:
    """A function to poll with, which fails the given number of times; -1: always."""

    def __init__(self, error: Exception, times: int) -> None:
        self._error, self.times = error, times

    def __call__(self) -> str:
        self.times -= 1
        if self.times >= 0 or self.times < -1:
            raise self._error
        return "seen"


def test_a_wait_tells_an_answer_that_nobody_knows_once_and_goes_on(pachd: Pachd) -> None:
    told: list[str] = []
    look = Look(UnknownAnswerError("strange weather (UNKNOWN)"), 3)
    assert next(looks(pachd, look, time.monotonic() + 60, told.append, 0.1)) == "seen"
    assert [line for line in told if "strange weather" in line] == told
    assert len(told) == 1


@pytest.mark.parametrize("error", [UnknownAnswerError("strange weather"), TemporaryError("conn closed")])
def test_a_wait_bears_what_fails_no_longer_than_the_grace(address: str, error: Exception) -> None:
    with connect(parse(address), grace=0.5) as pachd:
        look = Look(error, -1)
        with pytest.raises(type(error)):
            next(looks(pachd, look, time.monotonic() + 600, lambda _: None, 0.1))
    assert look.times < -3


def test_what_fails_again_and_again_is_told_once_until_it_works(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    away, texts = True, itertools.cycle(["connection refused", "broken pipe"])

    def plan(method: str) -> Wrong | None:
        return Wrong(next(texts), carried_out=False) if away and method == "InspectRepo" else None

    with answering(address, plan) as pachd:
        repo = repo_message("default", "told")
        pachd.pfs.create_repo(repo=repo)
        for _ in range(5):
            with pytest.raises(TemporaryError):
                pachd.patient(1.0).pfs.inspect_repo(repo=repo)
        assert 1 <= len(set(caplog.messages)) == len(caplog.messages) <= 2
        caplog.clear()
        away = False
        pachd.patient(1.0).pfs.inspect_repo(repo=repo)
        away = True
        with pytest.raises(TemporaryError):
            pachd.patient(1.0).pfs.inspect_repo(repo=repo)
        assert len(caplog.messages) == 1


def test_connecting_bears_a_pachd_whose_database_is_away(address: str) -> None:
    texts = iter(["lost connection to database", "what nobody knows"])

    def plan(method: str) -> Wrong | None:
        text = next(texts, None) if method == "InspectCluster" else None
        return Wrong(text, carried_out=False) if text else None

    with answering(address, plan) as pachd:
        assert list(pachd.pps.list_job()) == []


def test_looking_whether_pachd_is_back_bears_it_too(address: str) -> None:
    texts = iter([])

    def plan(method: str) -> Wrong | None:
        text = next(texts, None) if method == "InspectCluster" else None
        return Wrong(text, carried_out=False) if text else None

    with answering(address, plan) as pachd:
        texts = iter(["what nobody knows"])
        pachd.wait_for_answer(PachydermUnreachableError("away"))
    assert next(texts, None) is None


@pytest.mark.parametrize("details", SAMPLES)
def test_the_adapter_sends_again_what_met_something_that_passes(address: str, details: str) -> None:
    with AnsweringPachd(
        address.removeprefix("grpc://"), lambda *_: Wrong(details, carried_out=False)
    ) as proxy:
        remote = Pfs(f"grpc://{proxy.address}", "")
        with pytest.raises(CallFailedError) as caught:
            remote.inspect(("default", "reads", "0" * 32), "/a")
    assert caught.value.temporary


def test_a_commit_that_is_not_there_makes_pachd_panic():
    text = "panic: runtime error: invalid memory address or nil pointer dereference\ngoroutine 7 [running]:\n"
    text += "github.com/pachyderm/pachyderm/v2/src/server/pfs.ErrBranchNotFound.Error({0x3d31986?})\n"
    assert error_class(grpc.StatusCode.ABORTED, text) is errors.NotFoundError
    assert error_class(grpc.StatusCode.ABORTED, "SQLSTATE 40001") is TemporaryError

"""Commit references against a real embedded Pachyderm."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfp_pachyderm.errors import (
    BranchNotFoundError,
    CommitFailedError,
    CommitNotFinishedError,
    CommitNotFoundError,
    CommitReferenceError,
    EmptyInputError,
    RepoNotFoundError,
)
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.references import Reference, parse, repo_message, resolve
from kfp_pachyderm.pachd.sdk import pfs
from tests.waiting import PATIENCE

NAMES = st.from_regex(r"[A-Za-z0-9_-]{1,12}", fullmatch=True)
ID = "0123456789abcdef" * 2
_numbers = itertools.count()


@given(project=NAMES, repo=NAMES, version=NAMES)
def test_what_is_written_is_read(project: str, repo: str, version: str) -> None:
    reference = Reference(project, repo, version)
    assert parse(str(reference), "other") == reference
    assert parse(f"{repo}@{version}", project) == reference


@pytest.mark.parametrize(
    "text",
    [
        "",
        "images",
        "images@",
        "@master",
        "a/b/c@master",
        "images@master^2",
        "images@master=" + ID,
        "im ages@x",
    ],
)
def test_what_is_no_reference(text: str) -> None:
    with pytest.raises(CommitReferenceError, match="write repo@branch"):
        parse(text, "default")


def test_commit_and_branch_are_told_apart() -> None:
    assert parse(f"images@{ID}", "default").is_commit
    assert not parse("images@master", "default").is_commit


class Repo:
    def __init__(self, pachd: Pachd) -> None:
        self.pachd, self.name = pachd, f"repo{next(_numbers)}"
        self.message = repo_message("default", self.name)
        pachd.pfs.create_repo(repo=self.message)

    def start(self) -> Any:
        return self.pachd.pfs.start_commit(branch=pfs.Branch(repo=self.message, name="master"))

    def finish(self, commit: Any, content: bytes = b"x", error: str = "") -> str:
        changes = [pfs.ModifyFileRequest(set_commit=commit)]
        if content:
            added = pfs.AddFile(path="/a.txt", raw=content)
            changes.append(pfs.ModifyFileRequest(add_file=added))
        self.pachd.pfs.modify_file(iter(changes))
        self.pachd.pfs.finish_commit(commit=commit, error=error)
        return str(commit.id)

    def resolve(
        self,
        version: str = "master",
        seconds: float = PATIENCE,
        when_told: Callable[[str], object] = lambda _: None,
    ) -> tuple[str, list[str]]:
        told: list[str] = []
        reference = Reference("default", self.name, version)

        def tell(text: str) -> None:
            told.append(text)
            when_told(text)

        found = resolve(self.pachd, reference, time.monotonic() + seconds, tell)
        return found.version, told


@pytest.fixture
def repo(pachd: Pachd) -> Repo:
    return Repo(pachd)


def test_branch_is_its_newest_commit(repo: Repo) -> None:
    repo.finish(repo.start())
    second = repo.finish(repo.start())
    assert repo.resolve() == (second, [])
    assert repo.resolve(second) == (second, [])


def test_failed_commits_are_skipped_and_said(repo: Repo) -> None:
    good = repo.finish(repo.start())
    bad = repo.finish(repo.start(), error="disk full")
    found, told = repo.resolve()
    assert found == good
    assert len(told) == 1
    assert bad in told[0]
    assert "disk full" in told[0]


def test_a_failed_commit_by_its_id_and_a_branch_of_failed_ones(repo: Repo) -> None:
    bad = repo.finish(repo.start(), error="disk full")
    for version in (bad, "master"):
        with pytest.raises(CommitFailedError, match="disk full"):
            repo.resolve(version)


def test_open_commit_is_waited_for(repo: Repo) -> None:
    commit = repo.start()
    finishing = threading.Thread(target=repo.finish, args=(commit,))
    found, told = repo.resolve(when_told=lambda _: finishing.start())
    finishing.join()
    assert found == commit.id
    assert "waiting" in told[0]


def test_open_commit_that_fails_is_skipped(repo: Repo) -> None:
    good = repo.finish(repo.start())
    finishing = threading.Thread(target=repo.finish, args=(repo.start(), b"x", "broken"))

    def tell(text: str) -> None:
        if "waiting" in text:
            finishing.start()

    assert repo.resolve(when_told=tell)[0] == good
    finishing.join()


def test_commit_that_stays_open(repo: Repo) -> None:
    repo.start()
    with pytest.raises(CommitNotFinishedError, match="still open"):
        repo.resolve(seconds=0.3)


def test_what_is_missing_is_named(repo: Repo) -> None:
    with pytest.raises(BranchNotFoundError, match="no branch 'master'"):
        repo.resolve()
    repo.finish(repo.start())
    with pytest.raises(CommitNotFoundError, match="no such commit"):
        repo.resolve(ID)
    repo.name = "nowhere"
    with pytest.raises(RepoNotFoundError, match="no repo 'nowhere'"):
        repo.resolve()


def test_commit_without_files(repo: Repo) -> None:
    repo.finish(repo.start(), content=b"")
    with pytest.raises(EmptyInputError, match="no files"):
        repo.resolve()


def test_glob_that_matches_nothing(repo: Repo) -> None:
    repo.finish(repo.start())
    reference = Reference("default", repo.name, "master")
    with pytest.raises(EmptyInputError, match=r"'/\*.csv'"):
        resolve(repo.pachd, reference, time.monotonic() + PATIENCE, print, "/*.csv")

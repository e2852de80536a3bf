"""A job's datums: the combinations of its inputs' files; and a datum's files on disk."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path

from pachyderm_sdk.api import pps

from kfp_pachyderm.embedded.pps.jobs import Job
from kfp_pachyderm.embedded.status import Refused
from kfp_pachyderm.embedded.store import commits
from kfp_pachyderm.embedded.store.commits import Commit
from kfp_pachyderm.embedded.store.files import layers, listing
from kfp_pachyderm.embedded.store.repos import RepoKey
from kfp_pachyderm.embedded.store.store import Store

#: Returns the commit of an input whose files are used.
CommitOf = Callable[[pps.PfsInput], Commit]


@dataclass(frozen=True)
class DatumFile:
    """One input's part of a datum: a file or folder of a commit ("/" for S3 inputs)."""

    input: str
    commit: Commit
    path: str
    s3: bool

    @property
    def relative(self) -> str:
        """The path below the input's folder."""
        return self.path.strip("/")


@dataclass(frozen=True)
class Datum:
    """One datum: the files for one run of user code."""

    files: tuple[DatumFile, ...]

    @property
    def id(self) -> str:
        """64 hex digits, made of input, repo, branch and path; the same in later jobs, as in Pachyderm."""
        names = [(one.input, str(one.commit.repo), one.commit.branch, one.path) for one in self.files]
        return hashlib.blake2b(json.dumps(names).encode(), digest_size=32).hexdigest()

    def stored(self) -> bytes:
        """The datum as the store keeps it: JSON of input, commit's row ID and path of each file."""
        return json.dumps([[one.input, one.commit.id, one.path] for one in self.files]).encode()


def input_commit(db: sqlite3.Connection, job: Job, given: pps.PfsInput) -> Commit:
    """The commit of an input that a job works on.

    Raises:
        Refused: the job's output does not come from the input's repo.
    """
    repo = RepoKey(given.project, given.repo, given.repo_type or "user")
    found = [one for one in commits.provenance(db, job.output) if one.repo == repo]
    if not found:
        raise Refused(f"job {job.key} has no commit of {repo}")
    return next((one for one in found if one.branch == given.branch), found[0])


def plan(store: Store, job: Job, given: pps.Input) -> Iterator[Datum]:
    """A job's datums."""
    for files in _combinations(store, partial(input_commit, store.read(), job), given):
        yield Datum(tuple(files))


def preview(store: Store, commit_of: CommitOf, given: pps.Input) -> Iterator[Datum]:
    """The datums that a job on these inputs would have, with the commits that `commit_of` returns."""
    for files in _combinations(store, commit_of, given):
        yield Datum(tuple(files))


def _combinations(store: Store, commit_of: CommitOf, given: pps.Input) -> Iterator[list[DatumFile]]:
    if given.pfs:
        for one in _files(store, commit_of(given.pfs), given.pfs):
            yield [one]
    elif given.union:
        for branch in given.union:
            yield from _combinations(store, commit_of, branch)
    elif given.cross:
        sides = [list(_combinations(store, commit_of, side)) for side in given.cross]
        for combination in product(*sides):
            yield [one for part in combination for one in part]


def _files(store: Store, commit: Commit, given: pps.PfsInput) -> Iterator[DatumFile]:
    db = store.read()
    shown = store.layers(commit)
    if given.s3 or given.glob == "/":
        if layers.exists_below(db, shown, "/"):
            yield DatumFile(given.name, commit, "/", given.s3)
        return
    for entry in listing.glob(db, shown, given.glob):
        yield DatumFile(given.name, commit, entry.path, False)


def lay_out(store: Store, datum: Datum, folder: Path) -> None:
    """Writes a datum's files below `folder`, a folder for each input; an S3 input's stays empty."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "out").mkdir(parents=True)
    for one in datum.files:
        target = folder / one.input
        target.mkdir(parents=True, exist_ok=True)
        if not one.s3:
            _write_files(store, one, target)


def _write_files(store: Store, one: DatumFile, target: Path) -> None:
    db, shown = store.read(), store.layers(one.commit)
    file = layers.inspect(db, shown, one.path)
    below = one.path if one.path.endswith("/") else one.path + "/"
    for each in [file] if file else layers.walk(db, shown, below):
        path = target / each.path.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as out:
            for piece in store.content(one.commit, each):
                out.write(piece)


def upload(store: Store, commit: Commit, out: Path) -> None:
    """Adds the files in user code's `out` folder to the output commit."""
    changes = store.changes(commit)
    for path in sorted(out.rglob("*")):
        if path.is_file():
            name = "/" + path.relative_to(out).as_posix()
            changes.add(name, b"")
            with path.open("rb") as file:
                while piece := file.read(2**20):
                    changes.add(name, piece)
    store.modify(commit, changes)

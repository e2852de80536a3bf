"""The store against a model: after any sequence of commits, its files are those of a dictionary."""

from __future__ import annotations

import contextlib
import gc
import random
import tempfile
from pathlib import Path
from unittest import mock

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kfp_pachyderm.embedded.status import Refused
from kfp_pachyderm.embedded.store import branches, commits, repos
from kfp_pachyderm.embedded.store.files import layers, listing, paths, spool
from kfp_pachyderm.embedded.store.files.chunks import SMALL
from kfp_pachyderm.embedded.store.repos import RepoKey
from kfp_pachyderm.embedded.store.store import Store
from kfp_pachyderm.embedded.store.view import StoreView
from kfp_pachyderm.protocol import file_hash
from tests.waiting import wait_for

_NAMES = st.sampled_from(["/a", "/a-b", "/b", "/dir/a", "/dir/b", "/dir/deep/c", "/e/f", "/z"])
_DATA = st.one_of(
    st.binary(max_size=20),
    st.sampled_from([SMALL, SMALL + 1, 99_999, 100_000, 300_000, 400_007, 800_000]).map(
        lambda size: bytes(size) if size == 300_000 else random.Random(size).randbytes(size)
    ),
)
#: The sizes at which Pachyderm cuts files into chunks, ten times smaller.
_SIZES = {"SMALL": 100_000, "LARGEST": 300_000, "_MASK": 2**16 - 1}


def hash_of(data: bytes) -> bytes:
    found = file_hash.FileHash()
    found.update(data)
    return found.digest()


class StoreMachine(RuleBasedStateMachine):
    """Commits on one branch; the model has a dictionary of files for each finished commit."""

    @initialize()
    def open_store(self):
        self._stack = contextlib.ExitStack()
        file_hash._tables.cache_clear()
        self._stack.callback(file_hash._tables.cache_clear)
        self._stack.enter_context(mock.patch.multiple(file_hash, **_SIZES))
        self._stack.enter_context(mock.patch.object(spool, "_PIECE", 90_000))
        folder = self._stack.enter_context(tempfile.TemporaryDirectory())
        self.store = self._stack.enter_context(Store(Path(folder)))
        with self.store.database.write() as txn:
            repos.create_repo(txn, RepoKey("default", "r"))
        self.repo = repos.get_repo(self.store.read(), RepoKey("default", "r"))
        self.open = None
        self.now: dict[str, bytes] = {}
        self.finished: list[tuple[commits.Commit, dict[str, bytes]]] = []

    def teardown(self):
        if hasattr(self, "_stack"):
            self._stack.close()

    @precondition(lambda self: self.open is None)
    @rule(erase=st.booleans())
    def start(self, erase):
        with self.store.database.write() as txn:
            self.open = branches.start_commit(txn, self.repo, "master")
            if erase:
                commits.clear(txn, self.open, base=False)
        good = [files for commit, files in self.finished if not commit.error]
        self.now = {} if erase or not good else dict(good[-1])

    def _changes(self):
        return self.store.changes(self.open)

    @precondition(lambda self: self.open is not None)
    @rule(writes=st.lists(st.tuples(_NAMES, _DATA, st.booleans()), max_size=4))
    def write(self, writes):
        changes = self._changes()
        for path, data, replace in writes:
            if replace:
                changes.delete(path)
                self.now.pop(path, None)
            changes.add(path, data)
            self.now[path] = self.now.get(path, b"") + data
        self.store.modify(self.open, changes)

    @precondition(lambda self: self.open is not None)
    @rule(path=st.sampled_from(["/a", "/dir/", "/dir", "/", "/dir/deep/", "/nothing"]))
    def delete(self, path):
        changes = self._changes()
        changes.delete(path)
        self.store.modify(self.open, changes)
        gone = [one for one in self.now if one == path or (path.endswith("/") and one.startswith(path))]
        for one in gone:
            del self.now[one]

    @precondition(lambda self: self.open is not None and self.finished)
    @rule(data=st.data(), to=st.sampled_from(["/copy", "/a", "/dir"]))
    def copy(self, data, to):
        commit, files = data.draw(st.sampled_from(self.finished))
        source = sorted(files)
        if not source:
            return
        path = data.draw(st.sampled_from(source))
        view = StoreView(self.store, self.open)
        view.copy(StoreView(self.store, commit), path, to)
        self.now[to] = files[path]

    @precondition(lambda self: self.open is not None)
    @rule(error=st.sampled_from(["", "", "broken"]))
    def finish(self, error):
        with self.store.database.write() as txn:
            commits.finish(txn, commits.reload(txn.db, self.open), error)
        self.finished.append((commits.reload(self.store.read(), self.open), dict(self.now)))
        self.open = None

    @invariant()
    def every_commit_shows_its_files(self):
        if not hasattr(self, "finished"):
            return
        shown = self.finished[-3:] + ([(self.open, self.now)] if self.open else [])
        for commit, files in shown:
            self._check(commit, files)

    def _check(self, commit, files):
        db, found = self.store.read(), self.store.layers(commit)
        assert [file.path for file in layers.walk(db, found)] == sorted(files)
        for path, data in files.items():
            file = layers.inspect(db, found, path)
            assert b"".join(self.store.content(commit, file)) == data
            assert file.hash == hash_of(data)
            assert b"".join(self.store.content(commit, file, len(data) // 2, 3)) == data[len(data) // 2 :][:3]
        view = StoreView(self.store, commit)
        below = [one.path for one in view.walk("/dir/", "/dir/a")]
        assert below == sorted(path for path in files if path.startswith("/dir/") and path > "/dir/a")


TestStore = StoreMachine.TestCase
TestStore.settings = settings(
    max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path) as opened, opened.database.write() as txn:
        repos.create_repo(txn, RepoKey("default", "r"))
    with Store(tmp_path) as opened:
        yield opened


def _commit(store, files, branch="master"):
    repo = repos.get_repo(store.read(), RepoKey("default", "r"))
    head = branches.find(store.read(), repo.id, branch)
    changes = store.changes(commits.by_id(store.read(), head.head) if head else None)
    for path, data in files.items():
        changes.delete(path)
        changes.add(path, data)
    return store.modify_branch(repo.key, branch, changes)


def test_many_small_commits_keep_few_layers(store):
    for number in range(60):
        commit = _commit(store, {f"/{number}": b"x"})
    found = store.layers(commit)
    assert len(found) <= 6
    assert len(list(layers.walk(store.read(), found))) == 60


def test_a_commit_that_was_removed_after_it_was_read_of_is_not_found(store):
    with pytest.raises(Refused, match="not found") as error:
        commits.by_id(store.read(), 1_000_000)
    assert error.value.code == "NOT_FOUND"


def test_a_stream_that_is_never_applied_leaves_no_trace(store):
    _commit(store, {"/a": b"1"})
    repo = repos.get_repo(store.read(), RepoKey("default", "r"))
    changes = store.changes(None)
    changes.add("/b", b"2" * SMALL * 3)
    changes.settle()
    assert len(commits.select(store.read(), "WHERE c.repo = ?", (repo.id,))) == 1


def test_a_stream_that_breaks_off_leaves_no_file(store):
    changes = store.changes(None)
    changes.add("/b", random.Random(1).randbytes(3 * 2**20))
    changes.settle()
    changes.add("/c", b"2" * 5 * 2**20)
    wait_for(lambda: list(store.chunks.folder.rglob("*.tmp")), "the file that another thread writes")
    del changes
    store.chunks.close()
    gc.collect()
    assert [one for one in store.chunks.folder.rglob("*") if one.suffix] == []


def test_small_files_that_are_appended_to_are_many(store):
    files = {f"/{number:04}": bytes([number % 251]) * 20_000 for number in range(600)}
    _commit(store, files)
    repo = repos.get_repo(store.read(), RepoKey("default", "r"))
    head = commits.by_id(store.read(), branches.find(store.read(), repo.id, "master").head)
    changes = store.changes(head)
    for path in files:
        changes.add(path, b"more")
    commit = store.modify_branch(repo.key, "master", changes)
    found = layers.inspect(store.read(), store.layers(commit), "/0007")
    assert found.hash == hash_of(files["/0007"] + b"more")


def test_a_refused_transaction_leaves_nothing(store):
    def half() -> None:
        with store.database.write() as txn:
            repos.create_repo(txn, RepoKey("default", "new"))
            repos.create_repo(txn, RepoKey("default", "r"))

    with pytest.raises(Refused, match="already exists"):
        half()
    assert repos.find_repo(store.read(), RepoKey("default", "new")) is None


@given(st.text(alphabet="ab/.", max_size=12))
def test_clean_paths_stay_as_they_are(path):
    cleaned = paths.clean(path)
    assert paths.clean(cleaned) == cleaned
    assert cleaned.startswith("/")
    assert "//" not in cleaned
    assert cleaned == "/" or not cleaned.endswith("/")


@given(
    st.lists(st.from_regex(r"/[ab](/[abc]{1,2}){0,2}", fullmatch=True), max_size=8, unique=True),
    st.sampled_from(["/*", "/**", "/a/*", "/?/b*", "/{a,b}/*"]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
def test_globs_match_what_walking_and_matching_gives(names, pattern):
    files = [one for one in names if not any(other.startswith(one + "/") for other in names)]
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder)) as store:
        with store.database.write() as txn:
            repos.create_repo(txn, RepoKey("default", "r"))
        commit = _commit(store, dict.fromkeys(files, b"x"))
        db, found = store.read(), store.layers(commit)
        everything = [one.path for one in listing.walk(db, found, "/") if one.path != "/"]
        regex = paths.glob_regex(pattern)
        expected = [path for path in everything if regex.fullmatch(path.rstrip("/"))]
        assert [one.path for one in listing.glob(db, found, pattern)] == expected
        for path in everything:
            assert listing.inspect(db, found, path).path == path

"""The read cache: repeated reads come from disk, within its limit; a single read fetches what it needs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import FileIO
from pathlib import Path
from typing import Any

import boto3
import pytest
from adapter_steps import INPUT_FILES, Pachyderm, set_environment
from hypothesis import given, settings
from hypothesis import strategies as st
from test_adapter_faults import Proxy

from kfp_pachyderm.adapter.control.process import SPOOL_VARIABLE, spool_limit
from kfp_pachyderm.adapter.disk import read_cache as cache_module
from kfp_pachyderm.adapter.disk.read_cache import ReadCache
from kfp_pachyderm.errors import SpecError
from tests.waiting import wait_for

CONTENT = os.urandom(4096)
NAME = (("p", "r", "c"), "/k", len(CONTENT))


class Source:
    """An input file that counts the bytes fetched from it."""

    def __init__(self) -> None:
        self.fetched: list[tuple[int, int]] = []

    def __call__(self, start: int, length: int) -> Iterator[bytes]:
        self.fetched.append((start, length))
        for begin in range(start, start + length, 100):
            yield CONTENT[begin : min(begin + 100, start + length)]


def used(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def test_a_part_of_what_was_read_is_not_fetched(tmp_path: Path) -> None:
    cache, source = ReadCache(tmp_path, 10_000), Source()
    assert b"".join(cache.read(NAME, 1000, 2000, source)) == CONTENT[1000:3000]
    assert b"".join(cache.read(NAME, 1500, 100, source)) == CONTENT[1500:1600]
    assert b"".join(cache.read(NAME, 1000, 2000, source)) == CONTENT[1000:3000]
    assert source.fetched == [(1000, len(CONTENT) - 1000)]
    assert b"".join(cache.read((NAME[0], "/other", 1010), 1000, 10, source)) == CONTENT[1000:1010]
    assert source.fetched[1:] == [(1000, 10)]


def test_what_was_read_in_parts_is_there_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "_SHORTEST", 1)
    monkeypatch.setattr(cache_module, "_LONGEST", 1000)
    cache, source = ReadCache(tmp_path, 10_000), Source()
    parts = [(0, 1000), (1000, 1000), (2001, 999)]
    for start, length in parts:
        list(cache.read(NAME, start, length, source))
    assert b"".join(cache.read(NAME, 0, 2000, source)) == CONTENT[:2000]
    assert b"".join(cache.read(NAME, 999, 1001, source)) == CONTENT[999:2000]
    assert source.fetched == parts
    assert b"".join(cache.read(NAME, 0, 3000, source)) == CONTENT[:3000]
    assert source.fetched == [*parts, (0, 3000)]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 96)), max_size=60))
def test_any_reads_are_right_and_the_disk_is_bounded(
    tmp_path_factory: pytest.TempPathFactory, reads: list[tuple[int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("cache")
    cache, source = ReadCache(folder, 300), Source()
    for start, length in reads:
        assert b"".join(cache.read(NAME, start, length, source)) == CONTENT[start : start + length]
        assert used(folder) <= 300


def test_a_read_given_up_leaves_nothing(tmp_path: Path) -> None:
    cache, source = ReadCache(tmp_path, 10_000), Source()
    reading = cache.read(NAME, 0, 1000, source)
    next(reading)
    reading.close()  # type: ignore[attr-defined]
    assert list(tmp_path.iterdir()) == []


def test_a_file_let_go_is_read_to_its_end(tmp_path: Path) -> None:
    cache, source = ReadCache(tmp_path, 2000), Source()
    list(cache.read(NAME, 0, 2000, source))
    again = cache.read(NAME, 0, 2000, source)
    list(cache.read(NAME, 2000, 2000, source))
    assert b"".join(again) == CONTENT[:2000]
    assert source.fetched == [(0, 2000), (2000, 2000)]


def test_a_full_disk_does_not_end_a_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, source = ReadCache(tmp_path, 10_000), Source()
    monkeypatch.setattr(Path, "open", lambda *_, **__: FileIO("/dev/full", "w"))
    assert b"".join(cache.read(NAME, 0, 1000, source)) == CONTENT[:1000]


def test_many_threads(tmp_path: Path) -> None:
    cache, source = ReadCache(tmp_path, 500), Source()

    def read(number: int) -> bool:
        start = number * 7 % 4000
        return b"".join(cache.read(NAME, start, 90, source)) == CONTENT[start : start + 90]

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(read, range(2000)))
    assert used(tmp_path) <= 500


def test_repeated_ranges_need_no_pachyderm(new_step: Any, pachyderm: Pachyderm, monkeypatch: Any) -> None:
    proxy = Proxy(pachyderm.address)
    with new_step(sidecar=proxy.address) as step:
        set_environment(monkeypatch, step)
        s3, wanted = boto3.client("s3"), INPUT_FILES["/big.bin"][7:100_007]

        def cost() -> int:
            before = proxy.passed_down
            answer = s3.get_object(Bucket="images", Key="big.bin", Range="bytes=7-100006")
            assert answer["Body"].read() == wanted
            return proxy.passed_down - before

        assert 2**20 <= cost() < 5 * 2**20
        # the client has its bytes before the rest of the message is in the cache; later reads only inspect
        # the file
        wait_for(lambda: cost() <= 5000, "a read from the disk")
        s3.close()
    proxy.close()


def test_the_spool_is_set_by_the_environment() -> None:
    assert spool_limit({}) == 8 * 2**30
    assert spool_limit({SPOOL_VARIABLE: "3"}) == 3 * 2**20
    for wrong in ("", "0", "-1", "8GiB"):
        with pytest.raises(SpecError, match=SPOOL_VARIABLE):
            spool_limit({SPOOL_VARIABLE: wrong})

"""Pachyderm's hash of a file: known hashes, and the chunker compared with one that goes byte by byte."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kfp_pachyderm.protocol import file_hash
from kfp_pachyderm.protocol.file_hash import SMALL, Cutter, FileHash, small

#: Kind, seed, size and hash of files that Pachyderm 2.12's own file set writer wrote and hashed.
KNOWN = json.loads((Path(__file__).parent / "pachd_hashes.json").read_text())
PIECE = 2**20


def splitmix64(seed: int, start: int, count: int) -> bytes:
    """The numbers `start` to `start + count` of the generator splitmix64."""
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(start + 1, start + count + 1, dtype=np.uint64) * np.uint64(
            0x9E3779B97F4A7C15
        )
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (z ^ (z >> np.uint64(31))).tobytes()


def piece(kind: str, seed: int, start: int, size: int) -> bytes:
    if kind == "zero":
        return bytes(size)
    if kind == "period":
        return (np.arange(start, start + size) % seed).astype(np.uint8).tobytes()
    return splitmix64(seed, start // 8, -(-size // 8))[:size]


@pytest.mark.parametrize(("kind", "seed", "size", "expected"), KNOWN)
@pytest.mark.parametrize("compiled", [True, False])
def test_known_answers(
    kind: str, seed: int, size: int, expected: str, compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_hash, "works", lambda: compiled)
    found = FileHash()
    for start in range(0, size, PIECE):
        found.update(piece(kind, seed, start, min(PIECE, size - start)))
    assert found.size == size
    assert found.digest().hex() == expected
    if size < file_hash.SMALL:
        assert small(piece(kind, seed, 0, size)).hex() == expected


def by_the_byte(data: bytes, shortest: int, longest: int, mask: int) -> list[int]:
    """ComputeChunks of Pachyderm's src/internal/storage/chunk/chunker.go, line by line."""
    raw = bytes.fromhex(file_hash._TABLE)
    table = [int.from_bytes(raw[at : at + 8], "big") for at in range(0, len(raw), 8)]

    def rolled(state: int, old: int, new: int) -> int:
        return ((state << 1 | state >> 63) & (2**64 - 1)) ^ table[old] ^ table[new]

    # after 64 rotations by one every bit is back in its place, so a window of one repeated byte hashes to a
    # constant
    fresh = 0
    for _ in range(64):
        fresh = ((fresh << 1 | fresh >> 63) & (2**64 - 1)) ^ table[0]
    found, start, state, window = list[int](), 0, fresh, [0] * 64
    for position, byte in enumerate(data):
        length = position + 1 - start
        if length < longest:
            state = rolled(state, window.pop(0), byte)
            window.append(byte)
            if state & mask or length < shortest:
                continue
        found.append(position + 1)
        start, state, window = position + 1, fresh, [0] * 64
    return found


CONTENTS = ("random", "zeros", "two letters", "repeated")


def content(kind: str, seed: int, size: int) -> bytes:
    generator = random.Random(seed)
    if kind == "zeros":
        return bytes(size)
    if kind == "two letters":
        return bytes(generator.choices(b"ab", k=size))
    if kind == "repeated":
        return (generator.randbytes(777) * (size // 777 + 1))[:size]
    return generator.randbytes(size)


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(CONTENTS),
    seed=st.integers(0, 2**32),
    size=st.integers(0, 70_000),
    step=st.sampled_from([1, 63, 64, 65, 1000, 40_000, 70_000]),
    longest=st.sampled_from([300, 2000, 50_000]),
    compiled=st.booleans(),
)
def test_cutter_cuts_where_the_plain_chunker_does(
    kind: str, seed: int, size: int, step: int, longest: int, compiled: bool
) -> None:
    data = content(kind, seed, min(size, 2000) if step == 1 else size)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(file_hash, "works", lambda: compiled)
        patch.setattr(file_hash, "SMALL", 100)
        patch.setattr(file_hash, "LARGEST", longest)
        patch.setattr(file_hash, "_MASK", 2**9 - 1)
        file_hash._tables.cache_clear()
        cutter, found = Cutter(), list[int]()
        for start in range(0, len(data), step):
            found += [start + end for end in cutter.cuts(memoryview(data)[start : start + step])]
    file_hash._tables.cache_clear()
    assert found == by_the_byte(data, 100, longest, 2**9 - 1)


def test_one_changed_byte_is_another_file() -> None:
    data = bytearray(splitmix64(5, 0, 400_000))
    hashes = set[bytes]()
    for position in (None, 0, 1_999_999, len(data) - 1):
        if position is not None:
            data[position] ^= 1
        one = FileHash()
        one.update(data)
        hashes.add(one.digest())
    assert len(hashes) == 4


@pytest.mark.parametrize(("missing", "loaded"), [("numpy", "wasmtime"), ("wasmtime", "numpy")])
def test_what_large_files_need_is_imported_for_them_alone(missing: str, loaded: str) -> None:
    code = f"""if True:
        import sys
        import kfp_pachyderm.adapter.control.commands, kfp_pachyderm.adapter.sidecar.over_grpc
        import kfp_pachyderm.launcher.__main__
        from kfp_pachyderm.protocol.file_hash import FileHash
        one = FileHash()
        one.update(bytes(999_999))
        assert "wasmtime" not in sys.modules and "numpy" not in sys.modules
        sys.modules[{missing!r}] = None
        one.update(b"1")
        assert {loaded!r} in sys.modules
    """
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_without_wasmtime_and_numpy_a_large_file_has_no_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_hash, "works", lambda: False)
    monkeypatch.setitem(sys.modules, "numpy", None)
    assert not file_hash.can_hash_large_files()
    with pytest.raises(ImportError):
        FileHash().update(bytes(SMALL))


def test_a_cut_at_the_end_of_what_one_call_examines(monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiled scanner may look a little further than its content, at what an earlier one left there."""
    monkeypatch.setattr(file_hash, "works", lambda: True)
    scanner = file_hash._scanner()
    before, data = splitmix64(1, 0, 8), splitmix64(2, 0, 2**21)
    found = scanner.first(before, memoryview(data)[: scanner.longest])
    while found < 0:
        before, data = data[scanner.longest - 64 : scanner.longest], data[scanner.longest :]
        found = scanner.first(before, memoryview(data)[: scanner.longest])
    for shorter in range(found - 3, found + 1):
        scanner.first(before, memoryview(data)[: scanner.longest])
        assert scanner.first(before, memoryview(data)[:shorter]) == -1
    assert scanner.first(before, memoryview(data)[: found + 1]) == found


def _run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


_HASHED = """
import os, resource, threading
from kfp_pachyderm.protocol.file_hash import FileHash
data = bytes(range(256)) * 12000
def hashed():
    one = FileHash()
    one.update(data)
    return one.digest().hex()
"""


def test_threads_share_a_machine_where_addresses_are_few() -> None:
    code = """
resource.setrlimit(resource.RLIMIT_AS, (7 * 2**30,) * 2)  # each machine takes 4 GiB
found = [hashed()]
threads = [threading.Thread(target=lambda: found.append(hashed())) for _ in range(4)]
for one in threads:
    one.start()
for one in threads:
    one.join()
print(len(set(found)), len(found))
"""
    assert _run(_HASHED + code) == "1 5\n"


def test_a_thread_that_hashes_does_not_break_the_process_s_end() -> None:
    code = """
begun = threading.Barrier(4)
def run():
    hashed()
    begun.wait()
    while True:
        hashed()
for _ in range(3):
    threading.Thread(target=run, daemon=True).start()
begun.wait()
"""
    for _ in range(3):
        _run(_HASHED + code)


def test_a_forked_process_hashes_and_ends() -> None:
    code = """
before = hashed()
pid = os.fork()
if pid:
    print(os.waitpid(pid, 0)[1])
assert hashed() == before
"""
    assert _run(_HASHED + code) == "0\n"

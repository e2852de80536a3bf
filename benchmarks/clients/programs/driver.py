"""The operations that every client is tested with, and the checks of their results.

A client's class has a method for each operation that it can do; other operations are left out.

A program is run as `python with_<client>.py [--after OPERATION]` in a step's environment. It prints one JSON
line for each operation: name, "ok" or what went wrong, and the objects that should now be in the bucket.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

MIB = 2**20
INPUT, OUTPUT = "data", "out"
BIG = 9 * MIB + 17
ROWS, SUM = 1000, 499500
COUNTS = {"0": 0, "1,000": 1000, "1,001": 1001, "12,345": 12345}
TIMEOUT = float(os.environ.get("CLIENT_TIMEOUT", "60"))
LARGE = int(os.environ.get("CLIENT_LARGE_MIB", "200"))

Kept = dict[str, bytes]


def content(seed: int, size: int) -> bytes:
    """The same bytes for the same seed, everywhere."""
    return random.Random(seed).randbytes(size)


def folder(count: int) -> str:
    """The folder of the input bucket that has that many objects."""
    return f"n{count}/"


def same(found: object, expected: object) -> None:
    """Fails with a short message if the two differ."""
    if found != expected:
        texts = [
            f"{len(one):,}" if isinstance(one, bytes | list | set) else repr(one) for one in (found, expected)
        ]
        raise AssertionError(f"{texts[0]} instead of {texts[1]}")


def _put(size: int) -> Callable[[Any], Kept]:
    def put(client: Any) -> Kept:
        data = content(size, size)
        client.put(f"put/{size}", data)
        return {f"put/{size}": data}

    return put


def _list(count: int) -> Callable[[Any], Kept]:
    def listing(client: Any) -> Kept:
        found = client.list(INPUT, folder(count))
        same(sorted(found), [f"{folder(count)}{number:05d}" for number in range(count)])
        return {}

    return listing


def _stream(client: Any) -> Kept:
    pieces = [content(seed, 3 * MIB) for seed in range(7)]
    client.stream("stream/unknown", iter(pieces))
    return {"stream/unknown": b"".join(pieces)}


def _get(client: Any) -> Kept:
    same(client.get(INPUT, "big.bin"), content(1, BIG))
    same(client.get(INPUT, "empty"), b"")
    return {}


def _range(client: Any) -> Kept:
    same(client.range(INPUT, "big.bin", 5 * MIB, 1000), content(1, BIG)[5 * MIB : 5 * MIB + 1000])
    return {}


def _ranges(client: Any) -> Kept:
    starts = range(0, 8 * MIB, MIB)
    with ThreadPoolExecutor(8) as threads:
        parts = list(threads.map(lambda start: client.range(INPUT, "big.bin", start, MIB), starts))
    same(b"".join(parts), content(1, BIG)[: 8 * MIB])
    return {}


def _head(client: Any) -> Kept:
    same(client.head(INPUT, "big.bin"), BIG)
    return {}


def _list_v1(client: Any) -> Kept:
    same(len(set(client.list_v1(INPUT, folder(12345)))), 12345)
    return {}


def _prefix(client: Any) -> Kept:
    prefix = f"{folder(1001)}0100"
    same(sorted(client.list(INPUT, prefix)), [f"{folder(1001)}01000"])
    return {}


def _delimiter(client: Any) -> Kept:
    found = {one.rstrip("/") for one in client.folders(INPUT, "")}
    same(found, {"n1000", "n1001", "n12345", "table"})
    return {}


def _start_after(client: Any) -> Kept:
    same(len(client.list_after(INPUT, folder(12345), f"{folder(12345)}11999")), 345)
    return {}


def _read_back(client: Any) -> Kept:
    client.put("back/x", b"x" * 5000)
    same(client.get(OUTPUT, "back/x"), b"x" * 5000)
    same(client.list(OUTPUT, "back/"), ["back/x"])
    return {"back/x": b"x" * 5000}


def _overwrite(client: Any) -> Kept:
    client.put("over/x", b"a longer first version")
    client.put("over/x", b"second")
    return {"over/x": b"second"}


def _delete(client: Any) -> Kept:
    client.put("delete/x", b"x")
    client.put("delete/y", b"y")
    client.delete("delete/x")
    return {"delete/y": b"y"}


def _delete_many(client: Any) -> Kept:
    keys = [f"many/{number}" for number in range(20)]
    for key in (*keys, "many/kept"):
        client.put(key, b"x")
    client.delete_many(keys)
    return {"many/kept": b"x"}


def _copy(client: Any) -> Kept:
    client.put("copy/a/x", b"copied")
    client.copy("copy/a/x", "copy/b/y")
    return {"copy/a/x": b"copied", "copy/b/y": b"copied"}


def _rename(client: Any) -> Kept:
    client.put("rename/_temporary/x", b"renamed")
    client.rename("rename/_temporary/x", "rename/final")
    return {"rename/final": b"renamed"}


def _if_absent(client: Any) -> Kept:
    same(client.put_if_absent("cond/x", b"first"), True)
    same(client.put_if_absent("cond/x", b"second"), False)
    return {"cond/x": b"first"}


def _presigned(client: Any) -> Kept:
    with urllib.request.urlopen(client.presigned(INPUT, "big.bin"), timeout=30) as answer:  # noqa: S310
        same(answer.read(), content(1, BIG))
    return {}


def _read_table(client: Any) -> Kept:
    same(client.read_table(INPUT, "table/part=a/0.parquet"), (ROWS, SUM))
    return {}


def _read_dataset(client: Any) -> Kept:
    same(client.read_dataset(INPUT, "table"), (2 * ROWS, 2 * SUM))
    return {}


def _write_table(client: Any) -> Kept:
    client.write_table(OUTPUT, "tables/one.parquet")
    same(client.read_table(OUTPUT, "tables/one.parquet"), (ROWS, SUM))
    return {}


def _write_dataset(client: Any) -> Kept:
    client.write_dataset(OUTPUT, "dataset")
    same(client.read_dataset(OUTPUT, "dataset"), (ROWS, SUM))
    return {}


#: Operation → the method that a client must have for it, and what is done.
OPERATIONS: dict[str, tuple[str, Callable[[Any], Kept]]] = {
    **{f"put {name}": ("put", _put(size)) for name, size in {"0 B": 0, "1 B": 1, "8 MiB": 8 * MIB}.items()},
    f"put {LARGE} MiB": ("put", _put(LARGE * MIB)),
    "stream": ("stream", _stream),
    "read its own": ("get", _read_back),
    "get": ("get", _get),
    "range": ("range", _range),
    "8 ranges at once": ("range", _ranges),
    "head": ("head", _head),
    **{f"list {name}": ("list", _list(count)) for name, count in COUNTS.items()},
    "list v1": ("list_v1", _list_v1),
    "prefix": ("list", _prefix),
    "delimiter": ("folders", _delimiter),
    "start after": ("list_after", _start_after),
    "overwrite": ("put", _overwrite),
    "delete": ("delete", _delete),
    "multi-delete": ("delete_many", _delete_many),
    "copy": ("copy", _copy),
    "rename": ("rename", _rename),
    "put if absent": ("put_if_absent", _if_absent),
    "presigned URL": ("presigned", _presigned),
    "read Parquet": ("read_table", _read_table),
    "read dataset": ("read_dataset", _read_dataset),
    "write Parquet": ("write_table", _write_table),
    "write dataset": ("write_dataset", _write_dataset),
}


def parquet(seed: int = 0) -> bytes:
    """A table of ROWS rows whose column `n` adds up to SUM."""
    import pyarrow
    import pyarrow.parquet

    target = io.BytesIO()
    table = pyarrow.table({"n": list(range(ROWS)), "text": [f"{seed} {number}" for number in range(ROWS)]})
    pyarrow.parquet.write_table(table, target)
    return target.getvalue()


def inputs() -> Iterator[tuple[str, bytes]]:
    """Path and content of every file that the input bucket has."""
    yield "/big.bin", content(1, BIG)
    yield "/empty", b""
    for count in COUNTS.values():
        for number in range(count):
            yield f"/{folder(count)}{number:05d}", b"%d" % number
    for part in ("a", "b"):
        yield f"/table/part={part}/0.parquet", parquet()


def _say(name: str, result: str, kept: Kept | None = None) -> None:
    hashes = {key: hashlib.sha256(data).hexdigest() for key, data in (kept or {}).items()}
    print(json.dumps({"operation": name, "result": result, "kept": hashes}), flush=True)


def _late(name: str) -> None:
    _say(name, f"not done in {TIMEOUT:.0f} s")
    os._exit(3)


def _one(client: Any, name: str, work: Callable[[Any], Kept]) -> None:
    watch = threading.Timer(TIMEOUT, _late, [name])
    watch.daemon = True
    watch.start()
    try:
        _say(name, "ok", work(client))
    except Exception as error:
        _say(name, f"{type(error).__name__}: {error}")
    finally:
        watch.cancel()


def run(client: Any) -> None:
    """Does every operation that the client has a method for."""
    names = list(OPERATIONS)
    first = names.index(sys.argv[2]) + 1 if sys.argv[1:2] == ["--after"] else 0
    for name in names[first:]:
        method, work = OPERATIONS[name]
        if hasattr(client, method):
            _one(client, name, work)

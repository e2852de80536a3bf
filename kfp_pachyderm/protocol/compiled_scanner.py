"""Finds where a rolling hash ends a chunk, with a WebAssembly function that the package wasmtime compiles.

It takes a third of numpy's processor time.
"""

from __future__ import annotations

import atexit
import threading
import weakref
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wasmtime import Engine, Module, Store

#: Bytes before a position that its hash covers, with its own byte.
WINDOW = 64
#: Where the content begins in the function's memory. The hash's table is at 0, the window before the content.
_CONTENT = 4096
#: The most bytes of content that one call examines.
_LONGEST = 2**20
_PAGES = (_CONTENT + _LONGEST) // 2**16 + 1

# the table's value of the byte at $at, and of the one that leaves the window
_NEW, _OLD = (
    f"(i64.load (i32.shl (i32.load8_u offset={start} (local.get $at)) (i32.const 3)))"
    for start in (_CONTENT, _CONTENT - WINDOW)
)
_TURNED = "(i64.rotl (local.get $hash) (i64.const 1))"
_STEP = f"""
    (local.set $hash (i64.xor {_TURNED} (i64.xor {_NEW} {_OLD})))
    (br_if $found (i64.eqz (i64.and (local.get $hash) (local.get $mask))))
    (local.set $at (i32.add (local.get $at) (i32.const 1)))
"""
# it may look at three bytes more than $size: four steps a round are a fifth faster than one
_PROGRAM = f"""
(module
  (memory (export "memory") {_PAGES})
  (func (export "first") (param $size i32) (param $mask i64) (result i32)
    (local $at i32) (local $hash i64)
    (local.set $at (i32.const {-WINDOW}))
    (loop $begin
      (local.set $hash (i64.xor {_TURNED}
        (i64.load (i32.shl (i32.load8_u (i32.add (local.get $at) (i32.const {_CONTENT}))) (i32.const 3)))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $begin (local.get $at)))
    (block $found
      (loop $next
        (br_if $found (i32.ge_u (local.get $at) (local.get $size)))
        {_STEP * 4}
        (br $next)))
    (local.get $at)))
"""


@cache
def _compiled() -> tuple[Engine, Module]:
    from wasmtime import Config, Engine, Module

    config = Config()
    config.parallel_compilation = False  # it would start a thread for each core
    engine = Engine(config)
    module = Module(engine, _PROGRAM)
    # at the interpreter's end wasmtime's own finalizers fail, and write that to stderr
    atexit.register(engine.close)
    atexit.register(module.close)
    return engine, module


@cache
def works() -> bool:
    """Tells whether wasmtime is installed and runs here.

    It does not on every platform, nor where a process may not make code.
    """
    try:
        _shared()
    except Exception:  # wasmtime's own error has no more exact class above it
        return False
    return True


class _Machine:
    """An instance of the program, with its memory."""

    def __init__(self) -> None:
        import ctypes

        from wasmtime import Instance, Store

        engine, module = _compiled()
        self._store, self._running = Store(engine), threading.Lock()
        weakref.finalize(self, _close, self._store, self._running)
        exports = Instance(self._store, module, []).exports(self._store)
        memory: Any = exports["memory"]
        self._first: Any = exports["first"]
        # the memory never grows, so it stays where it is, as long as its store lives
        size = memory.data_len(self._store)
        start = ctypes.addressof(memory.data_ptr(self._store).contents)
        self._memory = memoryview((ctypes.c_ubyte * size).from_address(start)).cast("B")

    def first(self, table: bytes, before: bytes, data: memoryview, mask: int) -> int:
        with self._running:
            self._memory[: len(table)] = table
            self._memory[_CONTENT - WINDOW : _CONTENT] = before
            self._memory[_CONTENT : _CONTENT + len(data)] = data
            found: int = self._first(self._store, len(data), mask)
        return found if found < len(data) else -1


def _close(store: Store, running: threading.Lock) -> None:
    # at the interpreter's end a daemon thread may be within a call: it finds its memory gone, which kills the
    # process. The lock is kept, as there is no machine any more. In a forked process nobody may release it.
    if running.acquire(timeout=1):
        store.close()


@cache
def _shared() -> _Machine:
    """The machine of all threads that can't have their own."""
    return _Machine()


#: Each thread's machine: one reserves 4 GiB of addresses, so not every file that is hashed gets its own.
_machines = threading.local()


def _own() -> _Machine:
    found: _Machine | None = getattr(_machines, "own", None)
    if found is None:
        try:
            found = _Machine()
        except Exception:  # there are no more addresses (ulimit -v)
            found = _shared()
        _machines.own = found
    return found


class CompiledScanner:
    """Finds the positions whose rolling hash ends a chunk.

    Args:
        table: the hash's 256 values, each 8 bytes, the lowest first.
        mask: the bits of a hash that are 0 where a chunk may end.
    """

    #: The most bytes that `first` takes.
    longest = _LONGEST

    def __init__(self, table: bytes, mask: int) -> None:
        self._table = table
        self._mask = mask

    def first(self, before: bytes, data: memoryview) -> int:
        """Returns the first position in `data` after whose byte a chunk may end, -1 if there is none.

        Args:
            before: the WINDOW bytes that precede `data`.
            data: at most `longest` bytes.
        """
        return _own().first(self._table, before, data, self._mask)

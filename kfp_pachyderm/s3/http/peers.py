"""What one address may take of a server that others need as well: connections and threads.

An address may hold as much as is free besides: dynamic thresholds (Choudhury and Hahne, "Dynamic queue length
thresholds for shared-memory packet switches", 1998). However many take all they can, a newcomer finds some.
Addresses that have never rightly signed get few threads each, and together half of the server.

Threads that compute hold each other up (there is one interpreter lock), so no address has more than a few of
them. Those that wait for their client don't count: a merge of many objects reads them in turns, and none of
its connections may wait for another one's end.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from typing import Any

#: Threads of an address that has signed nothing yet.
_STRANGER_THREADS = 8
#: Threads of one address that do not wait for their client. With 256 of them, all busy, a request of another
#: address took 20 times as long; with 16 hardly longer.
_RUNNING = 16


class Share:
    """How much of one resource each address holds.

    Args:
        whole: how much there is.
        stranger: the most that an address holds which has signed nothing.
    """

    def __init__(self, whole: int, stranger: int) -> None:
        self._whole, self._stranger = whole, stranger
        self._held = Counter[str]()
        self._known: set[str] = set()
        self._used = self._used_by_strangers = 0

    def held(self, peer: str) -> int:
        """How much the address has."""
        return self._held[peer]

    def know(self, peer: str) -> None:
        """The address is none of the strangers any more."""
        self._known.add(peer)
        self._used_by_strangers -= self._held[peer]

    def take(self, peer: str) -> bool:
        """One more, if the address may have it."""
        free = self._whole - self._used
        known = peer in self._known
        if not known:
            free = min(free, self._whole // 2 - self._used_by_strangers, self._stranger)
        allowed = self._held[peer] < free
        if allowed:
            self._count(peer, 1)
        return allowed

    def leave(self, peer: str) -> None:
        """One less."""
        self._count(peer, -1)
        if not self._held[peer]:
            del self._held[peer]

    def _count(self, peer: str, change: int) -> None:
        self._held[peer] += change
        self._used += change
        if peer not in self._known:
            self._used_by_strangers += change


class Peers:
    """The addresses that talk to one server; safe for many threads.

    Args:
        own: the server's own address, which needs no signature to be known.
        connections: the most that the server has open.
        threads: the most that it has at work.
    """

    def __init__(self, own: str, connections: int, threads: int) -> None:
        self._lock = threading.Lock()
        self._connections = Share(connections, connections)
        self._threads = Share(threads, _STRANGER_THREADS)
        self._known: set[str] = set()
        self._waiting: dict[str, deque[Any]] = {}
        self._stalled = Counter[str]()
        self.know(own)

    def connect(self, peer: str) -> bool:
        """Counts a new connection; False: the address has too many, and this one is not counted."""
        with self._lock:
            return self._connections.take(peer)

    def disconnect(self, peer: str) -> None:
        """Counts the end of a connection."""
        with self._lock:
            self._connections.leave(peer)

    def begin(self, peer: str, work: Any) -> bool:
        """Whether the address's work gets a thread now; else `end` or `know` hand it out later."""
        with self._lock:
            allowed = peer not in self._waiting and self._take_thread(peer)
            if not allowed:
                self._waiting.setdefault(peer, deque()).append(work)
            return allowed

    def end(self, peer: str) -> list[Any]:
        """Counts a thread's end; the work that may begin in its place."""
        with self._lock:
            self._threads.leave(peer)
            return self._begin_waiting()

    def know(self, peer: str) -> list[Any]:
        """The address has signed rightly; its work that may begin now."""
        if peer in self._known:
            return []
        with self._lock:
            if peer not in self._known:
                self._known.add(peer)
                self._connections.know(peer)
                self._threads.know(peer)
            return self._begin_waiting()

    def stalled(self, peers: Counter[str]) -> list[Any]:
        """How many threads of each address wait for their clients; the work that may begin beside them."""
        with self._lock:
            self._stalled = peers
            return self._begin_waiting()

    def forget_waiting(self) -> list[Any]:
        """The work that waits, which waits no longer."""
        with self._lock:
            found = [work for queue in self._waiting.values() for work in queue]
            self._waiting.clear()
            return found

    def _take_thread(self, peer: str) -> bool:
        running = self._threads.held(peer) - self._stalled[peer]
        return running < _RUNNING and self._threads.take(peer)

    def _begin_waiting(self) -> list[Any]:
        begun = []
        for peer, queue in list(self._waiting.items()):
            while queue and self._take_thread(peer):
                begun.append(queue.popleft())
            if not queue:
                del self._waiting[peer]
        return begun

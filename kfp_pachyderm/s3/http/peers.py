"""Limits the connections and threads of a server that each client address gets, so that others get some too.

An address may hold as much as is still free: dynamic thresholds (Choudhury and Hahne, "Dynamic queue length
thresholds for shared-memory packet switches", 1998). However many addresses take all that they may, a new one
finds some left. Addresses that have not sent a correctly signed request get few threads each, and together
half of the server.

Threads that compute slow each other down (there is one interpreter lock), so no address gets more than a few
of them. Threads that wait for their client don't count. A client that merges many objects reads them in
turns, so none of its connections may have to wait until another one ends.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from typing import Any

#: The most threads of an address that has not sent a correctly signed request yet.
_STRANGER_THREADS = 8
#: The most threads of one address that do not wait for their client. With 256 busy ones a request of another
#: address took 20 times as long, with 16 hardly longer.
_RUNNING = 16


class Share:
    """Counts how much of one resource (connections or threads) each address holds.

    Args:
        whole: the size of the resource.
        stranger: the most that an address may hold before it has sent a correctly signed request.
    """

    def __init__(self, whole: int, stranger: int) -> None:
        self._whole, self._stranger = whole, stranger
        self._held = Counter[str]()
        self._known: set[str] = set()
        self._used = self._used_by_strangers = 0

    def held(self, peer: str) -> int:
        """Returns how much the address holds."""
        return self._held[peer]

    def know(self, peer: str) -> None:
        """Notes that the address has sent a correctly signed request."""
        self._known.add(peer)
        self._used_by_strangers -= self._held[peer]

    def take(self, peer: str) -> bool:
        """Gives the address one more, if it may have it; tells whether it got it."""
        free = self._whole - self._used
        known = peer in self._known
        if not known:
            free = min(free, self._whole // 2 - self._used_by_strangers, self._stranger)
        allowed = self._held[peer] < free
        if allowed:
            self._count(peer, 1)
        return allowed

    def leave(self, peer: str) -> None:
        """Takes one back from the address."""
        self._count(peer, -1)
        if not self._held[peer]:
            del self._held[peer]

    def _count(self, peer: str, change: int) -> None:
        self._held[peer] += change
        self._used += change
        if peer not in self._known:
            self._used_by_strangers += change


class Peers:
    """The client addresses of one server, and what each holds; safe for many threads.

    Args:
        own: the server's own address. It counts as one that has signed.
        connections: the most open connections of the server.
        threads: the most threads of the server.
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
        """Counts a new connection. False: the address has too many, and this one does not count."""
        with self._lock:
            return self._connections.take(peer)

    def disconnect(self, peer: str) -> None:
        """Counts the end of a connection."""
        with self._lock:
            self._connections.leave(peer)

    def begin(self, peer: str, work: Any) -> bool:
        """Tells whether the address's work gets a thread now.

        If not, the work waits: a later `end`, `know` or `stalled` returns it.
        """
        with self._lock:
            allowed = peer not in self._waiting and self._take_thread(peer)
            if not allowed:
                self._waiting.setdefault(peer, deque()).append(work)
            return allowed

    def end(self, peer: str) -> list[Any]:
        """Counts that a thread of the address is free; returns the waiting work that may begin now."""
        with self._lock:
            self._threads.leave(peer)
            return self._begin_waiting()

    def know(self, peer: str) -> list[Any]:
        """Notes that the address has sent a correctly signed request; returns the work that may begin now."""
        if peer in self._known:
            return []
        with self._lock:
            if peer not in self._known:
                self._known.add(peer)
                self._connections.know(peer)
                self._threads.know(peer)
            return self._begin_waiting()

    def stalled(self, peers: Counter[str]) -> list[Any]:
        """Takes the number of each address's threads that wait; returns the work that may begin now.

        Args:
            peers: for each address the number of its threads that wait for their client.
        """
        with self._lock:
            self._stalled = peers
            return self._begin_waiting()

    def forget_waiting(self) -> list[Any]:
        """Returns all waiting work, and forgets it."""
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

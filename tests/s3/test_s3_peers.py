"""The limits of connections and threads that a client address gets."""

from __future__ import annotations

from collections import Counter

from kfp_pachyderm.s3.http.peers import Peers


def taken(peers: Peers, peer: str) -> int:
    """Takes connections for the address until it gets no more, and returns their number."""
    count = 0
    while peers.connect(peer):
        count += 1
    return count


def test_strangers_leave_half_to_those_who_have_signed() -> None:
    peers = Peers("own", 100, 100)
    assert [taken(peers, f"stranger{number}") for number in range(8)] == [25, 13, 6, 3, 2, 1, 0, 0]
    assert taken(peers, "own") == 25
    peers.know("signed")
    assert taken(peers, "signed") > 10
    peers.disconnect("stranger0")
    assert peers.connect("new")


def test_who_has_signed_leaves_as_much_as_it_takes() -> None:
    peers = Peers("own", 100, 100)
    peers.know("flood")
    assert taken(peers, "flood") == 50
    assert taken(peers, "stranger") == 25
    peers.know("stranger")
    assert not peers.connect("stranger")
    assert taken(peers, "another") > 10


def test_work_waits_for_a_thread_of_its_own_address() -> None:
    peers = Peers("own", 100, 100)
    assert [peers.begin("stranger", number) for number in range(10)] == [True] * 8 + [False] * 2
    assert peers.begin("other", "o")
    assert peers.end("other") == []
    assert peers.end("stranger") == [8]
    # in its order
    assert not peers.begin("stranger", 10)
    assert peers.know("stranger") == [9, 10]
    assert peers.know("stranger") == []
    assert peers.begin("stranger", 11)


def test_an_address_has_few_threads_that_do_not_wait_for_their_client() -> None:
    peers = Peers("own", 100, 100)
    assert [peers.begin("own", number) for number in range(18)] == [True] * 16 + [False] * 2
    # the others are none the worse
    assert peers.begin("stranger", "s")
    # sixteen streams that are read in turns hold nothing up
    assert peers.stalled(Counter(own=16)) == [16, 17]
    assert peers.begin("own", 18)
    assert peers.stalled(Counter()) == []
    assert not peers.begin("own", 19)
    # what was seen may be older than what ended since
    assert [peers.end("own") for _ in range(3)] == [[], [], []]
    assert peers.end("own") == [19]


def test_what_waits_can_be_given_up() -> None:
    peers = Peers("own", 2, 2)
    assert peers.begin("a", 1)
    assert not peers.begin("a", 2)
    assert peers.forget_waiting() == [2]
    assert peers.end("a") == []

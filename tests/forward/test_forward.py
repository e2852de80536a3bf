"""The port-forward against Kubernetes' protocol: bytes, ends, many at once, what breaks."""

from __future__ import annotations

import hashlib
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from kfp_pachyderm.errors import (
    AuthenticationError,
    NotFoundError,
    PachydermUnreachableError,
    PermanentError,
)
from kfp_pachyderm.forward import cluster as clusters
from kfp_pachyderm.forward import forwarder as forwarders
from kfp_pachyderm.forward import tunnel as tunnels
from kfp_pachyderm.forward.cluster import Cluster
from kfp_pachyderm.forward.forwarder import Forwarder
from kfp_pachyderm.pachd.connection.port_forward import VARIABLE, dialled
from tests.fake_kubernetes import FakeKubernetes, Pod

SERVICE = "s3-0123.pachyderm"
PORT = 8080
NETLOC = f"{SERVICE}:{PORT}"


@contextmanager
def server(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server in the pod; its port on this machine."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)

    def accept() -> None:
        while True:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=one, args=(connection,), daemon=True).start()

    def one(connection: socket.socket) -> None:
        with connection:
            try:
                serve(connection)
            except OSError:
                return

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def echo(connection: socket.socket) -> None:
    while data := connection.recv(65536):
        connection.sendall(data)


def connected(forwarder: Forwarder, netloc: str = NETLOC) -> socket.socket:
    host, _, port = forwarder.local(netloc).rpartition(":")
    return socket.create_connection((host, int(port)), 30)


def received(connection: socket.socket, length: int) -> bytes:
    found = b""
    while len(found) < length and (data := connection.recv(65536)):
        found += data
    return found


def wait_for(found: Callable[[], list[logging.LogRecord]], number: int) -> list[logging.LogRecord]:
    """Waits for a log line, which comes a moment after the client has seen the connection's end."""
    until = time.monotonic() + 30
    while len(found()) < number:
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.01)
    return found()


def holds(kubernetes: FakeKubernetes, port: int, *more: Pod) -> None:
    kubernetes.pods["s3-0123"] = [*more, Pod("worker", {PORT: port})]


def test_bytes_arrive_both_ways_at_once(kubernetes: FakeKubernetes, forwarder: Forwarder) -> None:
    data = os.urandom(8 * 2**20)
    with server(echo) as port:
        holds(kubernetes, port)
        with connected(forwarder) as connection:
            threading.Thread(target=connection.sendall, args=(data,), daemon=True).start()
            digest = hashlib.sha256(received(connection, len(data))).digest()
    assert digest == hashlib.sha256(data).digest()
    assert kubernetes.forwards == [f"worker:{PORT}"]


def test_a_side_that_does_not_read_holds_the_other_up(
    kubernetes: FakeKubernetes, forwarder: Forwarder
) -> None:
    held_up = threading.Event()

    def flood(connection: socket.socket) -> None:
        connection.settimeout(2)
        try:
            for _ in range(2**10):
                connection.sendall(bytes(2**18))
        except TimeoutError:
            held_up.set()

    with server(flood) as port:
        holds(kubernetes, port)
        with connected(forwarder) as connection:
            assert connection.recv(1)
            assert held_up.wait(60), "all of it lies somewhere in memory"
            (tunnel,) = forwarder._tunnels
            assert len(tunnel._to_client) < 2 * tunnels._KEPT


def test_the_pods_end_is_an_end(kubernetes: FakeKubernetes, forwarder: Forwarder) -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(100)
        connection.sendall(b"answer" * 10000)

    with server(answer) as port:
        holds(kubernetes, port)
        for _ in range(3):
            with connected(forwarder) as connection:
                connection.sendall(b"request")
                assert received(connection, 10**6) == b"answer" * 10000


def test_a_client_that_says_no_more_still_hears_the_answer(
    kubernetes: FakeKubernetes, forwarder: Forwarder
) -> None:
    heard = threading.Event()

    def answer(connection: socket.socket) -> None:
        connection.recv(100)
        heard.wait(20)
        connection.sendall(b"answer")

    with server(answer) as port:
        holds(kubernetes, port)
        with connected(forwarder) as connection:
            connection.sendall(b"request")
            connection.shutdown(socket.SHUT_WR)
            heard.set()
            assert received(connection, 100) == b"answer"


def test_a_client_that_is_gone_is_forgotten(
    kubernetes: FakeKubernetes, forwarder: Forwarder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tunnels, "_LINGER", 0.2)
    gone = threading.Event()

    def wait(connection: socket.socket) -> None:
        connection.sendall(b"hello")
        while connection.recv(100):
            pass
        gone.set()

    with server(wait) as port:
        holds(kubernetes, port)
        with connected(forwarder) as connection:
            assert received(connection, 5) == b"hello"
        assert gone.wait(30), "the pod still waits"


def test_many_connections(kubernetes: FakeKubernetes, forwarder: Forwarder) -> None:
    def talk(number: int) -> bool:
        data = bytes([number]) * 100_000
        with connected(forwarder) as connection:
            connection.sendall(data)
            return received(connection, len(data)) == data

    with server(echo) as port:
        holds(kubernetes, port)
        with ThreadPoolExecutor(32) as pool:
            assert all(pool.map(talk, range(96)))


def test_a_broken_connection_is_a_reset_and_the_next_one_works(
    kubernetes: FakeKubernetes, forwarder: Forwarder, caplog: pytest.LogCaptureFixture
) -> None:
    with server(echo) as port:
        holds(kubernetes, port)
        with connected(forwarder) as connection:
            connection.sendall(b"before")
            assert received(connection, 6) == b"before"
            assert kubernetes.cut() == 1
            with pytest.raises(ConnectionResetError):
                connection.recv(100)
        with connected(forwarder) as connection:
            connection.sendall(b"after")
            assert received(connection, 5) == b"after"
    (told,) = wait_for(lambda: [one for one in caplog.records if one.levelno == logging.WARNING], 1)
    assert "the connection to Kubernetes broke" in told.getMessage()


def test_a_closed_port_is_a_reset(
    kubernetes: FakeKubernetes, forwarder: Forwarder, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with server(echo) as port:
        pass
    holds(kubernetes, port)
    for _ in range(3):
        with connected(forwarder) as connection, pytest.raises(ConnectionResetError):
            connection.recv(100)
    words = f"port-forward to {NETLOC}: error forwarding port {PORT} to pod worker: connection refused"
    told = wait_for(lambda: [one for one in caplog.records if one.getMessage() == words], 3)
    assert {one.levelno for one in told} == {logging.DEBUG}, "a holder's port is closed for a moment"


def test_a_job_that_is_gone_is_no_warning(
    kubernetes: FakeKubernetes, forwarder: Forwarder, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "kfp_pachyderm")
    for netloc, level in ((NETLOC, logging.DEBUG), ("pachd.pachyderm:30650", logging.WARNING)):
        caplog.clear()
        with connected(forwarder, netloc) as connection, pytest.raises(ConnectionResetError):
            connection.recv(100)
        (told,) = wait_for(lambda: [one for one in caplog.records if "404" in one.getMessage()], 1)
        assert told.levelno == level


def test_what_kubernetes_refuses_is_told_once(
    kubernetes: FakeKubernetes, forwarder: Forwarder, caplog: pytest.LogCaptureFixture
) -> None:
    holds(kubernetes, 1)
    kubernetes.refused = 403
    for _ in range(3):
        with connected(forwarder) as connection, pytest.raises(ConnectionResetError):
            connection.recv(100)
    (warned,) = wait_for(lambda: [one for one in caplog.records if one.levelno == logging.WARNING], 1)
    assert "get and create pods/portforward" in warned.getMessage()


def test_another_pod_is_found_when_the_first_is_gone(
    kubernetes: FakeKubernetes, forwarder: Forwarder
) -> None:
    with server(echo) as port:
        holds(kubernetes, port)
        connected(forwarder).close()
        kubernetes.pods["s3-0123"] = [Pod("next", {PORT: port})]
        answers = []
        for _ in range(2):
            with connected(forwarder) as connection:
                try:
                    connection.sendall(b"x")
                    answers.append(received(connection, 1))
                except ConnectionError:
                    answers.append(b"")
    assert answers[-1] == b"x"


def test_a_pod_that_is_ready_is_taken_before_others(kubernetes: FakeKubernetes) -> None:
    kubernetes.pods["pachd"] = [
        Pod("ended", phase="Succeeded"),
        Pod("going", going=True),
        Pod("starting", ready=False),
        Pod("good", named={"api-grpc-port": 1650}),
    ]
    kubernetes.service_ports["pachd"] = [
        {"port": 30650, "targetPort": "api-grpc-port"},
        {"port": 30600, "targetPort": 1600},
    ]
    cluster = Cluster()
    assert cluster.port("pachd.pachyderm.svc.cluster.local", 30650) == clusters.Port(
        "pachyderm", "good", 1650
    )
    assert cluster.port("pachd.pachyderm", 30600).port == 1600
    with pytest.raises(NotFoundError, match="service pachd has no port 1; it has 30650, 30600"):
        cluster.port("pachd.pachyderm", 1)
    kubernetes.pods["pachd"] = [Pod("going", going=True)]
    with pytest.raises(NotFoundError, match="service pachyderm/pachd has no pod that runs"):
        cluster.port("pachd.pachyderm", 30650)


def test_errors_name_the_way_out(kubernetes: FakeKubernetes, forwarder: Forwarder) -> None:
    with pytest.raises(NotFoundError, match=r"service nothing in namespace pachyderm.*<service>.<namespace>"):
        forwarder.probe("nothing.pachyderm:30650")
    holds(kubernetes, 1)
    kubernetes.refused = 403
    with pytest.raises(AuthenticationError, match=r"403; .*get and create pods/portforward"):
        forwarder.probe(NETLOC)
    kubernetes.hidden = 403
    with pytest.raises(AuthenticationError, match=r"service s3-0123 .*get services, list pods"):
        Cluster().port(SERVICE, PORT)
    with pytest.raises(PermanentError, match=r"'10\.0\.0\.1' is no service"):
        Cluster().port("10.0.0.1", 1)
    with pytest.raises(PermanentError, match=r"not in namespace pachyderm"):
        forwarder.local("postgres.databases:5432")


def test_no_kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path}/missing")
    with pytest.raises(
        PermanentError, match=r"no kubeconfig can be used \(.*missing.*name one by KUBECONFIG"
    ):
        Cluster()


def test_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    with pytest.raises(PermanentError, match=r"pip install 'kfp-pachyderm\[cluster\]'"):
        Cluster()


def test_wrong_kubernetes_token_is_not_shown(
    kubernetes: FakeKubernetes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kubernetes.kubeconfig(tmp_path, "another-secret")))
    holds(kubernetes, 1)
    cluster = Cluster()
    with pytest.raises(AuthenticationError) as refused:
        cluster.port(SERVICE, PORT)
    with pytest.raises(AuthenticationError) as also:
        cluster.dial(clusters.Port("pachyderm", "worker", PORT))
    assert "another-secret" not in f"{refused.value!r}{also.value!r}"


def test_nobody_at_the_api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = FakeKubernetes(url="http://127.0.0.1:1")
    monkeypatch.setenv("KUBECONFIG", str(nowhere.kubeconfig(tmp_path)))
    cluster = Cluster()
    with pytest.raises(PachydermUnreachableError, match=r"Kubernetes at http://127\.0\.0\.1:1 does not"):
        cluster.dial(clusters.Port("pachyderm", "worker", PORT))


def test_steps_ask_where_to_dial(kubernetes: FakeKubernetes, forwarder: Forwarder) -> None:
    env = {VARIABLE: forwarder.variable}
    assert dialled(NETLOC, {}) == ""
    assert dialled(NETLOC, env) == forwarder.local(NETLOC)
    with pytest.raises(PachydermUnreachableError, match="not in namespace"):
        dialled("other.place:1", env)
    with pytest.raises(PachydermUnreachableError, match="refuses"):
        dialled(NETLOC, {VARIABLE: forwarder.variable + "x"})
    forwarder.close()
    with pytest.raises(PachydermUnreachableError, match="has ended"):
        dialled(NETLOC, env)


def test_listeners_of_old_jobs_make_room(
    kubernetes: FakeKubernetes, forwarder: Forwarder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forwarders, "_MOST", 3)
    with server(echo) as port:
        holds(kubernetes, port)
        first, second = forwarder.local("pachd.pachyderm:30650"), forwarder.local("s3-2.pachyderm:1653")
        forwarder.local(NETLOC)
        forwarder.local("s3-2.pachyderm:1653")
        forwarder.local("s3-3.pachyderm:1653")
        assert list(forwarder._listeners) == [
            "pachd.pachyderm:30650", "s3-2.pachyderm:1653", "s3-3.pachyderm:1653"
        ]  # fmt: skip
        assert forwarder.local("pachd.pachyderm:30650") == first
        assert forwarder.local("s3-2.pachyderm:1653") == second
        with connected(forwarder) as connection:
            connection.sendall(b"x")
            assert received(connection, 1) == b"x"


def test_close_ends_open_connections(kubernetes: FakeKubernetes, forwarder: Forwarder) -> None:
    with server(echo) as port:
        holds(kubernetes, port)
        with connected(forwarder) as connection:
            connection.sendall(b"x")
            assert received(connection, 1) == b"x"
            forwarder.close()
            with suppress(ConnectionResetError):
                assert connection.recv(1) == b""

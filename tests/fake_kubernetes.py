"""The part of a Kubernetes API server that a port-forward needs: services, pods, ports by websocket.

The websocket speaks v4.channel.k8s.io as the kubelet does (Kubernetes pkg/kubelet/cri/streaming/portforward/
websocket.go). Each port has a data channel and an error channel, which both begin with the port's number. A
closed port is an error, which ends the connection. A pod that closes its side ends the websocket.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trustme
import yaml
from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from tests.waiting import PATIENCE

PROTOCOL = "v4.channel.k8s.io"
TOKEN = "kubernetes-token"
NAMESPACE = "pachyderm"


@dataclass
class Pod:
    """A pod: its ports are ports of this machine.

    Args:
        name: its name.
        ports: port of the pod → port of this machine; one that is missing is the same.
        named: name of a port → port of the pod.
    """

    name: str
    ports: dict[int, int] = field(default_factory=dict)
    named: dict[str, int] = field(default_factory=dict)
    phase: str = "Running"
    ready: bool = True
    going: bool = False

    def json(self, app: str) -> dict[str, Any]:
        ports = [{"name": name, "containerPort": port} for name, port in self.named.items()]
        going = {"deletionTimestamp": "2026-01-01T00:00:00Z"} if self.going else {}
        ready = {"type": "Ready", "status": str(self.ready)}
        return {
            "metadata": {"name": self.name, "namespace": NAMESPACE, "labels": {"app": app}, **going},
            "spec": {"containers": [{"name": "main", "ports": ports}]},
            "status": {"phase": self.phase, "conditions": [ready]},
        }


@dataclass
class FakeKubernetes:
    """The cluster's services and pods, the faults that tests set, and the requests that arrived.

    Attributes:
        pods: service → its pods.
        service_ports: service → its ports, as the API has them; a service without entry is headless.
        find: returns the pod of a service that is not in `pods`, None if there is none.
        refused: the HTTP status that answers all port-forwards; 0: they work.
        hidden: the HTTP status that answers requests for services and pods; 0: they work.
        forwards: "pod:port" of each port-forward that was requested.
        seen: the Authorization header of each request.
    """

    pods: dict[str, list[Pod]] = field(default_factory=dict)
    service_ports: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    find: Callable[[str], Pod | None] = lambda _: None
    refused: int = 0
    hidden: int = 0
    forwards: list[str] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    open: set[Any] = field(default_factory=set)
    url: str = ""
    authority: trustme.CA | None = None
    loop: asyncio.AbstractEventLoop | None = None

    def service(self, name: str) -> dict[str, Any] | None:
        if name not in self.pods:
            found = self.find(name)
            if found is None:
                return None
            self.pods[name] = [found]
        ports = self.service_ports.get(name)
        spec = {"clusterIP": "10.0.0.1" if ports else "None", "ports": ports or [], "selector": {"app": name}}
        return {"metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}

    def pod(self, name: str) -> Pod | None:
        return next((one for every in self.pods.values() for one in every if one.name == name), None)

    def cut(self) -> int:
        """Breaks every open connection without a close frame, and returns their number."""
        assert self.loop
        done = asyncio.run_coroutine_threadsafe(self._cut(), self.loop)
        return done.result(PATIENCE)

    async def _cut(self) -> int:
        # tornado takes a handler's connection away when the client has closed it, before on_close is called
        connections = [one.ws_connection for one in self.open if one.ws_connection]
        for one in connections:
            one.stream.close()
        return len(connections)

    def kubeconfig(self, folder: Path, token: str = TOKEN) -> Path:
        """Writes a kubeconfig file that leads to this server."""
        cluster: dict[str, Any] = {"server": self.url}
        if self.authority:
            ca = folder / "kubernetes-ca.crt"
            self.authority.cert_pem.write_to_path(str(ca))
            cluster["certificate-authority"] = str(ca)
        file = folder / "kubeconfig"
        file.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "fake",
                    "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "me"}}],
                    "clusters": [{"name": "fake", "cluster": cluster}],
                    "users": [{"name": "me", "user": {"token": token}}],
                }
            )
        )
        return file


class _Api(RequestHandler):
    """Services and pods."""

    def initialize(self, cluster: FakeKubernetes) -> None:
        self.cluster = cluster

    def get(self, namespace: str, kind: str, name: str = "") -> None:
        self.cluster.seen.append(self.request.headers.get("Authorization", ""))
        if self.request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._status(401)
        if self.cluster.hidden:
            return self._status(self.cluster.hidden)
        found = self._service(name) if kind == "services" else self._pods()
        if namespace != NAMESPACE or found is None:
            return self._status(404)
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(found))
        return None

    def _service(self, name: str) -> dict[str, Any] | None:
        return self.cluster.service(name)

    def _pods(self) -> dict[str, Any]:
        app = self.get_argument("labelSelector").removeprefix("app=")
        return {"items": [one.json(app) for one in self.cluster.pods.get(app, ())]}

    def _status(self, code: int) -> None:
        self.set_status(code)
        self.finish({"kind": "Status", "code": code})


class _Forward(WebSocketHandler):
    """One port-forward."""

    def initialize(self, cluster: FakeKubernetes) -> None:
        self.cluster = cluster
        self.writer: asyncio.StreamWriter | None = None
        self.waiting: list[bytes] | None = []

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        return PROTOCOL if PROTOCOL in subprotocols else None

    async def get(self, namespace: str, name: str) -> None:
        pod = self.cluster.pod(name)
        refused = self.cluster.refused or (404 if pod is None or namespace != NAMESPACE else 0)
        if self.request.headers.get("Authorization") != f"Bearer {TOKEN}":
            refused = 401
        if refused or pod is None:
            self.set_status(refused)
            self.finish()
            return
        self.target, self.port = pod, int(self.get_argument("ports"))
        self.cluster.forwards.append(f"{name}:{self.port}")
        await super().get()

    async def open(self, *_: str, **__: str) -> None:
        self.cluster.open.add(self)
        self.set_nodelay(True)
        for channel in (0, 1):
            await self.write_message(struct.pack("<BH", channel, self.port), binary=True)
        try:
            local = self.target.ports.get(self.port, self.port)
            reader, self.writer = await asyncio.open_connection("127.0.0.1", local)
        except OSError:
            words = f"error forwarding port {self.port} to pod {self.target.name}: connection refused"
            await self.write_message(b"\1" + words.encode(), binary=True)
            self.close()
            return
        for data in self.waiting or ():
            self.writer.write(data)
        self.waiting = None
        self.copying = asyncio.ensure_future(self._copy(reader))

    async def _copy(self, reader: asyncio.StreamReader) -> None:
        try:
            while data := await reader.read(32 * 1024):
                await self.write_message(b"\0" + data, binary=True)
        except (OSError, WebSocketClosedError):
            pass
        self.close()

    async def on_message(self, message: Any) -> None:
        if message[0] == 0:
            if self.waiting is not None:
                self.waiting.append(message[1:])
                return
            assert self.writer
            self.writer.write(message[1:])
            try:
                await self.writer.drain()
            except OSError:
                self.close()

    def on_close(self) -> None:
        self.cluster.open.discard(self)
        if self.writer:
            self.writer.close()


@contextmanager
def fake_kubernetes(tls: bool = True) -> Iterator[FakeKubernetes]:
    """Runs a fake Kubernetes API server."""
    cluster = FakeKubernetes()
    context = None
    if tls:
        cluster.authority = trustme.CA()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        cluster.authority.issue_cert("127.0.0.1").configure_cert(context)
    ready, ended = threading.Event(), threading.Event()

    async def serve() -> None:
        cluster.loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        cluster.stop = lambda: cluster.loop.call_soon_threadsafe(stop.set)  # type: ignore[attr-defined,union-attr]
        given = {"cluster": cluster}
        application = Application(
            [
                (r"/api/v1/namespaces/([^/]+)/pods/([^/]+)/portforward", _Forward, given),
                (r"/api/v1/namespaces/([^/]+)/(services|pods)(?:/([^/]+))?", _Api, given),
            ],
            websocket_max_message_size=32 * 2**20,
            log_function=lambda _: None,
        )
        server = HTTPServer(application, ssl_options=context)
        server.listen(0, "127.0.0.1")
        (listener,) = (one for one in server._sockets.values())
        cluster.url = f"http{'s' if tls else ''}://127.0.0.1:{listener.getsockname()[1]}"
        ready.set()
        await stop.wait()
        server.stop()
        await server.close_all_connections()
        await cluster._cut()

    def run() -> None:
        asyncio.run(serve())
        ended.set()

    threading.Thread(target=run, name="fake-kubernetes", daemon=True).start()
    assert ready.wait(20)
    try:
        yield cluster
    finally:
        cluster.stop()  # type: ignore[attr-defined]
        assert ended.wait(20)

"""The user's cluster: finds the pod behind a service, and opens a websocket to a port of the pod."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from kfp_pachyderm.errors import (
    AuthenticationError,
    NotFoundError,
    PachydermError,
    PachydermUnreachableError,
    PermanentError,
)

if TYPE_CHECKING:
    from websocket import WebSocket

#: The protocol of the websocket. With one port, channel 0 carries data, and channel 1 carries errors
#: (Kubernetes pkg/kubelet/cri/streaming/portforward/websocket.go).
PROTOCOL = "v4.channel.k8s.io"
#: Seconds for one call of the Kubernetes API, and for the opening of a websocket.
_TIMEOUT = 10.0
_RIGHTS = (
    "a port-forward needs, in namespace {namespace}: get services, list pods, get and create pods/portforward"
)


@dataclass(frozen=True)
class Port:
    """A port of a pod."""

    namespace: str
    pod: str
    port: int

    def __str__(self) -> str:
        return f"port {self.port} of pod {self.namespace}/{self.pod}"


class Cluster:
    """The cluster of the current context in the user's kubeconfig: KUBECONFIG, else ~/.kube/config.

    Raises:
        PermanentError: the package `kubernetes` is missing, or the kubeconfig can't be used.
    """

    def __init__(self) -> None:
        try:
            from kubernetes import client, config
        except ImportError as error:
            raise PermanentError(
                "a port-forward needs the package kubernetes: pip install 'kfp-pachyderm[cluster]'"
            ) from error
        # The package reads KUBECONFIG when it is imported, and kfp may have imported it before KUBECONFIG was
        # set.
        file = os.environ.get("KUBECONFIG") or None
        try:
            self._client = config.new_client_from_config(file)
        except (config.ConfigException, OSError, ValueError) as error:
            raise PermanentError(
                f"no kubeconfig can be used ({file or '~/.kube/config'}: {error}); name one by KUBECONFIG, "
                "or run inside of the cluster, without port_forward"
            ) from error
        self._api = client.CoreV1Api(self._client)

    @property
    def server(self) -> str:
        """The URL of the Kubernetes API."""
        return str(self._client.configuration.host)

    def port(self, host: str, port: int) -> Port:
        """Returns the pod and the pod's port behind a service's name and port.

        Args:
            host: "service.namespace", with or without ".svc.cluster.local".
            port: a port of the service; of a headless service, also another port of its pod.

        Raises:
            NotFoundError: the service or the port does not exist, or no pod of the service runs.
            AuthenticationError: Kubernetes does not let the user read services or pods.
            PachydermUnreachableError: the Kubernetes API does not answer.
        """
        service, namespace = service_and_namespace(host)
        with self._told(f"service {service}", namespace):
            found = self._api.read_namespaced_service(service, namespace, _request_timeout=_TIMEOUT)
        target = _target(found, port)
        selector = ",".join(f"{key}={value}" for key, value in (found.spec.selector or {}).items())
        with self._told(f"the pods of service {service}", namespace):
            pods = self._api.list_namespaced_pod(
                namespace, label_selector=selector, _request_timeout=_TIMEOUT
            ).items
        pod = _best(pods)
        if pod is None or not selector:
            raise NotFoundError(f"service {namespace}/{service} has no pod that runs ({selector})")
        return Port(namespace, pod.metadata.name, _number(pod, target))

    def dial(self, port: Port) -> WebSocket:
        """Opens a websocket to the port; the caller closes it.

        Raises:
            NotFoundError: the pod is gone.
            AuthenticationError: Kubernetes does not let the user forward ports.
            PachydermUnreachableError: the Kubernetes API does not answer, or speaks another protocol.
        """
        import websocket

        with self._told(f"a port-forward to {port}", port.namespace):
            opened = websocket.create_connection(
                self._url(port),
                timeout=_TIMEOUT,
                header=self._headers(),
                subprotocols=[PROTOCOL],
                sslopt=self._tls(),
                **self._proxy(),
            )
        if opened.getsubprotocol() != PROTOCOL:
            opened.close()
            raise PachydermUnreachableError(f"{self.server} forwards no ports by {PROTOCOL}")
        return opened

    def _url(self, port: Port) -> str:
        where = urlsplit(self.server)
        path = f"{where.path}/api/v1/namespaces/{port.namespace}/pods/{port.pod}/portforward"
        scheme = "wss" if where.scheme == "https" else "ws"
        return f"{scheme}://{where.netloc}{path}?{urlencode({'ports': port.port})}"

    def _headers(self) -> list[str]:
        # The package renews an expired token here, as it does for each call of its own.
        headers: dict[str, str] = {}
        self._client.update_params_for_auth(headers, [], ["BearerToken"])
        return [f"{name}: {value}" for name, value in headers.items()]

    def _tls(self) -> dict[str, Any]:
        import ssl

        ours = self._client.configuration
        given = {
            "ca_certs": ours.ssl_ca_cert,
            "certfile": ours.cert_file,
            "keyfile": ours.key_file,
            "server_hostname": ours.tls_server_name,
            "check_hostname": ours.assert_hostname if ours.verify_ssl else False,
        }
        needed = ssl.CERT_REQUIRED if ours.verify_ssl else ssl.CERT_NONE
        return {"cert_reqs": needed, **{name: one for name, one in given.items() if one is not None}}

    def _proxy(self) -> dict[str, Any]:
        proxy = urlsplit(self._client.configuration.proxy or "")
        return {"http_proxy_host": proxy.hostname, "http_proxy_port": proxy.port} if proxy.hostname else {}

    @contextmanager
    def _told(self, what: str, namespace: str) -> Iterator[None]:
        """Turns the packages' errors into this package's, without the headers, which hold the token."""
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError
        from websocket import WebSocketBadStatusException, WebSocketException

        try:
            yield
        except ApiException as error:
            raise self._error(error.status or 0, error.reason or "", what, namespace) from None
        except WebSocketBadStatusException as error:
            raise self._error(error.status_code, "", what, namespace) from None
        except (HTTPError, WebSocketException, OSError) as error:
            raise PachydermUnreachableError(
                f"Kubernetes at {self.server} does not answer: {error}"
            ) from error

    def _error(self, status: int, reason: str, what: str, namespace: str) -> PachydermError:
        said = f"Kubernetes at {self.server}, {what} in namespace {namespace}: {status} {reason}".rstrip()
        if status in (401, 403):
            return AuthenticationError(f"{said}; {_RIGHTS.format(namespace=namespace)}")
        if status == 404:
            return NotFoundError(f"{said}; is pachd's address <service>.<namespace>:<port> of this cluster?")
        return PachydermUnreachableError(said)


def service_and_namespace(host: str) -> tuple[str, str]:
    """Splits a name inside of the cluster into service and namespace.

    Raises:
        PermanentError: the name has no namespace, or is an IP address.
    """
    service, *rest = host.split(".")
    if not rest or service.isdigit():
        raise PermanentError(
            f"{host!r} is no service of a cluster: with port_forward write pachd's address as it is inside, "
            "<service>.<namespace>, like grpc://pachd.pachyderm:30650"
        )
    return service, rest[0]


def _target(service: Any, port: int) -> int | str:
    """Returns the number or the name of the pod's port behind a port of the service."""
    for one in service.spec.ports or ():
        if one.port == port:
            return one.target_port or port
    if service.spec.cluster_ip == "None":
        return port  # DNS gives the pod's own address for a headless service
    known = ", ".join(str(one.port) for one in service.spec.ports or ())
    raise NotFoundError(f"service {service.metadata.name} has no port {port}; it has {known}")


def _best(pods: list[Any]) -> Any:
    """Returns a pod that runs and is not being deleted, a ready one if there is one; None without any."""
    alive = [one for one in pods if one.status.phase == "Running" and not one.metadata.deletion_timestamp]
    return max(alive, key=_is_ready, default=None)


def _is_ready(pod: Any) -> bool:
    return any(one.type == "Ready" and one.status == "True" for one in pod.status.conditions or ())


def _number(pod: Any, target: int | str) -> int:
    if str(target).isdigit():
        return int(target)
    for container in pod.spec.containers:
        for one in container.ports or ():
            if one.name == target:
                return int(one.container_port)
    raise NotFoundError(f"pod {pod.metadata.name} has no port {target}")

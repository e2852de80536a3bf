"""The shared endpoint (`share=True`): the adapter's S3 on the pod's address too, for other hosts."""

from __future__ import annotations

import resource

from kfp_pachyderm.adapter.operations.endpoint import Adapter
from kfp_pachyderm.errors import PermanentError
from kfp_pachyderm.s3.http.peers import Peers
from kfp_pachyderm.s3.http.server import MOST_THREADS, S3Server

#: The port that is tried first, so that a network policy can name it. The sidecar's S3 has the same number.
PORT = 1600
_MOST_CONNECTIONS = 2048


class Shared:
    """The shared endpoint; it serves from its making until `end`.

    Args:
        adapter: the step's adapter, whose buckets are served.
        host: the IP address to listen on.

    Attributes:
        endpoint: its URL, "http://host:port".

    Raises:
        PermanentError: the process can't listen on that address.
    """

    def __init__(self, adapter: Adapter, host: str) -> None:
        self._output = adapter.buckets.output
        if self._output:
            self._output.seal(False)
        self._server = _server(adapter, host)
        shown = f"[{host}]" if ":" in host else host
        self.endpoint = f"http://{shown}:{self._server.port}"

    def end(self) -> None:
        """Closes the endpoint. The output bucket keeps every acknowledged change, and refuses new ones."""
        if self._output:
            self._output.seal(True)
        self._server.refuse()


def _server(adapter: Adapter, host: str) -> S3Server:
    peers = Peers(host, _connections(), MOST_THREADS)
    try:
        return S3Server(adapter.wsgi(), PORT, host, peers)
    except OSError:
        # another process of this host has that port
        pass
    try:
        return S3Server(adapter.wsgi(), 0, host, peers)
    except OSError as error:
        raise PermanentError(
            f"share=True: the step's S3 endpoint can't listen on {host}, which was taken for its pod's own "
            f"address: {error}"
        ) from error


def _connections() -> int:
    """Returns the most connections to take: at most half of the process's limit of open files.

    It raises that limit first, as far as the system allows.
    """
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * _MOST_CONNECTIONS
    if allowed < wanted:
        allowed = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, most))
    return min(_MOST_CONNECTIONS, allowed // 2)

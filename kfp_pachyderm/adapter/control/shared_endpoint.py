"""The endpoint once more, on the step's own address: for other hosts, with the step's keys."""

from __future__ import annotations

import resource

from kfp_pachyderm.adapter.operations.endpoint import Adapter
from kfp_pachyderm.errors import PermanentError
from kfp_pachyderm.s3.http.peers import Peers
from kfp_pachyderm.s3.http.server import MOST_THREADS, S3Server

#: Tried first, so that a network policy can name it; the port of the sidecar's S3 as well.
PORT = 1600
_MOST_CONNECTIONS = 2048


class Shared:
    """The shared endpoint, from its making to `end`.

    Args:
        adapter: what is served.
        host: the IP address to listen on.

    Attributes:
        endpoint: "http://host:port".

    Raises:
        PermanentError: nothing can listen there.
    """

    def __init__(self, adapter: Adapter, host: str) -> None:
        self._output = adapter.buckets.output
        if self._output:
            self._output.seal(False)
        self._server = _server(adapter, host)
        shown = f"[{host}]" if ":" in host else host
        self.endpoint = f"http://{shown}:{self._server.port}"

    def end(self) -> None:
        """What has been acknowledged is in the output bucket; from now on everything is refused."""
        if self._output:
            self._output.seal(True)
        self._server.refuse()


def _server(adapter: Adapter, host: str) -> S3Server:
    peers = Peers(host, _connections(), MOST_THREADS)
    try:
        return S3Server(adapter.wsgi(), PORT, host, peers)
    except OSError:
        # another step of the same host, or anybody else, has that port
        pass
    try:
        return S3Server(adapter.wsgi(), 0, host, peers)
    except OSError as error:
        raise PermanentError(
            f"share=True: the step's S3 endpoint can't listen on {host}, which was taken for its pod's own "
            f"address: {error}"
        ) from error


def _connections() -> int:
    """As many as half of the files that the process may open, after asking for enough of them."""
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * _MOST_CONNECTIONS
    if allowed < wanted:
        allowed = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, most))
    return min(_MOST_CONNECTIONS, allowed // 2)

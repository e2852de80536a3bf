"""A gRPC proxy that terminates TLS in front of an embedded Pachyderm, and records the calls."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import trustme


class Proxy(grpc.GenericRpcHandler):
    """Passes every call on unchanged.

    Args:
        target: "host:port" of the server behind it.

    Attributes:
        calls: the names of the calls that were made, without their service.
        refused: the names of calls that it answers with UNIMPLEMENTED.
        address: the address for clients, once it is open.
    """

    def __init__(self, target: str) -> None:
        self.calls, self.refused = set[str](), set[str]()
        self.address = ""
        self._channel = grpc.insecure_channel(target)

    def service(self, handler_call_details: Any) -> Any:
        method = handler_call_details.method
        name = method.rpartition("/")[2]
        self.calls.add(name)
        if name in self.refused:
            return None
        behind = self._channel.stream_stream(method)

        def forward(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
            sent = [(key, value) for key, value in context.invocation_metadata() if key != "user-agent"]
            answers = behind(requests, metadata=sent)
            context.add_callback(answers.cancel)
            try:
                yield from answers
            except grpc.RpcError as error:
                context.abort(error.code(), error.details())

        return grpc.stream_stream_rpc_method_handler(forward)


@contextmanager
def tls_in_front_of(address: str, authority: trustme.CA, host: str = "127.0.0.1") -> Iterator[Proxy]:
    """A "grpcs://" address for the server at a "grpc://" one.

    Args:
        address: of the server behind.
        authority: makes the certificate.
        host: the host that the certificate is for.
    """
    one = authority.issue_cert(host)
    pair = (one.private_key_pem.bytes(), b"".join(part.bytes() for part in one.cert_chain_pems))
    proxy = Proxy(address.removeprefix("grpc://"))
    server = grpc.server(ThreadPoolExecutor(8), [proxy])
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    server.start()
    proxy.address = f"grpcs://127.0.0.1:{port}"
    try:
        yield proxy
    finally:
        server.stop(None).wait()


def pem(authority: trustme.CA) -> bytes:
    """The authority's certificate."""
    found: bytes = authority.cert_pem.bytes()
    return found

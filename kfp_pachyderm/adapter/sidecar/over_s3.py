"""The connection to the job's commits over the sidecar's own S3.

It avoids the operations that the sidecar gets wrong (Pachyderm src/server/pfs/s3, its library s2). So it
lists by version 1 only, sends no HEAD (which reads the whole object), and writes by single PUTs with
Content-MD5, which the sidecar checks. The sidecar does not show the open output commit, so an object counts
as written when its PUT has succeeded.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from kfp_pachyderm.adapter.call_failed import CallFailedError
from kfp_pachyderm.adapter.config import AdapterConfig
from kfp_pachyderm.adapter.disk.objects import Stored
from kfp_pachyderm.adapter.disk.segments import Segment
from kfp_pachyderm.adapter.sidecar.verification import content
from kfp_pachyderm.protocol.file_hash import SMALL, small
from kfp_pachyderm.protocol.pfs_messages import CommitName, Found
from kfp_pachyderm.s3.client import Answer, S3Client
from kfp_pachyderm.s3.errors import S3Error
from kfp_pachyderm.s3.xml import Node, parse

#: The most bytes of a PUT: the sidecar reads the length as 32 bits (s2, s2.go).
_LARGEST = 2**32 - 1
_PAGE = 5000


def _md5(file: Stored) -> bytes:
    if len(file.pieces) == 1 and file.pieces[0].md5:
        return file.pieces[0].md5
    digest = hashlib.md5(usedforsecurity=False)
    for piece in file.read(0, file.size):
        digest.update(piece)
    return digest.digest()


def _found(node: Node) -> Found:
    return Found(
        path="/" + node.value("Key"),
        size=int(node.value("Size")),
        hash=bytes.fromhex(node.value("ETag").strip('"')),
        committed=datetime.fromisoformat(node.value("LastModified")),
    )


class S3Remote:
    """A connection to the sidecar's S3; a `Remote`.

    Args:
        address: "http://host:port".
        config: names the buckets and their commits. Its token is both access key and secret key, "default"
            with auth off.
    """

    shows_output = False

    def __init__(self, address: str, config: AdapterConfig) -> None:
        self.address = address
        key = config.token or "default"
        self._client = S3Client(address, key, key)
        self._buckets = {commit: bucket for bucket, commit in config.inputs.items()}
        if config.output:
            self._buckets[config.output] = "out"
        self._confirmed: dict[str, Stored] = {}
        #: Bytes that the current `write` has sent so far.
        self.taken = 0

    def _ask(self, method: str, name: CommitName, key: str = "", **more: Any) -> Answer:
        try:
            answer = self._client.ask(method, self._buckets[name], key, **more)
        except OSError as error:
            raise CallFailedError(str(error), True) from error
        if answer.status >= 300:
            with answer:
                words = f"{answer.status} {answer.body.read(500).decode(errors='replace')}"
            raise CallFailedError(words, answer.status >= 500)
        return answer

    def _page(self, name: CommitName, prefix: str, marker: str, limit: int) -> tuple[list[Found], bool]:
        query = (("marker", marker), ("max-keys", str(limit)), ("prefix", prefix))
        with self._ask("GET", name, query=query) as answer:
            try:
                root = parse(answer.body.read(), "ListBucketResult")
            except S3Error as error:
                raise CallFailedError(f"its listing can't be read: {error}", True) from error
        return [_found(node) for node in root.all("Contents")], root.value("IsTruncated") == "true"

    def inspect(self, name: CommitName, path: str) -> Found | None:
        """Returns the file at the path, None if there is none. It lists one key with that prefix."""
        found, _ = self._page(name, path[1:], "", 1)
        return found[0] if found and found[0].path == path else None

    def walk(self, name: CommitName, timeout: float | None = None) -> Iterator[Found]:
        """Yields every file of the commit; lists page by page."""
        marker, more = "", True
        while more:
            found, more = self._page(name, "", marker, _PAGE)
            yield from found
            marker = found[-1].path[1:] if found else marker

    def read(self, name: CommitName, path: str, start: int, length: int) -> Iterator[bytes]:
        """Yields `length` bytes of a file from `start`."""
        if not length:
            return
        headers = {"range": f"bytes={start}-{start + length - 1}"}
        with self._ask("GET", name, path[1:], headers=headers) as answer:
            try:
                while length and (piece := answer.body.read(min(length, 2**20))):
                    length -= len(piece)
                    yield piece
            except OSError as error:
                raise CallFailedError(str(error), True) from error
        if length:
            raise CallFailedError(f"{path} ended {length} bytes early", True)

    def stage(self, name: CommitName, key: str, segment: Segment, first: bool) -> str:
        """Always raises CallFailedError: S3 has no file sets."""
        raise CallFailedError("its S3 takes whole objects only", False)

    def renew(self, id_: str) -> bool:
        """Always raises a temporary CallFailedError: S3 has no file sets, but gRPC may be reachable later."""
        raise CallFailedError("its S3 renews nothing", True)

    def write(self, name: CommitName, files: list[Stored], gone: list[str], timeout: float) -> None:
        """Writes the files by one PUT after the other: several at a time only make the sidecar slower."""
        self.taken = 0
        for key in gone:
            self._ask("DELETE", name, key).close()
            self._confirmed.pop(key, None)
        for file in files:
            if self._confirmed.get(file.key) is not file:
                self._put(name, file)
            self.taken += file.size

    def _put(self, name: CommitName, file: Stored) -> None:
        if file.size > _LARGEST:
            raise CallFailedError(f"{file.key!r} has {file.size} bytes, its S3 takes {_LARGEST}", False)
        headers = {"content-md5": base64.b64encode(_md5(file)).decode()}
        body = file.read(0, file.size)
        with self._ask("PUT", name, file.key, headers=headers, body=body, length=file.size) as answer:
            etag = answer.headers.get("ETag", "").strip('"')
        if 0 < file.size < SMALL and etag != small(content(file)).hex():
            raise CallFailedError(f"it stored {file.key!r} with another content", True)
        self._confirmed[file.key] = file

    def differing(self, name: CommitName, files: list[Stored], timeout: float) -> list[Stored]:
        """Returns the files whose PUT the sidecar has not confirmed."""
        return [file for file in files if self._confirmed.get(file.key) is not file]

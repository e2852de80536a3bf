"""minio-py: the client that `current_step().minio_client()` returns."""

from __future__ import annotations

import io
from collections.abc import Iterator

from driver import OUTPUT, run
from minio.commonconfig import CopySource
from minio.deleteobjects import DeleteObject
from pieces import Pieces

from kfp_pachyderm.runtime import current_step


class Minio:
    def __init__(self) -> None:
        self.s3 = current_step().minio_client()

    def put(self, key: str, data: bytes) -> None:
        self.s3.put_object(OUTPUT, key, io.BytesIO(data), len(data))

    def stream(self, key: str, pieces: Iterator[bytes]) -> None:
        self.s3.put_object(OUTPUT, key, io.BufferedReader(Pieces(pieces)), -1, part_size=5 * 2**20)

    def _read(self, bucket: str, key: str, start: int = 0, length: int = 0) -> bytes:
        answer = self.s3.get_object(bucket, key, offset=start, length=length)
        try:
            return bytes(answer.read())
        finally:
            answer.close()
            answer.release_conn()

    def get(self, bucket: str, key: str) -> bytes:
        return self._read(bucket, key)

    def range(self, bucket: str, key: str, start: int, length: int) -> bytes:
        return self._read(bucket, key, start, length)

    def head(self, bucket: str, key: str) -> int:
        return int(self.s3.stat_object(bucket, key).size)

    def list(self, bucket: str, prefix: str) -> list[str]:
        return [one.object_name for one in self.s3.list_objects(bucket, prefix, recursive=True)]

    def list_v1(self, bucket: str, prefix: str) -> list[str]:
        found = self.s3.list_objects(bucket, prefix, recursive=True, use_api_v1=True)
        return [one.object_name for one in found]

    def list_after(self, bucket: str, prefix: str, after: str) -> list[str]:
        found = self.s3.list_objects(bucket, prefix, recursive=True, start_after=after)
        return [one.object_name for one in found]

    def folders(self, bucket: str, prefix: str) -> list[str]:
        return [one.object_name for one in self.s3.list_objects(bucket, prefix) if one.is_dir]

    def delete(self, key: str) -> None:
        self.s3.remove_object(OUTPUT, key)

    def delete_many(self, keys: list[str]) -> None:
        errors = list(self.s3.remove_objects(OUTPUT, [DeleteObject(key) for key in keys]))
        assert not errors, errors

    def copy(self, source: str, target: str) -> None:
        self.s3.copy_object(OUTPUT, target, CopySource(OUTPUT, source))

    def rename(self, source: str, target: str) -> None:
        self.copy(source, target)
        self.delete(source)

    def presigned(self, bucket: str, key: str) -> str:
        return str(self.s3.presigned_get_object(bucket, key))


run(Minio())

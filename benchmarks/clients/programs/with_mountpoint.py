"""The S3 client inside s3torchconnector (AWS's CRT); the connector itself needs torch."""

from __future__ import annotations

import os
from collections.abc import Iterator

from driver import OUTPUT, run
from s3torchconnectorclient._mountpoint_s3_client import MountpointS3Client


class Mountpoint:
    def __init__(self) -> None:
        # the settings that S3ClientConfig(force_path_style=True) would take from the environment
        self.s3 = MountpointS3Client(
            os.environ["AWS_REGION"], endpoint=os.environ["AWS_ENDPOINT_URL"], force_path_style=True
        )

    def put(self, key: str, data: bytes) -> None:
        self.stream(key, iter([data]))

    def stream(self, key: str, pieces: Iterator[bytes]) -> None:
        target = self.s3.put_object(OUTPUT, key)
        for piece in pieces:
            target.write(piece)
        target.close()

    def get(self, bucket: str, key: str) -> bytes:
        return b"".join(self.s3.get_object(bucket, key))

    def range(self, bucket: str, key: str, start: int, length: int) -> bytes:
        return b"".join(self.s3.get_object(bucket, key, start, start + length))

    def head(self, bucket: str, key: str) -> int:
        return int(self.s3.head_object(bucket, key).size)

    def list(self, bucket: str, prefix: str) -> list[str]:
        return [one.key for page in self.s3.list_objects(bucket, prefix) for one in page.object_info]

    def folders(self, bucket: str, prefix: str) -> list[str]:
        return [one for page in self.s3.list_objects(bucket, prefix, "/") for one in page.common_prefixes]

    def delete(self, key: str) -> None:
        self.s3.delete_object(OUTPUT, key)

    def copy(self, source: str, target: str) -> None:
        self.s3.copy_object(OUTPUT, source, OUTPUT, target)


run(Mountpoint())

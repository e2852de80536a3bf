"""s3fs."""

from __future__ import annotations

from collections.abc import Iterator

import s3fs
from driver import OUTPUT, run


class S3fs:
    def __init__(self) -> None:
        self.s3 = s3fs.S3FileSystem()

    def put(self, key: str, data: bytes) -> None:
        self.s3.pipe_file(f"{OUTPUT}/{key}", data)

    def stream(self, key: str, pieces: Iterator[bytes]) -> None:
        with self.s3.open(f"{OUTPUT}/{key}", "wb") as target:
            for piece in pieces:
                target.write(piece)

    def get(self, bucket: str, key: str) -> bytes:
        return bytes(self.s3.cat_file(f"{bucket}/{key}"))

    def range(self, bucket: str, key: str, start: int, length: int) -> bytes:
        return bytes(self.s3.cat_file(f"{bucket}/{key}", start=start, end=start + length))

    def head(self, bucket: str, key: str) -> int:
        return int(self.s3.info(f"{bucket}/{key}")["size"])

    def list(self, bucket: str, prefix: str) -> list[str]:
        folder, _, _ = prefix.rpartition("/")
        found = [one.partition("/")[2] for one in self.s3.find(f"{bucket}/{folder}")]
        return [one for one in found if one.startswith(prefix)]

    def folders(self, bucket: str, prefix: str) -> list[str]:
        found = self.s3.ls(f"{bucket}/{prefix}", detail=True)
        return [one["name"].partition("/")[2] for one in found if one["type"] == "directory"]

    def delete(self, key: str) -> None:
        self.s3.rm_file(f"{OUTPUT}/{key}")

    def delete_many(self, keys: list[str]) -> None:
        self.s3.rm([f"{OUTPUT}/{key}" for key in keys])

    def copy(self, source: str, target: str) -> None:
        self.s3.copy(f"{OUTPUT}/{source}", f"{OUTPUT}/{target}")

    def rename(self, source: str, target: str) -> None:
        self.s3.mv(f"{OUTPUT}/{source}", f"{OUTPUT}/{target}")

    def presigned(self, bucket: str, key: str) -> str:
        return str(self.s3.sign(f"{bucket}/{key}"))


run(S3fs())

"""rclone."""

from __future__ import annotations

import os
from collections.abc import Iterator

from commands import call, pipe
from driver import OUTPUT, run

REMOTE = f":s3,provider=Other,env_auth,endpoint='{os.environ['AWS_ENDPOINT_URL']}':"


def rclone(*words: str, data: bytes | None = None) -> bytes:
    return call("rclone", "--config", os.devnull, *words, data=data)


class Rclone:
    def put(self, key: str, data: bytes) -> None:
        rclone("rcat", f"{REMOTE}{OUTPUT}/{key}", data=data)

    def stream(self, key: str, pieces: Iterator[bytes]) -> None:
        pipe(["rclone", "--config", os.devnull, "rcat", f"{REMOTE}{OUTPUT}/{key}"], pieces)

    def get(self, bucket: str, key: str) -> bytes:
        return rclone("cat", f"{REMOTE}{bucket}/{key}")

    def range(self, bucket: str, key: str, start: int, length: int) -> bytes:
        return rclone("cat", "--offset", str(start), "--count", str(length), f"{REMOTE}{bucket}/{key}")

    def head(self, bucket: str, key: str) -> int:
        return int(rclone("lsf", "--format", "s", f"{REMOTE}{bucket}/{key}"))

    def list(self, bucket: str, prefix: str) -> list[str]:
        folder = prefix.rpartition("/")[0]
        try:
            found = (
                rclone("lsf", "--recursive", "--files-only", f"{REMOTE}{bucket}/{folder}").decode().split()
            )
        except RuntimeError as error:
            if "directory not found" in str(error):
                return []
            raise
        return [f"{folder}/{one}" for one in found if f"{folder}/{one}".startswith(prefix)]

    def folders(self, bucket: str, prefix: str) -> list[str]:
        return rclone("lsf", "--dirs-only", f"{REMOTE}{bucket}/{prefix}").decode().split()

    def delete(self, key: str) -> None:
        rclone("deletefile", f"{REMOTE}{OUTPUT}/{key}")

    def copy(self, source: str, target: str) -> None:
        rclone("copyto", f"{REMOTE}{OUTPUT}/{source}", f"{REMOTE}{OUTPUT}/{target}")

    def rename(self, source: str, target: str) -> None:
        rclone("moveto", f"{REMOTE}{OUTPUT}/{source}", f"{REMOTE}{OUTPUT}/{target}")


run(Rclone())

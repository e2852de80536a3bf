"""s3cmd."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from urllib.parse import urlsplit

from commands import Files, call, pipe
from driver import OUTPUT, run

HOST = urlsplit(os.environ["AWS_ENDPOINT_URL"]).netloc
S3CMD = (
    "s3cmd", "--config", os.devnull, "--host", HOST, "--host-bucket", HOST, "--no-ssl", "--no-progress",
    "--access_key", os.environ["AWS_ACCESS_KEY_ID"], "--secret_key", os.environ["AWS_SECRET_ACCESS_KEY"],
)  # fmt: skip


def s3cmd(*words: str) -> bytes:
    return call(*S3CMD, *words)


class S3Cmd:
    def __init__(self) -> None:
        self.files = Files()

    def put(self, key: str, data: bytes) -> None:
        s3cmd("put", self.files.holding(data), f"s3://{OUTPUT}/{key}")

    def stream(self, key: str, pieces: Iterator[bytes]) -> None:
        pipe([*S3CMD, "put", "-", f"s3://{OUTPUT}/{key}"], pieces)

    def get(self, bucket: str, key: str) -> bytes:
        target = self.files.path / "download"
        command = [*S3CMD, "get", "--force", f"s3://{bucket}/{key}", str(target)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        if "MD5" in done.stderr:
            # s3cmd only warns where an ETag looks like an MD5 and is none
            raise RuntimeError(done.stderr.strip())
        return target.read_bytes()

    def head(self, bucket: str, key: str) -> int:
        lines = s3cmd("info", f"s3://{bucket}/{key}").decode().splitlines()
        size = next(line for line in lines if line.strip().startswith("File size:"))
        return int(size.split(":")[1])

    def list(self, bucket: str, prefix: str) -> list[str]:
        lines = s3cmd("ls", "--recursive", f"s3://{bucket}/{prefix}").decode().splitlines()
        return [line.partition(f"s3://{bucket}/")[2] for line in lines]

    def folders(self, bucket: str, prefix: str) -> list[str]:
        lines = s3cmd("ls", f"s3://{bucket}/{prefix}").decode().splitlines()
        return [line.partition(f"s3://{bucket}/")[2] for line in lines if line.strip().startswith("DIR")]

    def delete(self, key: str) -> None:
        s3cmd("del", f"s3://{OUTPUT}/{key}")

    def delete_many(self, keys: list[str]) -> None:
        s3cmd("del", *(f"s3://{OUTPUT}/{key}" for key in keys))

    def copy(self, source: str, target: str) -> None:
        s3cmd("cp", f"s3://{OUTPUT}/{source}", f"s3://{OUTPUT}/{target}")

    def rename(self, source: str, target: str) -> None:
        s3cmd("mv", f"s3://{OUTPUT}/{source}", f"s3://{OUTPUT}/{target}")

    def presigned(self, bucket: str, key: str) -> str:
        return s3cmd("signurl", f"s3://{bucket}/{key}", "+600").decode().strip()


run(S3Cmd())

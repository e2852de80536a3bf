"""aws-cli."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

from commands import Files, call, pipe
from driver import OUTPUT, run

AWS = (sys.executable, "-m", "awscli")


class AwsCli:
    def __init__(self) -> None:
        self.files = Files()

    def put(self, key: str, data: bytes) -> None:
        call(*AWS, "s3", "cp", "--quiet", self.files.holding(data), f"s3://{OUTPUT}/{key}")

    def stream(self, key: str, pieces: Iterator[bytes]) -> None:
        pipe([*AWS, "s3", "cp", "--quiet", "-", f"s3://{OUTPUT}/{key}"], pieces)

    def get(self, bucket: str, key: str) -> bytes:
        return call(*AWS, "s3", "cp", "--quiet", f"s3://{bucket}/{key}", "-")

    def head(self, bucket: str, key: str) -> int:
        answer = json.loads(call(*AWS, "s3api", "head-object", "--bucket", bucket, "--key", key))
        return int(answer["ContentLength"])

    def list(self, bucket: str, prefix: str) -> list[str]:
        command = [
            *AWS,
            "s3api",
            "list-objects-v2",
            "--bucket",
            bucket,
            "--prefix",
            prefix,
            "--output",
            "json",
        ]
        found = json.loads(call(*command, "--query", "Contents[].Key") or b"null")
        return list(found or [])

    def delete(self, key: str) -> None:
        call(*AWS, "s3", "rm", "--quiet", f"s3://{OUTPUT}/{key}")

    def copy(self, source: str, target: str) -> None:
        call(*AWS, "s3", "cp", "--quiet", f"s3://{OUTPUT}/{source}", f"s3://{OUTPUT}/{target}")

    def rename(self, source: str, target: str) -> None:
        call(*AWS, "s3", "mv", "--quiet", f"s3://{OUTPUT}/{source}", f"s3://{OUTPUT}/{target}")

    def presigned(self, bucket: str, key: str) -> str:
        return call(*AWS, "s3", "presign", f"s3://{bucket}/{key}").decode().strip()


run(AwsCli())

"""gsutil, in a venv of its own, because it pins older packages than other clients (benchmarks/gsutil.txt)."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from commands import Files, call, pipe
from driver import OUTPUT, run

ENDPOINT = urlsplit(os.environ["AWS_ENDPOINT_URL"])
CONFIG = f"""[Credentials]
aws_access_key_id = {os.environ["AWS_ACCESS_KEY_ID"]}
aws_secret_access_key = {os.environ["AWS_SECRET_ACCESS_KEY"]}
s3_host = {ENDPOINT.hostname}
s3_port = {ENDPOINT.port}
[Boto]
is_secure = False
https_validate_certificates = False
[s3]
calling_format = boto.s3.connection.OrdinaryCallingFormat
host = {ENDPOINT.hostname}
[GSUtil]
check_hashes = if_fast_else_fail
state_dir = {{state}}
"""


class GsUtil:
    def __init__(self) -> None:
        self.files = Files()
        config = self.files.path / "boto"
        config.write_text(CONFIG.format(state=self.files.path / "state"))
        os.environ["BOTO_CONFIG"] = str(config)
        program = Path(sys.prefix) / "gsutil" / "bin" / "gsutil"
        self.command = [str(program), "-q"]

    def gsutil(self, *words: str, data: bytes | None = None) -> bytes:
        return call(*self.command, *words, data=data)

    def put(self, key: str, data: bytes) -> None:
        self.gsutil("cp", self.files.holding(data), f"s3://{OUTPUT}/{key}")

    def stream(self, key: str, pieces: Iterator[bytes]) -> None:
        pipe([*self.command, "cp", "-", f"s3://{OUTPUT}/{key}"], pieces)

    def get(self, bucket: str, key: str) -> bytes:
        target = self.files.path / "download"
        self.gsutil("cp", f"s3://{bucket}/{key}", str(target))
        return target.read_bytes()

    def range(self, bucket: str, key: str, start: int, length: int) -> bytes:
        return self.gsutil("cat", "-r", f"{start}-{start + length - 1}", f"s3://{bucket}/{key}")

    def head(self, bucket: str, key: str) -> int:
        # quietly it says nothing; it asks for the ACL as well
        lines = call(self.command[0], "stat", f"s3://{bucket}/{key}").decode().splitlines()
        return int(next(line for line in lines if "Content-Length" in line).split(":")[1])

    def list(self, bucket: str, prefix: str) -> list[str]:
        try:
            lines = self.gsutil("ls", f"s3://{bucket}/{prefix}**").decode().split()
        except RuntimeError as error:
            if "matched no objects" in str(error):  # gsutil's error for an empty folder, with any server
                return []
            raise
        return [line.partition(f"s3://{bucket}/")[2] for line in lines]

    def folders(self, bucket: str, prefix: str) -> list[str]:
        lines = self.gsutil("ls", f"s3://{bucket}/{prefix}").decode().split()
        return [line.partition(f"s3://{bucket}/")[2] for line in lines if line.endswith("/")]

    def delete(self, key: str) -> None:
        self.gsutil("rm", f"s3://{OUTPUT}/{key}")

    def copy(self, source: str, target: str) -> None:
        self.gsutil("cp", f"s3://{OUTPUT}/{source}", f"s3://{OUTPUT}/{target}")

    def rename(self, source: str, target: str) -> None:
        self.gsutil("mv", f"s3://{OUTPUT}/{source}", f"s3://{OUTPUT}/{target}")


run(GsUtil())

"""boto3, client and transfer manager."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import Any

import boto3
from botocore.exceptions import ClientError
from driver import OUTPUT, run
from pieces import Pieces


class Boto3:
    def __init__(self) -> None:
        self.s3 = boto3.client("s3")

    def put(self, key: str, data: bytes) -> None:
        self.s3.upload_fileobj(io.BytesIO(data), OUTPUT, key)

    def stream(self, key: str, pieces: Iterator[bytes]) -> None:
        self.s3.upload_fileobj(io.BufferedReader(Pieces(pieces)), OUTPUT, key)

    def get(self, bucket: str, key: str) -> bytes:
        target = io.BytesIO()
        self.s3.download_fileobj(bucket, key, target)
        return target.getvalue()

    def range(self, bucket: str, key: str, start: int, length: int) -> bytes:
        answer = self.s3.get_object(Bucket=bucket, Key=key, Range=f"bytes={start}-{start + length - 1}")
        return bytes(answer["Body"].read())

    def head(self, bucket: str, key: str) -> int:
        return int(self.s3.head_object(Bucket=bucket, Key=key)["ContentLength"])

    def _pages(self, operation: str, **options: Any) -> Iterable[Any]:
        return self.s3.get_paginator(operation).paginate(**options)

    def _keys(self, operation: str, **options: Any) -> list[str]:
        pages = self._pages(operation, **options)
        return [one["Key"] for page in pages for one in page.get("Contents", [])]

    def list(self, bucket: str, prefix: str) -> list[str]:
        return self._keys("list_objects_v2", Bucket=bucket, Prefix=prefix)

    def list_v1(self, bucket: str, prefix: str) -> list[str]:
        return self._keys("list_objects", Bucket=bucket, Prefix=prefix)

    def list_after(self, bucket: str, prefix: str, after: str) -> list[str]:
        return self._keys("list_objects_v2", Bucket=bucket, Prefix=prefix, StartAfter=after)

    def folders(self, bucket: str, prefix: str) -> list[str]:
        pages = self._pages("list_objects_v2", Bucket=bucket, Prefix=prefix, Delimiter="/")
        return [one["Prefix"] for page in pages for one in page.get("CommonPrefixes", [])]

    def delete(self, key: str) -> None:
        self.s3.delete_object(Bucket=OUTPUT, Key=key)

    def delete_many(self, keys: list[str]) -> None:
        answer = self.s3.delete_objects(Bucket=OUTPUT, Delete={"Objects": [{"Key": key} for key in keys]})
        assert not answer.get("Errors"), answer["Errors"]

    def copy(self, source: str, target: str) -> None:
        self.s3.copy_object(Bucket=OUTPUT, Key=target, CopySource={"Bucket": OUTPUT, "Key": source})

    def rename(self, source: str, target: str) -> None:
        self.copy(source, target)
        self.delete(source)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        try:
            self.s3.put_object(Bucket=OUTPUT, Key=key, Body=data, IfNoneMatch="*")
        except ClientError as error:
            if error.response["Error"]["Code"] == "PreconditionFailed":
                return False
            raise
        return True

    def presigned(self, bucket: str, key: str) -> str:
        return str(self.s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key}))


run(Boto3())

"""obstore, the Rust object_store."""

from __future__ import annotations

from collections.abc import Iterator

import obstore
from driver import OUTPUT, run
from obstore.exceptions import AlreadyExistsError
from obstore.store import S3Store


class Obstore:
    def put(self, key: str, data: bytes) -> None:
        obstore.put(S3Store(OUTPUT), key, data)

    def stream(self, key: str, pieces: Iterator[bytes]) -> None:
        obstore.put(S3Store(OUTPUT), key, pieces)

    def get(self, bucket: str, key: str) -> bytes:
        return bytes(obstore.get(S3Store(bucket), key).bytes())

    def range(self, bucket: str, key: str, start: int, length: int) -> bytes:
        return bytes(obstore.get_range(S3Store(bucket), key, start=start, length=length))

    def head(self, bucket: str, key: str) -> int:
        return int(obstore.head(S3Store(bucket), key)["size"])

    def list(self, bucket: str, prefix: str) -> list[str]:
        folder = prefix.rpartition("/")[0]
        found = [one["path"] for page in obstore.list(S3Store(bucket), folder) for one in page]
        return [one for one in found if one.startswith(prefix)]

    def list_after(self, bucket: str, prefix: str, after: str) -> list[str]:
        return [one["path"] for page in obstore.list(S3Store(bucket), prefix, offset=after) for one in page]

    def folders(self, bucket: str, prefix: str) -> list[str]:
        return list(obstore.list_with_delimiter(S3Store(bucket), prefix)["common_prefixes"])

    def delete(self, key: str) -> None:
        obstore.delete(S3Store(OUTPUT), key)

    def delete_many(self, keys: list[str]) -> None:
        obstore.delete(S3Store(OUTPUT), keys)

    def copy(self, source: str, target: str) -> None:
        obstore.copy(S3Store(OUTPUT), source, target)

    def rename(self, source: str, target: str) -> None:
        obstore.rename(S3Store(OUTPUT), source, target)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        try:
            obstore.put(S3Store(OUTPUT), key, data, mode="create")
        except AlreadyExistsError:
            return False
        return True

    def presigned(self, bucket: str, key: str) -> str:
        from datetime import timedelta

        return str(obstore.sign(S3Store(bucket), "GET", key, timedelta(minutes=5)))


run(Obstore())

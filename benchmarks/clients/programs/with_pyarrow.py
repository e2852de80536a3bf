"""pyarrow: files by `current_step().pyarrow_filesystem()`, since it reads no endpoint; Parquet; datasets."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.fs
import pyarrow.parquet as pq
from driver import OUTPUT, ROWS, run

from kfp_pachyderm.runtime import current_step


class Pyarrow:
    def __init__(self) -> None:
        self.s3 = current_step().pyarrow_filesystem()

    def put(self, key: str, data: bytes) -> None:
        with self.s3.open_output_stream(f"{OUTPUT}/{key}") as target:
            target.write(data)

    def stream(self, key: str, pieces: Iterator[bytes]) -> None:
        with self.s3.open_output_stream(f"{OUTPUT}/{key}") as target:
            for piece in pieces:
                target.write(piece)

    def get(self, bucket: str, key: str) -> bytes:
        with self.s3.open_input_stream(f"{bucket}/{key}") as source:
            return bytes(source.read())

    def range(self, bucket: str, key: str, start: int, length: int) -> bytes:
        with self.s3.open_input_file(f"{bucket}/{key}") as source:
            return bytes(source.read_at(length, start))

    def head(self, bucket: str, key: str) -> int:
        return int(self.s3.get_file_info(f"{bucket}/{key}").size)

    def list(self, bucket: str, prefix: str) -> list[str]:
        folder = prefix.rpartition("/")[0]
        selector = pyarrow.fs.FileSelector(f"{bucket}/{folder}", recursive=True, allow_not_found=True)
        found = [one.path.partition("/")[2] for one in self.s3.get_file_info(selector) if one.is_file]
        return [one for one in found if one.startswith(prefix)]

    def folders(self, bucket: str, prefix: str) -> list[str]:
        found = self.s3.get_file_info(pyarrow.fs.FileSelector(f"{bucket}/{prefix}"))
        return [one.path.partition("/")[2] for one in found if not one.is_file]

    def delete(self, key: str) -> None:
        self.s3.delete_file(f"{OUTPUT}/{key}")

    def copy(self, source: str, target: str) -> None:
        self.s3.copy_file(f"{OUTPUT}/{source}", f"{OUTPUT}/{target}")

    def rename(self, source: str, target: str) -> None:
        self.s3.move(f"{OUTPUT}/{source}", f"{OUTPUT}/{target}")

    def read_table(self, bucket: str, key: str) -> tuple[int, int]:
        table = pq.read_table(f"{bucket}/{key}", filesystem=self.s3, partitioning=None)
        return table.num_rows, pc.sum(table["n"]).as_py()

    def read_dataset(self, bucket: str, prefix: str) -> tuple[int, int]:
        table = ds.dataset(f"{bucket}/{prefix}", filesystem=self.s3, partitioning="hive").to_table()
        return table.num_rows, pc.sum(table["n"]).as_py()

    def _table(self) -> pa.Table:
        numbers = list(range(ROWS))
        return pa.table({"n": numbers, "part": [number % 3 for number in numbers]})

    def write_table(self, bucket: str, key: str) -> None:
        pq.write_table(self._table(), f"{bucket}/{key}", filesystem=self.s3)

    def write_dataset(self, bucket: str, prefix: str) -> None:
        layout = ds.partitioning(pa.schema([("part", pa.int64())]), flavor="hive")
        ds.write_dataset(
            self._table(), f"{bucket}/{prefix}", format="parquet", filesystem=self.s3, partitioning=layout
        )


run(Pyarrow())

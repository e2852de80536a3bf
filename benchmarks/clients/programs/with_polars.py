"""polars, which has an S3 client of its own."""

from __future__ import annotations

import polars as pl
from driver import ROWS, run


class Polars:
    def read_table(self, bucket: str, key: str) -> tuple[int, int]:
        frame = pl.read_parquet(f"s3://{bucket}/{key}", hive_partitioning=False)
        return frame.height, int(frame["n"].sum())

    def read_dataset(self, bucket: str, prefix: str) -> tuple[int, int]:
        frame = pl.scan_parquet(f"s3://{bucket}/{prefix}/**/*.parquet").collect()
        return frame.height, int(frame["n"].sum())

    def _frame(self) -> pl.DataFrame:
        return pl.DataFrame({"n": range(ROWS), "part": [number % 3 for number in range(ROWS)]})

    def write_table(self, bucket: str, key: str) -> None:
        self._frame().write_parquet(f"s3://{bucket}/{key}")

    def write_dataset(self, bucket: str, prefix: str) -> None:
        self._frame().lazy().sink_parquet(f"s3://{bucket}/{prefix}/part.parquet")


run(Polars())

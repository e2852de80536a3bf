"""pandas: Parquet and CSV by s3:// paths, which go through s3fs."""

from __future__ import annotations

import pandas as pd
from driver import ROWS, run


class Pandas:
    def read_table(self, bucket: str, key: str) -> tuple[int, int]:
        frame = pd.read_parquet(f"s3://{bucket}/{key}", partitioning=None)
        return len(frame), int(frame["n"].sum())

    def read_dataset(self, bucket: str, prefix: str) -> tuple[int, int]:
        frame = pd.read_parquet(f"s3://{bucket}/{prefix}")
        return len(frame), int(frame["n"].sum())

    def _frame(self) -> pd.DataFrame:
        return pd.DataFrame({"n": range(ROWS), "part": [number % 3 for number in range(ROWS)]})

    def write_table(self, bucket: str, key: str) -> None:
        self._frame().to_parquet(f"s3://{bucket}/{key}")
        self._frame().to_csv(f"s3://{bucket}/{key}.csv", index=False)
        assert len(pd.read_csv(f"s3://{bucket}/{key}.csv")) == ROWS

    def write_dataset(self, bucket: str, prefix: str) -> None:
        self._frame().to_parquet(f"s3://{bucket}/{prefix}", partition_cols=["part"])


run(Pandas())

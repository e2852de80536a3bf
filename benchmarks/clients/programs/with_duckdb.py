"""DuckDB with its httpfs extension, which a PyPI package brings; DuckDB checks its makers' signature."""

# ruff: noqa: S608 - the texts are this program's own

from __future__ import annotations

from pathlib import Path

import duckdb
import duckdb_extension_httpfs
from driver import ROWS, run

from kfp_pachyderm.runtime import current_step


class DuckDB:
    def __init__(self) -> None:
        step = current_step()
        folder = Path(duckdb_extension_httpfs.__file__).parent / "extensions"
        self.db = duckdb.connect()
        self.db.execute(f"LOAD '{next(folder.rglob('*.duckdb_extension'))}'")
        self.db.execute(
            f"CREATE SECRET (TYPE s3, KEY_ID '{step.access_key}', SECRET '{step.secret_key}', "
            f"REGION '{step.region}', ENDPOINT '{step.endpoint.partition('://')[2]}', "
            "URL_STYLE 'path', USE_SSL false)"
        )

    def _read(self, pattern: str) -> tuple[int, int]:
        rows, total = self.db.execute(f"SELECT count(*), sum(n) FROM read_parquet('{pattern}')").fetchone()
        return rows, int(total)

    def list(self, bucket: str, prefix: str) -> list[str]:
        rows = self.db.execute(f"SELECT file FROM glob('s3://{bucket}/{prefix}**')").fetchall()
        return [row[0].removeprefix(f"s3://{bucket}/") for row in rows]

    def read_table(self, bucket: str, key: str) -> tuple[int, int]:
        return self._read(f"s3://{bucket}/{key}")

    def read_dataset(self, bucket: str, prefix: str) -> tuple[int, int]:
        return self._read(f"s3://{bucket}/{prefix}/*/*.parquet")

    def write_table(self, bucket: str, key: str) -> None:
        self.db.execute(
            f"COPY (SELECT range AS n FROM range({ROWS})) TO 's3://{bucket}/{key}' (FORMAT parquet)"
        )

    def write_dataset(self, bucket: str, prefix: str) -> None:
        self.db.execute(
            f"COPY (SELECT range AS n, range % 3 AS part FROM range({ROWS})) "
            f"TO 's3://{bucket}/{prefix}' (FORMAT parquet, PARTITION_BY part)"
        )


run(DuckDB())

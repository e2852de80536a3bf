"""A step with a Dask cluster on other hosts: `dask_step.py SCHEDULER_FILE` copies a table, partitioned.

The cluster is started by the step: scheduler and workers get `current_step().environment()` and nothing else.
HOSTS: JSON, one pair of address and command's beginning for each.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import dask.dataframe as dd
import pandas as pd
from distributed import Client

from kfp_pachyderm.runtime import current_step

step = current_step()


def elsewhere(host: list, module: str, *arguments: str) -> subprocess.Popen:
    address, prefix = host
    argv = [*prefix, sys.executable, "-m", f"distributed.cli.{module}", "--host", address, "--no-dashboard"]
    return subprocess.Popen([*argv, *arguments], env=step.environment(), stderr=subprocess.DEVNULL)


def endpoint_of_worker() -> str:
    """The S3 endpoint that a Dask worker has in its environment."""
    found = current_step().boto3_client().get_object(Bucket="data", Key="greeting")
    return f"{os.environ['S3_ENDPOINT']} {found['Body'].read().decode()}"


def main() -> None:
    first, second = json.loads(os.environ["HOSTS"])
    file = ["--scheduler-file", sys.argv[1]]
    workers = ["--nthreads", "2", "--no-nanny", "--local-directory", os.path.dirname(sys.argv[1])]
    elsewhere(first, "dask_scheduler", "--port", "0", *file)
    for host in (first, second):
        elsewhere(host, "dask_worker", *workers, *file)
    with Client(scheduler_file=sys.argv[1], timeout=600) as client:
        client.wait_for_workers(2, timeout=600)
        told = client.run(endpoint_of_worker)
        table = dd.read_parquet("s3://data/table", storage_options=step.storage_options())
        table.to_parquet("s3://out/table", partition_on=["part"], storage_options=step.storage_options())
        back = dd.read_parquet("s3://out/table", storage_options=step.storage_options())
        sums = back.groupby("part", observed=True)["n"].sum().compute()
    found = {"workers": told, "sums": {str(part): int(total) for part, total in pd.Series(sums).items()}}
    print("FOUND " + json.dumps(found), flush=True)


main()

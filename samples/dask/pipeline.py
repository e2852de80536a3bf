"""Taxi rides by the hour: the step starts a Dask cluster, whose workers read its input and write its output.

Run it here with `python samples/dask/run.py`; compile it for a cluster with
`kfp dsl compile --py samples/dask/pipeline.py --output rides.yaml`.
"""

from kfp import dsl

import kfp_pachyderm as pachyderm

IMAGE = "python:3.11"
PACKAGES = ["boto3", "dask[dataframe]", "distributed", "s3fs", "matplotlib"]


# share=True: the endpoint is on the pod's own address, too, so that workers elsewhere reach it.
@pachyderm.s3_enabled(inputs=[pachyderm.S3Input("rides")], share=True)
@dsl.component(base_image=IMAGE, packages_to_install=PACKAGES)
def by_hour(workers: int = 2) -> int:
    """Counts rides and adds up fares for each hour and borough, and draws the day.

    Args:
        workers: Processes of the Dask cluster.

    Returns:
        The number of rides.
    """
    import io
    import os
    import subprocess
    import sys
    from urllib.parse import urlsplit

    import dask.dataframe as dd
    import matplotlib
    from distributed import Client, LocalCluster

    matplotlib.use("agg")
    from kfp_pachyderm.runtime import current_step

    step = current_step()

    def start_worker(scheduler: str) -> subprocess.Popen:
        # All that a worker gets of the step is its environment; a pod gets the same (README.md).
        environment = {"PATH": os.environ["PATH"], **step.environment()}
        argv = [sys.executable, "-m", "distributed.cli.dask_worker", scheduler, "--nthreads", "1"]
        return subprocess.Popen([*argv, "--no-nanny", "--no-dashboard"], env=environment)

    # Workers find the scheduler where they find the step's S3 endpoint: at the pod's own address.
    host = urlsplit(step.endpoint).hostname
    with LocalCluster(n_workers=0, host=host, dashboard_address=":0") as cluster, Client(cluster) as client:
        processes = [start_worker(cluster.scheduler_address) for _ in range(workers)]
        client.wait_for_workers(workers)
        rides = dd.read_parquet("s3://rides/", storage_options=step.storage_options())
        hours = rides.groupby(["borough", "hour"])["fare"].agg(["count", "sum"]).reset_index()
        hours.to_parquet("s3://out/hours", partition_on=["borough"], storage_options=step.storage_options())
        day = rides.groupby("hour")["fare"].count().compute().sort_index()
        for process in processes:
            process.terminate()
            process.wait()

    plot = io.BytesIO()
    drawn = day.plot.bar(title=f"{day.sum()} rides", ylabel="rides", figsize=(6.4, 3.2))
    drawn.figure.tight_layout()
    drawn.figure.savefig(plot, format="png", dpi=100)
    step.boto3_client().put_object(Bucket="out", Key="day.png", Body=plot.getvalue())
    return int(day.sum())


@dsl.pipeline(name="rides")
@pachyderm.pipeline(project="rides")
def rides(workers: int = 2) -> str:
    """From a table in several files to its sums; returns their commit."""
    return by_hour(workers=workers).outputs["commit"]

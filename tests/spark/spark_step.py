"""A step with Apache Spark: `spark_step.py FOLDER COMMITTER MASTER` copies a table, partitioned.

COMMITTER: "default", without spark-hadoop-cloud; "itself", with it; "magic", with it and the settings.
MASTER: "local[2]"; "spark://HOST:PORT" has executors elsewhere, which read and write by the shared endpoint.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from urllib.parse import urlsplit

from pyspark.sql import SparkSession
from pyspark.sql.functions import col, sha2, substring_index

from kfp_pachyderm.runtime import current_step

CLOUD = "org.apache.spark.internal.io.cloud"
#: As docs/clients.md says it, for Spark before 4.1.
MAGIC = {
    "spark.hadoop.fs.s3a.committer.name": "magic",
    "spark.hadoop.mapreduce.outputcommitter.factory.scheme.s3a": (
        "org.apache.hadoop.fs.s3a.commit.S3ACommitterFactory"
    ),
    "spark.sql.sources.commitProtocolClass": f"{CLOUD}.PathOutputCommitProtocol",
    "spark.sql.parquet.output.committer.class": f"{CLOUD}.BindingParquetOutputCommitter",
}


def session(committer: str, master: str) -> SparkSession:
    settings = current_step().spark_conf() | (MAGIC if committer == "magic" else {})
    # Spark 4.1 takes the magic committer by itself where it finds spark-hadoop-cloud
    found = (Path(sys.prefix) / "jars").glob("*.jar")
    jars = [str(jar) for jar in found if committer != "default" or "hadoop-cloud" not in jar.name]
    # executors come to the driver where the step's endpoint is, too
    host = str(urlsplit(current_step().endpoint).hostname)
    settings |= {
        "spark.driver.host": host,
        "spark.driver.extraClassPath": ":".join(jars),
        "spark.executor.extraClassPath": ":".join(jars),
        "spark.executor.memory": "640m",
        "spark.scheduler.minRegisteredResourcesRatio": "1",
        "spark.cores.max": "2",
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "4",
    }
    builder = SparkSession.builder.master(master)
    for name, value in settings.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def executors(spark: SparkSession) -> list[str]:
    """Where the driver and its executors are."""
    infos = spark.sparkContext._jsc.sc().statusTracker().getExecutorInfos()
    return sorted({info.host() for info in infos})


def main() -> None:
    folder, committer, master = sys.argv[1:]
    spark = session(committer, master)
    table = spark.read.parquet("s3a://data/table")
    target = f"s3a://out/{folder}"
    table.write.partitionBy("part").parquet(target)
    # what is there already is overwritten: S3A deletes and renames
    table.write.mode("overwrite").partitionBy("part").parquet(target)
    back = spark.read.parquet(target)
    files = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(target)
    hashes = files.select(
        substring_index("path", "//out/", -1).alias("key"), sha2("content", 256).alias("hash")
    )
    found = {
        "rows": back.count(),
        "parts": sorted(row["part"] for row in back.select(col("part")).distinct().collect()),
        "files": {row["key"]: row["hash"] for row in hashes.collect()},
        "executors": executors(spark),
    }
    print("FOUND " + json.dumps(found), flush=True)
    spark.stop()


main()

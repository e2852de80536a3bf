"""A step with Apache Spark: `spark_step.py FOLDER COMMITTER` copies a table, partitioned, and looks at it.

COMMITTER: "default", without spark-hadoop-cloud; "itself", with it; "magic", with it and the settings.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

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


def session(committer: str) -> SparkSession:
    settings = current_step().spark_conf() | (MAGIC if committer == "magic" else {})
    # Spark 4.1 takes the magic committer by itself where it finds spark-hadoop-cloud
    found = (Path(sys.prefix) / "jars").glob("*.jar")
    jars = [str(jar) for jar in found if committer != "default" or "hadoop-cloud" not in jar.name]
    builder = SparkSession.builder.master("local[2]").config("spark.driver.extraClassPath", ":".join(jars))
    builder = builder.config("spark.ui.enabled", "false").config("spark.sql.shuffle.partitions", "4")
    for name, value in settings.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def main() -> None:
    folder, committer = sys.argv[1:]
    spark = session(committer)
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
    }
    print("FOUND " + json.dumps(found), flush=True)
    spark.stop()


main()

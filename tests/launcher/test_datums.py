"""S3 input and files crossed: the child runs once for each datum, with the datum's files laid out."""

from __future__ import annotations

from pathlib import Path

from launcher_steps import LEASE, Runner, files, put  # type: ignore[import-not-found]
from test_faults import replace_worker  # type: ignore[import-not-found]

from kfp_pachyderm.launcher.config import HolderConfig, InputConfig, StepConfig
from kfp_pachyderm.pachd.sdk import pps

CODE = """
import boto3, os
from pathlib import Path
from kfp_pachyderm.runtime import current_step
root = Path(os.environ["PACH_INPUTS"])
assert str(root) == current_step().files
(found,) = [one for one in (root / "files").rglob("*") if one.is_file()]
s3 = boto3.client("s3")
model = s3.get_object(Bucket="images", Key="a")["Body"].read()
s3.put_object(Bucket="out", Key=found.name, Body=model + found.read_bytes())
print("datum", os.environ["PACH_DATUM_ID"], found.relative_to(root))
"""


def crossed(step: Runner) -> StepConfig:
    step.fill(a=b"A")
    put(step.pachd, f"files-{step.name}", {f"{name}.txt": name.encode() for name in ("x", "y", "z")})
    more = InputConfig("files", f"files-{step.name}", s3=False, glob="/*")
    return step.config(inputs=(*step.config().inputs, more), holder=HolderConfig(lease=LEASE))


def test_once_for_each_datum(step: Runner) -> None:
    ended = step.run(CODE, crossed(step))
    assert ended.code == 0
    lines = [line.split() for line in ended.out.splitlines() if line.startswith("datum")]
    assert sorted(line[2] for line in lines) == ["files/x.txt", "files/y.txt", "files/z.txt"]
    assert len({line[1] for line in lines}) == 3
    assert files(step.pachd, "default", step.name, ended.job) == {"/x.txt": 2, "/y.txt": 2, "/z.txt": 2}
    info = step.job(ended)
    assert (info.state, info.data_total) == (pps.JobState.JOB_SUCCESS, 3)


def test_a_datum_that_fails_fails_the_step(step: Runner) -> None:
    ended = step.run(CODE + "\nif found.name == 'y.txt': raise SystemExit(4)", crossed(step))
    assert ended.code == 4
    assert step.ended_job(ended.job).state == pps.JobState.JOB_FAILURE


def test_worker_replaced_between_datums_runs_no_datum_twice(step: Runner, tmp_path: Path) -> None:
    flag = tmp_path / "go on"
    wait = f"""
import os, time
if not os.path.exists({str(tmp_path / "first")!r}): open({str(tmp_path / "first")!r}, "w")
else:
    print("running", flush=True)
    while not os.path.exists({str(flag)!r}): time.sleep(0.02)
"""
    process = step.start(wait + CODE, crossed(step))
    assert process.stdout
    lines = [process.stdout.readline()]
    while not lines[-1].startswith("running"):
        lines.append(process.stdout.readline())
    replace_worker(step)
    flag.touch()
    ended = step.end(process)
    assert ended.code == 0
    ran = [line for line in [*lines, *ended.out.splitlines()] if line.startswith("datum")]
    assert len(ran) == 3
    job = lines[0].split("job=")[1].split()[0]
    assert files(step.pachd, "default", step.name, job) == {"/x.txt": 2, "/y.txt": 2, "/z.txt": 2}

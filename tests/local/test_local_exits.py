"""Exit tasks run when the snapshot of what they follow fails."""

import functools
from pathlib import Path

import pytest
from kfp import dsl

import kfp_pachyderm as pach
from kfp_pachyderm.testing import Pachyderm

pytest.importorskip("kfp.local.orchestrator", reason="kfp.local 2.14 runs no exit tasks")

component = functools.partial(dsl.component, base_image="python:3.11", install_kfp_package=False)


@pach.s3_enabled(inputs=[pach.S3Input("missing")])
@component()
def work() -> int:
    return 1


@pach.s3_enabled(inputs=[pach.S3Input("images")])
@component()
def last(status: dsl.PipelineTaskFinalStatus, file: str):
    import boto3

    key = boto3.client("s3").list_objects_v2(Bucket="images")["Contents"][0]["Key"]
    with open(file, "w") as told:
        told.write(f"{status.state} {key}")


@dsl.pipeline(name="guarded")
@pach.pipeline
def guarded(file: str):
    with dsl.ExitHandler(last(file=file)):
        work()


@dsl.pipeline(name="followed")
@pach.pipeline
def followed(file: str):
    last(file=file).after(work()).ignore_upstream_failure()


@pytest.mark.parametrize("run", [guarded, followed])
def test_an_exit_task_runs_when_the_snapshot_fails(
    run: dsl.base_component.BaseComponent,
    pachyderm: Pachyderm,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    pachyderm.put("images", {"a.txt": "A"})
    with pytest.raises(RuntimeError, match="pachyderm-snapshot"):
        run(file=str(tmp_path / "told"))
    assert "RepoNotFoundError: default/missing@master" in capfd.readouterr().out
    assert (tmp_path / "told").read_text() == "FAILED a.txt"

"""What type checkers see of the public names. Never run: `mypy --strict tests/typing/api.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, assert_type

from kfp import dsl

import kfp_pachyderm as pachyderm
from kfp_pachyderm import provenance
from kfp_pachyderm.authoring.step import S3EnabledComponent
from kfp_pachyderm.testing import Pachyderm

assert_type(pachyderm.__version__, str)
images = pachyderm.S3Input("images", "master", name="pictures", project=None)
parts = pachyderm.S3Input("parts", many=True, merge=True)
lists = pachyderm.FileInput("lists", "/*", "master", name=None, project="vision")
connection = pachyderm.Connection("grpc://pachd:30650", token_secret="auth", ca_secret="tls/ca.crt")
spec = pachyderm.PipelineSpec.load("spec.yaml")
assert_type(spec, pachyderm.PipelineSpec)


@pachyderm.s3_enabled(
    inputs=[images, parts, lists],
    holder=pachyderm.HolderOptions(image=None, lease=5),
    gateway="direct",
    timeout=1,
    verify="size",
    keys="refuse",
    private=("size",),
    concurrency=4,
)
@dsl.component  # type: ignore[untyped-decorator]
def step(size: int) -> int:
    return size


assert_type(step, S3EnabledComponent)
assert_type(pachyderm.s3_enabled(step, spec=spec), S3EnabledComponent)
assert_type(pachyderm.s3_enabled(spec=spec), Callable[[Any], S3EnabledComponent])


assert_type(pachyderm.s3_enabled(step, share=True), S3EnabledComponent)
pachyderm.s3_enabled(step, share="yes")  # type: ignore[call-overload]
here = pachyderm.runtime.current_step()
assert_type(here.environment(), dict[str, str])
assert_type(here.spark_conf(), dict[str, str])
assert_type(here.storage_options(), dict[str, str])


@pachyderm.pipeline(project="vision", connection=connection)
def first(size: int) -> int:
    return size


@pachyderm.pipeline
def second(size: int) -> str:
    return str(size)


assert_type(first(1), int)
assert_type(second(size=1), str)
first("1")  # type: ignore[arg-type]
pachyderm.S3Input(5)  # type: ignore[arg-type]
pachyderm.S3Input("parts", many="yes")  # type: ignore[arg-type]
pachyderm.s3_enabled(step, gateway="master")  # type: ignore[call-overload]
pachyderm.s3_enabled(step, concurrency=1.5)  # type: ignore[call-overload]

verified = pachyderm.provenance.verify("vision/edges@master", deep=True, client="grpc://pachd:30650")
assert_type(verified, pachyderm.provenance.Verified)
assert_type(verified.faults[0].kind == "file", bool)
changed = pachyderm.provenance.diff("run", "run", project="vision", client=None)
assert_type(changed, pachyderm.provenance.Diff)
assert_type(changed.steps, tuple[pachyderm.provenance.StepDiff, ...])

with pachyderm.local.init("data", raise_on_error=False) as running:
    assert_type(running.address, str)
with pachyderm.local.init(address="grpc://pachd.pachyderm:30650", token="", port_forward=True) as there:
    assert_type(there, pachyderm.local.LocalPachyderm)

found = provenance.lineage("images@master", down=True, depth=1, project="vision", client="grpc://pachd:30650")
assert_type(found, provenance.Lineage)
assert_type(found.nodes, tuple[provenance.Node, ...])
assert_type(found.nodes[0].job, provenance.Job | None)
assert_type(found.text(), str)
assert_type(provenance.runs("vision", limit=3, client=None), list[provenance.Run])
assert_type(provenance.runs(None), list[provenance.Run])
assert_type(provenance.of_run(running, "run"), provenance.RunLineage)
provenance.lineage(5)  # type: ignore[arg-type]

try:
    pass
except pachyderm.PachydermError as error:
    assert_type(error, pachyderm.PachydermError)


def test(pachyderm: Pachyderm) -> None:
    assert_type(pachyderm.put("images", {"a": b"", "b": ""}), str)

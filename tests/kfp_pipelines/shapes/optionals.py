"""Arguments that are None or left out, of each type; kfp.local runs no number or truth that is None."""

# ruff: noqa: UP045 - KFP knows only Optional

from typing import Optional

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input


@dsl.component(base_image="python:3.11")
def every(
    text: Optional[str] = None,
    whole: Optional[int] = None,
    real: Optional[float] = None,
    flag: Optional[bool] = None,
    items: Optional[list[str]] = None,
    table: Optional[dict] = None,
    data: Optional[Input[Dataset]] = None,
    some: Input[list[Artifact]] = None,
    must: Optional[int] = 1,
) -> None:
    print(text, whole, real, flag, items, table, data, some, must)


@dsl.pipeline
def optionals(nothing: Optional[int] = None, flag: Optional[bool] = None, data: Input[Dataset] = None):
    every()
    every(whole=nothing, flag=flag, data=data)
    every(table={}, items=[], text="")

"""The public names as tools see them: editors, `inspect`, Sphinx."""

from __future__ import annotations

import inspect
from types import ModuleType

import pytest

import kfp_pachyderm
from kfp_pachyderm import provenance


@pytest.mark.parametrize("module", [kfp_pachyderm, provenance], ids=["kfp_pachyderm", "provenance"])
def test_the_types_of_public_calls_have_names_where_they_are_written(module: ModuleType) -> None:
    public = [getattr(module, name) for name in module.__all__]
    calls = [one for one in public if callable(one) and not _is_error(one)]
    methods = [one for kind in calls if isinstance(kind, type) for one in vars(kind).values()]
    for call in [*calls, *filter(inspect.isfunction, methods)]:
        inspect.signature(call, eval_str=True)


def _is_error(one: object) -> bool:
    return isinstance(one, type) and issubclass(one, Exception)

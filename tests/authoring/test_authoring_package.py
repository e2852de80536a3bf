"""Public names, and how little it takes to import them."""

from __future__ import annotations

import subprocess
import sys

import pytest

import kfp_pachyderm
from kfp_pachyderm import errors
from tests.waiting import PATIENCE


def run(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    ).stdout


@pytest.mark.parametrize(
    "module", ["kfp_pachyderm", "kfp_pachyderm.testing", "kfp_pachyderm.local", "kfp_pachyderm.runtime"]
)
def test_import_is_light(module: str) -> None:
    heavy = "{'kfp', 'grpc', 'pydantic', 'pachyderm_sdk', 'betterproto', 'cheroot', 'yaml'}"
    assert run(f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))").strip() == "[]"


def test_spec_needs_no_kfp() -> None:
    assert run("import sys, kfp_pachyderm.authoring.spec; print('kfp' in sys.modules)").strip() == "False"


def test_every_public_name_is_there() -> None:
    code = "import kfp_pachyderm as p; [getattr(p, one) for one in p.__all__]"
    code += "; print(callable(p.pipeline), p.__version__)"
    assert run(code).split() == ["True", kfp_pachyderm.__version__]
    assert set(kfp_pachyderm.__all__) <= set(dir(kfp_pachyderm))


def test_all_errors_are_public() -> None:
    tree = {name for name, value in vars(errors).items() if isinstance(value, type)}
    assert tree == {name for name in kfp_pachyderm.__all__ if name.endswith("Error")}


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="nope"):
        _ = kfp_pachyderm.nope  # type: ignore[attr-defined]


def test_decorator_survives_import_of_its_module() -> None:
    code = "import kfp_pachyderm.authoring.pipeline, kfp_pachyderm as p"
    code += "; print(callable(p.pipeline), callable(p.pipeline()))"
    assert run(code).split() == ["True", "True"]

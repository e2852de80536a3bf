"""The pipelines with goldens: finds their sources and compiles them."""

from __future__ import annotations

import importlib.util
import os
import warnings
from pathlib import Path
from types import ModuleType
from unittest import mock

from kfp import compiler

from kfp_pachyderm.authoring.git_source import SOURCE_VARIABLE

HERE = Path(__file__).parent
SAMPLES = HERE.parents[1] / "samples"
#: Users read the samples, so these name no FUNCTION for the tests.
SAMPLE_FUNCTIONS = {
    "container/pipeline.py": "words",
    "cross/pipeline.py": "filters",
    "dask/pipeline.py": "rides",
    "digits/pipeline.py": "digits",
    "edges/pipeline.py": "edge_detection",
    "existing/in_place.py": "in_place",
    "existing/pipeline.py": "documented",
    "fan/pipeline.py": "fan",
    "jax/pipeline.py": "digits",
    "minio/pipeline.py": "word_count",
    "yaml/pipeline.py": "summaries",
}
SOURCES = [*sorted((HERE / "pipelines").glob("*.py")), *(SAMPLES / one for one in SAMPLE_FUNCTIONS)]


def name_of(source: Path) -> str:
    """Returns the name of a source: its file's, or its sample's."""
    if SAMPLES not in source.parents:
        return source.stem
    own = "" if source.stem == "pipeline" else f"_{source.stem}"
    return f"sample_{source.parent.name}{own}"


def golden_of(source: Path) -> Path:
    """Returns the golden file of a pipeline's source."""
    return HERE / "golden" / f"{name_of(source)}.yaml"


def load(source: Path) -> ModuleType:
    """Imports the source as a new module."""
    spec = importlib.util.spec_from_file_location(f"golden_{name_of(source)}", source)
    if spec is None or spec.loader is None:
        raise ImportError(f"{source} can't be imported")
    module = importlib.util.module_from_spec(spec)
    with warnings.catch_warnings():
        # The sample `existing` loads the spec of Pachyderm's documentation as it stands.
        warnings.filterwarnings("ignore", ".*Pachyderm refuses this spelling")
        spec.loader.exec_module(module)
    return module


def function_of(source: Path) -> str:
    """Returns the name of the pipeline or component to compile: the source's FUNCTION, or the sample's."""
    if SAMPLES in source.parents:
        return SAMPLE_FUNCTIONS[source.relative_to(SAMPLES).as_posix()]
    return str(load(source).FUNCTION)


def compile_to(source: Path, target: Path) -> None:
    """Compiles a source without the git commit, which would change the golden."""
    with mock.patch.dict(os.environ, {SOURCE_VARIABLE: ""}):
        compiler.Compiler().compile(getattr(load(source), function_of(source)), str(target))

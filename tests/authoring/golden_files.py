"""The pipelines whose compiled text is kept: where they are, and how they are compiled."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

from kfp import compiler

HERE = Path(__file__).parent
SAMPLES = HERE.parents[1] / "samples"
SOURCES = [*sorted((HERE / "pipelines").glob("*.py")), *sorted(SAMPLES.glob("*/pipeline.py"))]
#: The samples are what users read: they name no FUNCTION for us.
SAMPLE_FUNCTIONS = {"digits": "digits", "edges": "edge_detection", "minio": "word_count"}


def name_of(source: Path) -> str:
    """What a source is called: its own name, or its sample's."""
    return f"sample_{source.parent.name}" if SAMPLES in source.parents else source.stem


def golden_of(source: Path) -> Path:
    """The compiled text of a pipeline's source."""
    return HERE / "golden" / f"{name_of(source)}.yaml"


def load(source: Path) -> ModuleType:
    """The source as a fresh module."""
    spec = importlib.util.spec_from_file_location(f"golden_{name_of(source)}", source)
    if spec is None or spec.loader is None:
        raise ImportError(f"{source} can't be imported")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def function_of(source: Path) -> str:
    """The name of the pipeline, or component, that is compiled: the source's FUNCTION, or the sample's."""
    return SAMPLE_FUNCTIONS.get(source.parent.name) or str(load(source).FUNCTION)


def compile_to(source: Path, target: Path) -> None:
    """Compiles a source."""
    compiler.Compiler().compile(getattr(load(source), function_of(source)), str(target))

"""The pipelines whose compiled text is kept: where they are, and how they are compiled."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

from kfp import compiler

HERE = Path(__file__).parent
SOURCES = sorted((HERE / "pipelines").glob("*.py"))


def golden_of(source: Path) -> Path:
    """The compiled text of a pipeline's source."""
    return HERE / "golden" / f"{source.stem}.yaml"


def load(source: Path) -> ModuleType:
    """The source as a fresh module."""
    spec = importlib.util.spec_from_file_location(f"golden_{source.stem}", source)
    if spec is None or spec.loader is None:
        raise ImportError(f"{source} can't be imported")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def compile_to(source: Path, target: Path) -> None:
    """Compiles the pipeline, or component, that the source names in FUNCTION."""
    module = load(source)
    compiler.Compiler().compile(getattr(module, module.FUNCTION), str(target))

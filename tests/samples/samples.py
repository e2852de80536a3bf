"""Loads a sample's pipeline file as a module."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

SAMPLES = Path(__file__).parents[2] / "samples"


def load_sample(name: str, file: str = "pipeline") -> ModuleType:
    """The module samples/<name>/<file>.py."""
    spec = importlib.util.spec_from_file_location(f"{name}_{file}", SAMPLES / name / f"{file}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

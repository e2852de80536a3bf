"""Files of KFP pipelines, compiled as they are and with everything wrapped."""

from __future__ import annotations

import importlib.util
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from everything_wrapped import everything_wrapped
from kfp import compiler, components, dsl
from kfp.dsl.graph_component import GraphComponent


@dataclass
class Compiled:
    """The result of compiling one file.

    Args:
        texts: pipeline's name → the compiled text.
        error: the error's text; "": there was none.
    """

    texts: dict[str, Path] = field(default_factory=dict)
    error: str = ""


def sources(folder: Path) -> Iterator[str]:
    """The Python files below a folder, relative to it."""
    found = (one for one in sorted(folder.rglob("*.py")) if one.name != "__init__.py")
    return (one.relative_to(folder).as_posix() for one in found)


def compile_file(folder: Path, name: str, target: Path, wrapped: bool) -> Compiled:
    """Compiles the pipelines of a file, or its components where it has none.

    Args:
        folder: the folder of all files.
        name: the file, relative to it.
        target: a folder for the compiled texts.
        wrapped: with every component S3-enabled, and every pipeline decorated.
    """
    made = Compiled()
    try:
        with everything_wrapped() if wrapped else nullcontext(), executed(folder, name) as module:
            for one in pipelines(module):
                path = target / name.replace("/", "__") / f"{one.name}.yaml"
                path.parent.mkdir(parents=True, exist_ok=True)
                compiler.Compiler().compile(one, str(path))
                made.texts[one.name] = path
    except (Exception, SystemExit) as error:
        made.error = describe(error)
    return made


def load_again(made: Compiled) -> str:
    """Loads the compiled texts and compiles them once more; returns the error's text, "" without an error."""
    try:
        for path in made.texts.values():
            loaded = components.load_component_from_file(str(path))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                compiler.Compiler().compile(loaded, str(path.with_suffix(".again.yaml")))
    except Exception as error:
        return describe(error)
    return ""


def pipelines(module: dict[str, Any]) -> list[Any]:
    """The pipelines of a module, or its components where it has none."""
    every = [one for one in module.values() if isinstance(one, dsl.base_component.BaseComponent)]
    graphs = [one for one in every if isinstance(one, GraphComponent)]
    return list({id(one): one for one in graphs or every}.values())


def describe(error: BaseException) -> str:
    """An exception in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


@contextmanager
def executed(folder: Path, name: str) -> Iterator[dict[str, Any]]:
    """A file as a module's names; the modules of the folder that it imports are forgotten afterwards."""
    before, path = set(sys.modules), list(sys.path)
    file = folder / name
    spec = importlib.util.spec_from_file_location(f"kfp_pipelines_{file.stem.replace('-', '_')}", file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} can't be imported")
    module = importlib.util.module_from_spec(spec)
    sys.path[:0] = [str(file.parent), str(folder), str(folder.parent)]
    # KFP looks for a function's source here
    sys.modules[spec.name] = module
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            spec.loader.exec_module(module)
            yield vars(module)
    finally:
        sys.path[:] = path
        for one in set(sys.modules) - before:
            if str(getattr(sys.modules[one], "__file__", None) or "").startswith(str(folder)):
                del sys.modules[one]

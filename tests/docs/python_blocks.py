"""Python blocks: they run in the page's order, or inside of a step; those that can't run are parsed."""

from __future__ import annotations

import ast
import importlib
import inspect
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

from kfp.compiler import Compiler
from kfp.dsl.graph_component import GraphComponent

import kfp_pachyderm
from tests.docs import world
from tests.docs.pages import Block


def run_page(blocks: list[Block], folder: Path, filled: Callable[[str], str]) -> dict[Block, str]:
    """Runs a page's blocks in one namespace, and compiles the pipelines that they make.

    Args:
        blocks: the blocks of one page, in its order.
        folder: the folder that the code is written to, since KFP reads a component's source again.
        filled: puts IDs in the place of placeholders.

    Returns:
        For each block the error's text; "": it ran.
    """
    space = world.names()
    return {one: _said(lambda one=one: _run(one, space, folder, filled)) for one in blocks}


def _run(block: Block, space: dict[str, object], folder: Path, filled: Callable[[str], str]) -> None:
    file = folder / f"{block.page.stem}_{block.line}.py"
    file.write_text(filled(block.text))
    before = dict(space)
    with warnings.catch_warnings():
        # KFP's, of another Python to come: what a page shows is no longer for it
        warnings.filterwarnings("ignore", "The default base_image", FutureWarning)
        exec(compile(file.read_text(), file, "exec", dont_inherit=True), space)  # noqa: S102
    for name, made in space.items():
        if isinstance(made, GraphComponent) and before.get(name) is not made:
            Compiler().compile(made, str(folder / f"{file.stem}_{name}.yaml"))


def run_in_a_step(blocks: list[Block]) -> dict[Block, str]:
    """Runs the blocks inside of one step; returns the error's text for each, "" for a block that ran."""
    said = world.run_blocks(codes=[one.text for one in blocks]).outputs["Output"]
    return dict(zip(blocks, said, strict=True))


def parse(block: Block) -> str:
    """The faults of code that can't run here: in its syntax, in names and arguments of this package."""
    return _said(lambda: _check(ast.parse(block.text)))


def _check(tree: ast.Module) -> None:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("kfp_pachyderm"):
            for one in node.names:
                getattr(importlib.import_module(node.module), one.name)
        elif isinstance(node, ast.Call) and (called := _ours(node.func)) is not None:
            inspect.signature(called).bind_partial(**{one.arg: None for one in node.keywords if one.arg})


def _ours(node: ast.expr) -> Callable[..., object] | None:
    """The object that a dotted name such as `pachyderm.local.init` stands for."""
    path = ast.unparse(node).split(".")
    found: object = kfp_pachyderm
    for name in path[1:]:
        found = getattr(found, name) if path[0] == "pachyderm" else None
    return found if callable(found) else None


def _said(act: Callable[[], None]) -> str:
    try:
        act()
    except Exception:
        return traceback.format_exc()
    return ""

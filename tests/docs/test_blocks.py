"""Every code block of the documentation is run: a test for each, whose name says how.

- `python`: the blocks of a page one after the other, in one namespace, on a Pachyderm that has data
  (world.py); the pipelines that they make are compiled. A comment above a block changes that:
  `<!-- run: step -->` runs it inside of a step; `<!-- run: parse -->` is for a block that can't run here: its
  syntax, and the names and arguments of this package are checked.
- `sh`, and a block without a language that has nothing but commands: each command is run, or the files that
  it names have to exist (shell_blocks.py).
- `yaml`, `json`: parsed; Kubernetes objects are validated by their schemas.
- `text` is the output of a program, and not checked. Blocks for Sphinx (`{...}`) are built by `make docs`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from kfp_pachyderm import local
from kfp_pachyderm.embedded.process import start
from kfp_pachyderm.testing import Pachyderm
from tests.docs import python_blocks, shell_blocks, world
from tests.docs.pages import ROOT, Block, blocks, name_of, pages
from tests.docs.shell_blocks import are_commands

#: Pages whose blocks another test runs.
OWN_TESTS = {"docs/openlineage.md": "tests/openlineage/test_openlineage_docs.py"}


def _with_language(block: Block) -> Block:
    return replace(block, language="sh") if not block.language and are_commands(block.text) else block


EVERY = [_with_language(one) for page in pages() if name_of(page) not in OWN_TESTS for one in blocks(page)]
WAYS = {
    ("python", ""),
    ("python", "step"),
    ("python", "parse"),
    ("sh", ""),
    ("yaml", ""),
    ("json", ""),
    ("text", ""),
}


def way(language: str, how: str = "") -> pytest.MarkDecorator:
    """Parametrizes a test with all blocks of a language that are run in this way."""
    chosen = [one for one in EVERY if (one.language, one.how) == (language, how)]
    return pytest.mark.parametrize("block", chosen, ids=lambda one: one.name)


@pytest.mark.parametrize("block", EVERY, ids=lambda one: one.name)
def test_no_block_escapes(block: Block) -> None:
    assert block.language.startswith("{") or (block.language, block.how) in WAYS, (
        "name its language (python, sh, yaml, json; text is no code), and how it is run by a comment "
        "above: <!-- run: step -->, <!-- run: parse -->"
    )


def test_a_page_that_is_left_out_has_a_test_of_its_own() -> None:
    for page in pages():
        if test := OWN_TESTS.get(name_of(page)):
            assert page.name in (ROOT / test).read_text()


@contextmanager
def _working_in(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the blocks run: with what a clone of the repository has."""
    folder = tmp_path_factory.mktemp("reader")
    for one in ("components", "samples", "manifests"):
        (folder / one).symlink_to(ROOT / one)
    return folder


@pytest.fixture(scope="module")
def made(folder: Path) -> Iterator[world.World]:
    """A Pachyderm with data, which is the one that everything asks unless it starts its own."""
    with start(folder / "pachyderm") as server, pytest.MonkeyPatch.context() as patch, _working_in(folder):
        with local.init(folder / "pachyderm") as pachyderm:
            found = world.make(Pachyderm(pachyderm).put)
        patch.setenv("KFP_PACHYDERM_ADDRESS", server.address)
        yield found


@pytest.fixture(scope="module")
def ran(made: world.World, folder: Path) -> dict[Block, str]:
    """What came of the Python blocks, page by page."""
    chosen = [one for one in EVERY if (one.language, one.how) == ("python", "")]
    said: dict[Block, str] = {}
    with _working_in(folder):
        for page in dict.fromkeys(one.page for one in chosen):
            of_page = [one for one in chosen if one.page == page]
            said |= python_blocks.run_page(of_page, folder, made.filled)
            shutil.rmtree(folder / "sandbox", ignore_errors=True)
    return said


@pytest.fixture(scope="module")
def ran_in_a_step(made: world.World, folder: Path) -> dict[Block, str]:
    """What came of the blocks for steps."""
    with local.init(folder / "pachyderm"):
        return python_blocks.run_in_a_step([one for one in EVERY if one.how == "step"])


@way("python")
def test_runs(block: Block, ran: dict[Block, str]) -> None:
    assert ran[block] == ""


@way("python", "step")
def test_runs_in_a_step(block: Block, ran_in_a_step: dict[Block, str]) -> None:
    assert ran_in_a_step[block] == ""


@way("python", "parse")
def test_parses(block: Block) -> None:
    assert python_blocks.parse(block) == ""


@way("sh")
def test_commands(block: Block, made: world.World, folder: Path) -> None:
    found = shell_blocks.commands(made.filled(block.text))
    assert found
    code = next((one.text for one in EVERY if (one.page, one.language) == (block.page, "python")), None)
    with _working_in(folder):
        for command in found:
            shell_blocks.check(command, folder, block.page.parent, code)


# JSON is YAML, too
@pytest.mark.parametrize(
    "block", [one for one in EVERY if one.language in ("yaml", "json")], ids=lambda one: one.name
)
def test_yaml(block: Block) -> None:
    found = list(yaml.safe_load_all(block.text))
    assert found
    for one in found:
        if "rules" in one:
            role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "x"}}
            kubernetes_validate.validate({**role, **one}, "1.29", strict=True)

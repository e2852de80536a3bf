"""The pages: their links work on GitHub, too, and their lists have the same entries as the code."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from urllib.parse import urlsplit

import click
import pytest

from kfp_pachyderm import errors
from kfp_pachyderm.cli import main
from tests.docs.pages import DOCS, ROOT, anchors, links, name_of, pages

PACKAGE = ROOT / "kfp_pachyderm"


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    assert [one for one in links(page) if not _leads_somewhere(page, one)] == []


def _leads_somewhere(page: Path, link: str) -> bool:
    parts = urlsplit(link)
    if parts.scheme:
        return parts.scheme == "https" and bool(parts.netloc)
    target = (page.parent / parts.path).resolve() if parts.path else page
    if parts.fragment:
        return target.suffix == ".md" and target.is_file() and parts.fragment in anchors(target)
    return target.exists()


def test_the_navigation_names_pages_that_are_there() -> None:
    text = (DOCS / "index.md").read_text()
    named = [
        line
        for tree in re.findall(r"```{toctree}\n(.*?)```", text, re.DOTALL)
        for line in tree.splitlines()
        if line and not line.startswith((":", "%"))
    ]
    there = {str(one.relative_to(DOCS).with_suffix("")) for one in pages() if DOCS in one.parents}
    assert named
    assert len(named) == len(set(named))
    assert set(named) - there == {"samples/index"}
    # The site puts in what is not named; below guide/ it is a how-to, which has its place.
    assert [one for one in there - {"index"} - set(named) if "/" in one] == []


def test_every_error_has_its_paragraph() -> None:
    classes = [one for one in vars(errors).values() if inspect.isclass(one) and issubclass(one, Exception)]
    text = (DOCS / "errors.md").read_text()
    sections = dict(zip(*[iter(re.split(r"^## (.+)\n", text, flags=re.MULTILINE)[1:])] * 2, strict=True))
    assert sorted(sections) == sorted(one.__name__ for one in classes)
    for name, section in sections.items():
        for part in ("Cause", "Tried", "Way out"):
            assert re.search(rf"^- \*\*{part}\.\*\* \S", section, re.MULTILINE), (name, part)


def test_every_error_says_in_its_docstring_where_its_paragraph_is() -> None:
    text = inspect.getsource(errors)
    assert "docs/errors.md" in (ast.get_docstring(ast.parse(text)) or "")


def test_every_variable_of_the_code_is_in_the_reference() -> None:
    ours = re.compile(r"\b(?:KFP_)?PACHYDERM_[A-Z][A-Z0-9_]*[A-Z0-9]\b")
    code = {name for file in PACKAGE.rglob("*.py") for text in _strings(file) for name in ours.findall(text)}
    page = set(ours.findall((DOCS / "environment.md").read_text()))
    assert len(code) > 15
    assert page == code


def test_what_a_step_finds_and_does_not_find_is_in_the_reference() -> None:
    from kfp_pachyderm.runtime import Step

    step = Step(
        "http://127.0.0.1:1", "a", "b", {"images": "vision/images@1"}, "out", "vision/o@2", "v", "o", "2"
    )
    page = (DOCS / "environment.md").read_text().replace("<input>_COMMIT", "images_COMMIT")
    aws = {name for file in PACKAGE.rglob("*.py") for text in _strings(file) for name in _AWS.findall(text)}
    assert [one for one in {*step.environment(), *aws} if f"`{one}`" not in page] == []


_AWS = re.compile(r"^AWS_[A-Z0-9_]+$")


def _strings(file: Path) -> list[str]:
    """The strings of a module, without its docstrings."""
    tree = ast.parse(file.read_text())
    told = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    constants = (one for one in ast.walk(tree) if isinstance(one, ast.Constant) and id(one) not in told)
    return [one.value for one in constants if isinstance(one.value, str)]


def test_every_command_helps() -> None:
    """The command line's page is made of these texts when the site is built."""
    assert "kfp_pachyderm.cli:main" in (DOCS / "cli.md").read_text()
    for name, command in main.commands.items():
        assert command.help, name
        silent = [one.name for one in command.params if isinstance(one, click.Option) and not one.help]
        assert silent == [], name


def test_every_sample_has_a_readme_with_one_line_and_a_picture() -> None:
    samples = sorted(one.parent for one in (ROOT / "samples").glob("*/*.py"))
    assert samples
    for sample in samples:
        title, line, *rest = (sample / "README.md").read_text().split("\n\n")
        assert title.startswith("# "), sample
        assert line[0].isalpha(), sample
        assert "![" in "".join(rest) or (sample / "picture.png").exists(), f"{sample.name} has no picture"

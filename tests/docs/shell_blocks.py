"""Shell blocks: each command is run where that is possible; else the files that it names have to exist."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable
from itertools import pairwise, takewhile
from pathlib import Path

import click
from click.testing import CliRunner

from kfp_pachyderm.cli import main
from tests.docs.pages import ROOT

#: Commands that only read from Pachyderm: they are run. Of the other commands only the options are checked.
_RUN = {"lineage", "runs", "jobs", "files", "get", "verify", "diff"}
#: Options that need a cluster or a browser.
_ELSEWHERE = {"--port-forward", "--open"}
_PACHCTL = {"auth", "create", "delete", "finish", "get", "inspect", "list", "put", "start", "stop", "update"}


def commands(text: str) -> list[str]:
    """The commands of a block, without comments; lines that end with a backslash go on."""
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    return [line for line in (re.sub(r"(^|\s+)#.*", "", line).strip() for line in lines) if line]


def are_commands(text: str) -> bool:
    """Whether a block without a language has nothing but commands."""
    found = commands(text)
    return bool(found) and all(one.split()[0] in _WAYS for one in found)


def check(command: str, folder: Path, beside: Path, code: str | None = None) -> None:
    """Runs a command, or checks that what it names exists.

    Args:
        command: the command, with IDs in the place of placeholders.
        folder: the folder that it runs in.
        beside: the page's folder; a command may name files in it, or files of the repository.
        code: the page's first Python block: the file that the page has the reader write.

    Raises:
        AssertionError: the command fails, or there is no check for such a command.
    """
    words = list(takewhile(lambda one: one not in (">", "|", "&&"), shlex.split(command)))
    if code and "--py" in words and "/" not in (file := words[words.index("--py") + 1]):
        (folder / file).write_text(code)
    assert words[0] in _WAYS, f"nobody knows how to check {command!r}"
    _WAYS[words[0]](words[1:], folder, beside)


def _ours(words: list[str], folder: Path, beside: Path) -> None:
    command = main.commands.get(words[0])
    assert command is not None, f"kfp-pachyderm has no command {words[0]}"
    if words[0] in _RUN and not _ELSEWHERE & set(words):
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 0, result.output
    else:
        _parsed(command, words[1:])


def _parsed(command: click.Command, words: list[str]) -> None:
    context = click.Context(command)
    _, rest, _ = command.make_parser(context).parse_args(list(words))
    assert rest == []


def _kfp(words: list[str], folder: Path, beside: Path) -> None:
    said = dict(pairwise(words))
    program, target = Path(sys.executable).with_name("kfp"), folder / said["--output"]
    places = {said["--py"]: str(_file(said["--py"], folder, beside)), said["--output"]: str(target)}
    command = [str(program), *(places.get(one, one) for one in words)]
    subprocess.run(command, check=True, timeout=300, cwd=folder, capture_output=True)
    assert target.exists()


def _file(name: str, *folders: Path) -> Path:
    found = [one / name for one in (*folders, ROOT) if (one / name).is_file()]
    assert found, f"no {name}"
    return found[0]


def _make(words: list[str], folder: Path, beside: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {one for one in words if "=" not in one} <= targets, words


def _pip(words: list[str], folder: Path, beside: Path) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = [one for word in words for one in re.findall(r"kfp-pachyderm\[([\w,]+)\]|^\.\[([\w,]+)\]", word)]
    assert words[0] in ("install", "download")
    assert {extra for pair in named for one in pair if one for extra in one.split(",")} <= set(extras)


def _python(words: list[str], folder: Path, beside: Path) -> None:
    """Checks the command of a sample; the sample's own test runs its pipeline."""
    _file(words[0], beside)


def _kubectl(words: list[str], folder: Path, beside: Path) -> None:
    """Checks that the folder exists; tests/manifests builds each of them and checks the result."""
    if words[0] == "apply" and "-k" in words:
        assert (ROOT / words[words.index("-k") + 1] / "kustomization.yaml").is_file(), words


def _pachctl(words: list[str], folder: Path, beside: Path) -> None:
    assert words[0] in _PACHCTL, words


def _docker(words: list[str], folder: Path, beside: Path) -> None:
    """Checks that the folder of a built image has a Dockerfile."""
    if words[0] == "build":
        assert (ROOT / words[-1] / "Dockerfile").is_file(), words


def _nothing_to_check(words: list[str], folder: Path, beside: Path) -> None:
    """Does nothing: of a shell builtin only its quoting can be checked, and that is done by now."""


_WAYS: dict[str, Callable[[list[str], Path, Path], None]] = {
    "kfp-pachyderm": _ours,
    "kfp": _kfp,
    "make": _make,
    "pip": _pip,
    "python": _python,
    "kubectl": _kubectl,
    "pachctl": _pachctl,
    "docker": _docker,
    "cd": _nothing_to_check,
    "export": _nothing_to_check,
    "curl": _nothing_to_check,
}

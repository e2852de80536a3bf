"""`kfp-pachyderm lineage`, `runs`, `jobs`, `files` and `get`, and how all commands find their Pachyderm."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from kfp_pachyderm.cli import main
from kfp_pachyderm.embedded.process import start
from kfp_pachyderm.embedded.server import EmbeddedServer
from kfp_pachyderm.pachd.references import Reference
from kfp_pachyderm.provenance.graph.views.wording import width
from tests.provenance.histories import History, chain

PICTURE = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415478da63f8ffff3f00"
    "05fe02fe0def46b80000000049454e44ae426082"
)


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without a Pachyderm, and an environment that names none."""
    monkeypatch.chdir(tmp_path)
    for name in ("KFP_PACHYDERM_ADDRESS", "KFP_PACHYDERM_TOKEN", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with EmbeddedServer(tmp_path_factory.mktemp("embedded")) as running:
        yield running


def told(server: EmbeddedServer, *arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments, "--address", server.address])


def story(server: EmbeddedServer, project: str) -> dict[str, Reference]:
    with History(server, project) as history:
        images = history.data()
        edges = history.step("edges", [images], f"{project}-monday", pipeline="pictures")
        montage = history.step("montage", [edges, images], f"{project}-tuesday", pipeline="pictures")
    return {"images": images, "edges": edges, "montage": montage}


def test_a_tree_json_mermaid_and_a_page(server: EmbeddedServer, tmp_path: Path) -> None:
    made = story(server, "views")
    montage = str(made["montage"])
    tree = told(server, "lineage", montage)
    assert tree.exit_code == 0, tree.output
    assert [line.split("  (")[0] for line in tree.output.splitlines()] == [
        f"{montage}  SUCCESS  montage of pictures, run views-tuesday  2.0 s  1.2 KiB",
        f"  {made['images']}  data  1.2 KiB",
        f"  {made['edges']}  cached  SUCCESS  edges of pictures, run views-monday  2.0 s  1.2 KiB",
        f"    {made['images']}  data  1.2 KiB",
    ]
    assert "\x1b" not in tree.output, "colours are for terminals"
    down = told(server, "lineage", str(made["images"]), "--down", "--depth", "1")
    assert [line.split("@")[0] for line in down.output.splitlines()] == [
        "views/images", "  views/edges", "    views/montage", "  views/montage",
    ]  # fmt: skip
    assert json.loads(told(server, "lineage", montage, "--json").output)["roots"] == [montage]
    assert told(server, "lineage", montage, "--mermaid").output.startswith("flowchart LR\n")
    page = tmp_path / "page.html"
    written = told(server, "lineage", montage, "--html", "-o", str(page))
    assert (written.exit_code, written.stdout) == (0, "")
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert told(server, "lineage", montage, "--html").output.startswith("<!DOCTYPE html>")


def test_the_browser_is_opened(server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    shown = told(server, "lineage", str(story(server, "opened")["montage"]), "--open")
    assert shown.exit_code == 0
    (url,) = opened
    assert Path(url.removeprefix("file://")).read_text().startswith("<!DOCTYPE html>")


def on_terminal(columns: int, *arguments: str) -> tuple[list[str], str]:
    """What the command prints on a terminal of so many columns: its lines, and all of it."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS")}
    command = [sys.executable, "-c", "from kfp_pachyderm.cli import main; main()", *arguments]
    process = subprocess.Popen(command, stdin=its, stdout=its, stderr=its, env={**env, "TERM": "xterm"})
    os.close(its)
    said = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # a terminal raises this error when its other end is closed
            break
        if not piece:
            break
        said += piece
    assert process.wait() == 0
    text = said.decode()
    plain = text.replace("\x1b[0m", "")
    for number in range(30, 38):
        plain = plain.replace(f"\x1b[{number}m", "")
    return plain.splitlines(), text


def test_it_fits_a_terminal_of_40_columns_in_colours(server: EmbeddedServer) -> None:
    with History(server, "narrow") as history:
        last = history.step(
            "日本語の絵", [chain(history, 30)], "a-run-with-a-very-long-name", repo="pictures"
        )
    for columns in (40, 100):
        lines, text = on_terminal(columns, "lineage", str(last), "--address", server.address)
        assert len(lines) == 32
        assert all(width(line) <= columns for line in lines)
        assert "\x1b[32m" in text
    assert "日本語の絵" in lines[0]
    assert "[31]" in lines[-1], "how deep it is, where there is no room to the left"


def test_runs_jobs_and_their_json(server: EmbeddedServer) -> None:
    made = story(server, "listed")
    runs = told(server, "runs", "--project", "listed").output.splitlines()
    assert runs[0].split() == ["STARTED", "STATE", "PIPELINE", "STEPS", "SIZE", "RUN"]
    assert [line.split()[-1] for line in runs[1:]] == ["listed-tuesday", "listed-monday"], "newest first"
    assert {len(line) - len(line.split()[-1]) for line in runs} == {runs[0].index("RUN")}, "aligned"
    assert len(told(server, "runs", "--project", "listed", "--limit", "1").output.splitlines()) == 2
    (newest, _) = json.loads(told(server, "runs", "--project", "listed", "--json").output)
    assert (newest["id"], newest["pipeline"], newest["commits"], newest["state"]) == (
        "listed-tuesday", "pictures", 1, "SUCCESS",
    )  # fmt: skip
    jobs = told(server, "jobs", "listed-monday").output.splitlines()
    assert jobs[1].split()[2:] == ["SUCCESS", "edges", "2.0", "s", "1.2", "KiB", str(made["edges"])]
    (job,) = json.loads(told(server, "jobs", "listed-monday", "--json").output)
    assert (job["commit"], job["step"]["task"]) == (str(made["edges"]), "edges")
    nothing = told(server, "jobs", "no-such-run")
    assert (nothing.exit_code, "see the runs: kfp-pachyderm runs" in nothing.output) == (1, True)


def test_files_and_get(pachyderm: Any, tmp_path: Path) -> None:
    commit = pachyderm.put("vision/images", {"/a.png": PICTURE, "/deep/er/b.txt": "b" * 2000})

    def told(*arguments: str) -> Result:
        return CliRunner().invoke(main, [*arguments, "--address", pachyderm.address])

    listed = told("files", commit)
    assert listed.output.splitlines() == [
        "SIZE     FILE",
        f"{len(PICTURE)} B     /a.png",
        "2.0 KiB  /deep/er/b.txt",
    ]
    assert [one["path"] for one in json.loads(told("files", "vision/images@master", "--json").output)] == [
        "/a.png", "/deep/er/b.txt",
    ]  # fmt: skip
    assert told("files", f"{commit}:/deep").output.splitlines()[1:] == ["2.0 KiB  /deep/er/b.txt"]
    assert told("get", f"{commit}:/a.png").output == "a.png\n"
    assert (tmp_path / "a.png").read_bytes() == PICTURE
    assert told("get", f"{commit}:/deep/er/b.txt", "-o", "other.txt").exit_code == 0
    assert (tmp_path / "other.txt").read_text() == "b" * 2000
    (tmp_path / "folder").mkdir()
    assert told("get", f"{commit}:/a.png", "-o", "folder").output == "folder/a.png\n"
    assert told("get", f"{commit}:/a.png", "-o", "-").stdout_bytes == PICTURE
    for wrong, said in (
        (commit, "names no file"),
        (f"{commit}:/deep", "is a folder"),
        (f"{commit}:/x", "has no file"),
    ):
        refused = told("get", wrong, "-o", "never")
        assert (refused.exit_code, said in refused.output) == (1, True)
    assert not (tmp_path / "never").exists()


def test_a_missing_commit_is_one_line(server: EmbeddedServer) -> None:
    shown = told(server, "lineage", "vision/nothing@master")
    assert shown.exit_code == 1
    assert "vision/nothing" in shown.output
    assert "Traceback" not in shown.output


@pytest.mark.parametrize(
    "command", [["lineage", "a@b"], ["runs"], ["jobs", "x"], ["files", "a@b"], ["get", "a@b:/c"], ["doctor"]]
)
def test_without_a_pachyderm_all_three_ways_are_said(command: list[str]) -> None:
    shown = CliRunner().invoke(main, command)
    assert shown.exit_code == 1
    for way in (
        "--address grpc://<host>:<port>",
        "KFP_PACHYDERM_ADDRESS",
        "KFP_PACHYDERM_TOKEN",
        ".pachyderm has none",
    ):
        assert way in shown.output


def test_the_ways_to_a_pachyderm(server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    montage = str(story(server, "found")["montage"])
    monkeypatch.setenv("KFP_PACHYDERM_ADDRESS", server.address)
    assert CliRunner().invoke(main, ["lineage", montage]).exit_code == 0
    monkeypatch.setenv("KFP_PACHYDERM_ADDRESS", "grpc://127.0.0.1:1")
    assert told(server, "lineage", montage).exit_code == 0, "--address comes first"


def test_the_embedded_one_of_this_folder(tmp_path: Path) -> None:
    with start(tmp_path / ".pachyderm") as running:
        assert "RUN" in CliRunner().invoke(main, ["runs"]).output, "it runs: it is joined"
        pid = running.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert "RUN" in CliRunner().invoke(main, ["runs"]).output, (
        "it does not run: it is started for the command"
    )

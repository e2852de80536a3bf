"""The page of a lineage in a real browser: 3, 40 and 200 commits, by layout, mouse and keyboard."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import BROWSER, Page, browser  # type: ignore[import-not-found]
from histories import History, layered  # type: ignore[import-not-found]
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs, pps
from PIL import Image

from kfp_pachyderm.embedded.server import EmbeddedServer
from kfp_pachyderm.pachd.connection.address import parse
from kfp_pachyderm.pachd.connection.client import connect
from kfp_pachyderm.provenance.graph.assemble import lineage
from kfp_pachyderm.provenance.graph.model import with_files
from kfp_pachyderm.provenance.graph.views.html import page
from kfp_pachyderm.provenance.graph.views.pictures import contents

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium here: apt-get install chromium")

BOXES = """[...document.querySelectorAll('.node')].filter((one) => one.dataset.commit).map((one) => {
  const box = one.querySelector('rect.box').getBoundingClientRect();
  const {left, right, top, bottom} = box;
  const texts = [...one.querySelectorAll('text')].map((text) => text.getBoundingClientRect());
  return {commit: one.dataset.commit, look: one.classList[1], left, right, top, bottom,
    texts: texts.map((text) => text.right), letters: Math.min(...texts.map((text) => text.height))};
})"""
EVIL = '"><img src=x onerror="document.title=1">'


@pytest.fixture(scope="module")
def pages(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Pages of 3, 40 and 200 commits."""
    with History(server, "pages") as history:
        roots = {40: layered(history, 4, 8, "run-40"), 200: layered(history, 24, 8, "run-200")}
        edges = history.step("edges", [history.data()], "monday", parameters={"sigma": 1.5, EVIL: EVIL})
        roots[3] = history.step(
            "montage", [edges], "tuesday", state=pps.JobState.JOB_FAILURE, reason="datum 1 failed"
        )
    folder = tmp_path_factory.mktemp("pages")
    for count, root in roots.items():
        with connect(parse(server.address)) as pachd:
            (folder / f"{count}.html").write_text(page(lineage(pachd, str(root))))
    return {count: folder / f"{count}.html" for count in roots}


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _no_problem(view: Page) -> Iterator[None]:
    view.problems.clear()
    view.requests.clear()
    yield
    assert view.problems == []
    assert all(one.startswith("file://") and one.endswith(".html") for one in view.requests), "no network"


def boxes(view: Page) -> dict[str, dict[str, Any]]:
    return {one["commit"]: one for one in view.run(BOXES)}


def edges(view: Page) -> list[tuple[str, str]]:
    data = view.run("JSON.parse(document.getElementById('data').textContent)")
    return [(data["nodes"][one]["commit"], data["nodes"][other]["commit"]) for one, other in data["edges"]]


@pytest.mark.parametrize("count", [3, 40, 200])
def test_it_can_be_read(view: Page, pages: dict[int, Path], count: int) -> None:
    view.open(pages[count])
    found = boxes(view)
    assert len(found) == {3: 3, 40: 41, 200: 201}[count]
    assert all(found[one]["right"] < found[other]["left"] for one, other in edges(view)), "sources left"
    every = list(found.values())
    for number, one in enumerate(every):
        assert all(right <= one["right"] for right in one["texts"]), "no text runs out of its box"
        for other in every[number + 1 :]:
            apart = one["right"] <= other["left"] or other["right"] <= one["left"]
            assert apart or one["bottom"] <= other["top"] or other["bottom"] <= one["top"], (
                "no two boxes overlap"
            )
    assert min(one["letters"] for one in every) > 8, "letters of a size that can be read, also of 200"
    assert view.run("document.getElementById('busy').hidden")
    root = view.run("(({left, right, top, bottom}) => [left, right, top, bottom])"
                    "(document.querySelector('.node.root').getBoundingClientRect())")  # fmt: skip
    assert root[0] >= 0
    assert root[1] <= 1400
    assert 0 <= root[2] <= 800


def test_all_of_it_is_shown_on_demand(view: Page, pages: dict[int, Path]) -> None:
    view.open(pages[200])
    view.press("0")
    assert all(one["left"] >= 0 and one["right"] <= 1400 for one in boxes(view).values())


def test_failed_and_cached_are_told_apart_without_colours(view: Page, pages: dict[int, Path]) -> None:
    view.open(pages[3])
    style = "getComputedStyle(document.querySelector('.%s rect.box')).strokeDasharray"
    assert view.run(style % "cached") != view.run(style % "failed") == "none"
    titles = view.run("[...document.querySelectorAll('#nodes text.title')].map((one) => one.textContent)")
    assert titles == ["images", "↺ edges", "✗ montage"]
    legend = view.run("document.getElementById('legend').textContent")
    assert "from an earlier run" in legend
    assert "failed" in legend


def test_a_node_opens_its_details(view: Page, pages: dict[int, Path]) -> None:
    view.open(pages[3])
    box = next(one for one in boxes(view).values() if one["look"] == "cached")
    view.click((box["left"] + box["right"]) / 2, (box["top"] + box["bottom"]) / 2)
    opened = boxes(view)[box["commit"]]
    edge = view.run("document.getElementById('graph').getBoundingClientRect().right")
    assert 0 <= opened["left"] < opened["right"] <= edge, "the details do not hide the node"
    text = view.run("document.getElementById('details').innerText")
    for said in ("monday", "sigma", "1.5", "sha256:c0de", "attempt-1", "2.0 s", "1.2 KiB", EVIL):
        assert said in text
    assert view.run("document.querySelectorAll('#details img').length") == 0, "a parameter is no page"
    assert view.run("document.title") != "1"
    view.press("Escape")
    assert view.run("document.getElementById('details').hidden")


def test_the_keyboard_is_enough(view: Page, pages: dict[int, Path]) -> None:
    view.open(pages[3])
    focused = "document.activeElement.getAttribute('aria-label') || document.activeElement.id"
    view.press("ArrowRight")
    assert view.run(focused).startswith("montage, failed")
    view.press("ArrowLeft")
    assert view.run(focused).startswith("edges, cached")
    view.press("ArrowLeft", "ArrowLeft")
    assert view.run(focused).startswith("images, source")
    view.press("ArrowRight", "Enter")
    assert "edges" in view.run("document.querySelector('#details h2').textContent")
    view.press("ArrowRight")
    assert "montage" in view.run("document.querySelector('#details h2').textContent"), "open details follow"
    view.press("Escape", "/")
    assert view.run(focused) == "search"
    before = view.run("document.getElementById('view').getAttribute('transform')")
    view.press("Escape", "Tab")
    view.run("document.activeElement.blur()")
    view.press("+")
    assert view.run("document.getElementById('view').getAttribute('transform')") != before


def test_search(view: Page, pages: dict[int, Path]) -> None:
    view.open(pages[200])
    view.press("/", *"task-7-3")
    assert view.run("document.getElementById('hits').textContent") == "1 of 201"
    hit = view.run(
        "(({left, right}) => [left, right])(document.querySelector('.node.hit').getBoundingClientRect())"
    )
    assert hit[0] >= 0, "it is shown"
    assert hit[1] <= 1400, "it is shown"
    dimmed = "getComputedStyle(document.querySelector('#nodes .node:not(.hit)')).opacity"
    assert float(view.run(dimmed)) < 0.5
    view.press("Enter")
    assert view.run("document.querySelector('#details h2').textContent") == "task-7-3"
    view.press("Escape")
    assert float(view.run("getComputedStyle(document.querySelector('#nodes .node')).opacity")) == 1


@pytest.mark.parametrize("dark", [False, True])
def test_dark_and_light(view: Page, pages: dict[int, Path], dark: bool) -> None:
    view.dark(dark)
    view.open(pages[40])
    file = pages[40].with_name(f"{'dark' if dark else 'light'}.png")
    view.screenshot(file)
    brightness = float(np.asarray(Image.open(file).convert("L")).mean())
    assert brightness < 60 if dark else brightness > 200
    colours = view.run(
        "['.node text.title', '.node rect.box'].map((one) =>"
        " getComputedStyle(document.querySelector(one)).fill)"
    )
    text, box = (sum(map(int, one[4:-1].split(","))) for one in colours)
    assert abs(text - box) > 300, "letters stand out"
    view.dark(False)


def test_pictures_of_a_commit(view: Page, tmp_path: Path, server: EmbeddedServer) -> None:
    client = Client.from_pachd_address(server.address)
    repo = pfs.Repo(name="photos", type="user", project=pfs.Project(name="default"))
    client.pfs.create_repo(repo=repo)
    picture = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(picture, format="png")
    with client.pfs.commit(branch=pfs.Branch(repo=repo, name="master")) as commit:
        commit.put_file_from_bytes(path="/red <b>.png", data=picture.getvalue())
        commit.put_file_from_bytes(path="/broken.png", data=b"no picture")
        commit.put_file_from_bytes(path="/notes.txt", data=b"x" * 2048)
    with connect(parse(server.address)) as pachd:
        found = lineage(pachd, "photos@master")
        (tmp_path / "photos.html").write_text(page(found, contents(pachd, with_files(found.nodes))))
    view.open(tmp_path / "photos.html")
    assert view.run("document.querySelectorAll('.node image').length") == 1
    view.press("ArrowRight", "Enter")
    sizes = view.run(
        "[...document.querySelectorAll('#details img')].map((one) => [one.alt, one.naturalWidth])"
    )
    assert ["/red <b>.png", 40] in sizes
    text = view.run("document.getElementById('details').innerText")
    assert "/notes.txt (2.0 KiB)" in text


@pytest.mark.skipif(not os.environ.get("KFP_PACHYDERM_TEST_ALL"), reason="a minute of two cores")
def test_two_thousand_commits(view: Page, server: EmbeddedServer, tmp_path: Path) -> None:
    with History(server, "many") as history:
        root = layered(history, 40, 50, "many")
    with connect(parse(server.address)) as pachd:
        (tmp_path / "many.html").write_text(page(lineage(pachd, str(root))))
    view.open(tmp_path / "many.html")
    assert len(boxes(view)) == 40 * 50 + 51

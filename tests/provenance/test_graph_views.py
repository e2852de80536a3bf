"""The views of a lineage; none of them lets a text in a record run or change the view."""

from __future__ import annotations

import json
import re
from importlib import resources

import jsonschema
import pytest
from histories import History, chain  # type: ignore[import-not-found]
from pachyderm_sdk.api import pps

from kfp_pachyderm import provenance
from kfp_pachyderm.embedded.server import EmbeddedServer
from kfp_pachyderm.pachd.commits.file_entry import FileEntry
from kfp_pachyderm.pachd.references import Reference
from kfp_pachyderm.provenance import Lineage, Node
from kfp_pachyderm.provenance.graph.views import wording
from kfp_pachyderm.provenance.graph.views.html import page
from kfp_pachyderm.provenance.graph.views.pictures import Contents
from kfp_pachyderm.provenance.graph.views.text import tree

EVIL = "</script><img src=x onerror=alert(1)>\"'`&\x1b[2J\u202e\n]:::failed\nclick n0"


@pytest.fixture(scope="module")
def schema() -> jsonschema.Draft202012Validator:
    text = (resources.files("kfp_pachyderm.provenance.graph") / "lineage.schema.json").read_text()
    checker = jsonschema.Draft202012Validator(json.loads(text))
    checker.check_schema(checker.schema)
    return checker


def ask(server: EmbeddedServer, of: object, **options: object) -> Lineage:
    return provenance.lineage(str(of), client=server.address, **options)  # type: ignore[arg-type]


def test_json_is_as_the_schema_says(
    server: EmbeddedServer, history: History, schema: jsonschema.Draft202012Validator
) -> None:
    with history:
        images = history.data()
        edges = history.step(
            "edges", [images], "monday", parameters={"sigma": 1.5, "names": ["a"], "evil": EVIL}
        )
        theirs = history.foreign("theirs", [edges])
        failed = history.step("last", [theirs, edges], "tuesday", state=pps.JobState.JOB_FAILURE)
    for found in (ask(server, failed), ask(server, images, down=True), ask(server, "monday")):
        data = json.loads(json.dumps(found.as_json()))
        schema.validate(data)
        assert data["schema"] == "kfp-pachyderm/lineage/1"
    unseen = Lineage("x", (images,), False, (Node(images, "unknown", "UNKNOWN", bare="why"),))
    schema.validate(json.loads(json.dumps(unseen.as_json())))
    (edges_node,) = (one for one in ask(server, edges).as_json()["nodes"] if one["step"])
    assert edges_node["step"]["parameters"] == {"sigma": 1.5, "names": ["a"], "evil": EVIL}
    broken = {**ask(server, edges).as_json(), "direction": "sideways"}
    assert not schema.is_valid(broken)


@pytest.fixture(scope="module")
def evil(server: EmbeddedServer) -> Lineage:
    """A lineage in which every text that a person may choose is hostile."""
    with History(server, "evil") as history:
        last = history.step(
            EVIL, [history.data()], EVIL, repo="last", pipeline=EVIL, parameters={EVIL: EVIL, "list": [EVIL]},
            state=pps.JobState.JOB_FAILURE, reason=EVIL,
        )  # fmt: skip
    return ask(server, last)


def test_a_terminal_obeys_nothing(evil: Lineage) -> None:
    text = evil.text()
    assert len(text.splitlines()) == 2
    assert all(one.isprintable() for one in text.replace("\n", ""))
    assert "\u202e" not in text
    assert "<img" in text, "what it says is shown"


def test_a_page_obeys_nothing(evil: Lineage) -> None:
    (commit, _) = (one.commit for one in evil.nodes)
    files = Contents((FileEntry(EVIL, 3, ""),), "", ((EVIL, "data:image/png;base64,"),))
    made = page(evil, {commit: files})
    assert "<img" not in made
    assert made.count("</script>") == 3
    assert "'unsafe" not in made.split("</head>")[0]
    data = re.search(r'id="data">(.*?)</script>', made, re.DOTALL)
    assert data
    node = json.loads(data[1])["nodes"][0]
    shown = wording.plain(EVIL)
    assert (node["title"], node["files"], node["parameters"][0][0]) == (shown, [[shown, "3 B"]], shown)
    assert page(Lineage(EVIL, evil.roots, False, evil.nodes, file=EVIL)).count("<img") == 0


def test_a_page_needs_nothing_else(evil: Lineage) -> None:
    made = page(evil)
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", made)
    assert "@import" not in made
    assert "default-src 'none'" in made
    assert (
        "Copyright (c) 2012-2014 Chris Pettitt"
        in (resources.files("kfp_pachyderm.provenance.graph.views") / "page" / "dagre.LICENSE").read_text()
    )


def test_mermaid_obeys_nothing(evil: Lineage) -> None:
    lines = evil.mermaid().splitlines()
    assert [line for line in lines if "click" in line.split('"')[0]] == []
    labels = [line for line in lines if line.startswith("  n") and "[" in line]
    assert len(labels) == len(evil.nodes)
    for label in labels:
        assert re.fullmatch(r'  n\d+\["(?:[\w ./@:,\-#;]|<br/>)+"\]:::\w+', label)


def commit(number: int) -> Reference:
    return Reference("p", f"repo-{number}", f"{number:032x}")


def test_no_graph_is_too_deep_or_too_wide() -> None:
    deep = [Node(commit(number), "pipeline", "SUCCESS", (commit(number + 1),)) for number in range(5000)]
    found = Lineage("x", (commit(0),), False, (*deep, Node(commit(5000), "source", "FINISHED")))
    lines = [line for line, _ in tree(found, 40)]
    assert len(lines) == 5001
    assert all(wording.width(line) <= 40 for line in lines)
    wide = tuple(commit(number) for number in range(1, 2001))
    nodes = (Node(commit(0), "pipeline", "SUCCESS", wide), *(Node(one, "source", "FINISHED") for one in wide))
    found = Lineage("x", (commit(0),), False, nodes)
    assert len(found.text().splitlines()) == 2001
    assert found.mermaid().count(" --> ") == 2000
    assert found.html().count("repo-2000") > 0


@pytest.mark.parametrize(
    ("text", "columns", "fitted"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("日本語", 6, "日本語"),
        ("日本語", 5, "日本…"),
        ("日本語", 4, "日…"),
        ("ab", 0, ""),
    ],
)
def test_texts_are_cut_by_columns(text: str, columns: int, fitted: str) -> None:
    assert wording.fitted(text, columns) == fitted
    assert wording.width(fitted) <= columns


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, ""),
        (0, "0.0 s"),
        (59.94, "59.9 s"),
        (60, "1 min 0 s"),
        (3600, "1 h 0 min"),
        (5400, "1 h 30 min"),
    ],
)
def test_times_are_said(seconds: float | None, said: str) -> None:
    assert wording.duration(seconds) == said


def test_a_long_chain_of_a_run(server: EmbeddedServer, history: History) -> None:
    with history:
        chain(history, 40, f"all-of-{history.project}")
    found = ask(server, f"all-of-{history.project}")
    assert len(found.text().splitlines()) == 41, "a run is one tree, not one for each of its steps"

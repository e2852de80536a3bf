"""A lineage as one HTML page that loads nothing: it needs no network, no server, no files beside it.

dagre lays the graph out (npm @dagrejs/dagre, MIT, in `page/`): 48 KiB, no dependencies, maintained.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from string import Template
from typing import Any

from kfp_pachyderm.pachd.references import Reference
from kfp_pachyderm.provenance.graph.model import Graph, Node, look
from kfp_pachyderm.provenance.graph.views.details import details
from kfp_pachyderm.provenance.graph.views.pictures import Contents
from kfp_pachyderm.provenance.graph.views.wording import duration, parameters, plain, size


def page(lineage: Graph, contents: Mapping[Reference, Contents] | None = None) -> str:
    """The page.

    Args:
        lineage: the lineage.
        contents: files and pictures by commit; commits that are missing are shown without.
    """
    data, style, dagre, script = (
        _data(lineage, contents or {}),
        *map(_part, ("page.css", "dagre.min.js", "page.js")),
    )
    title = plain(f"What was made from {lineage.of}" if lineage.down else f"What {lineage.of} was made from")
    return Template(_part("page.html")).substitute(
        policy=_policy(style, dagre, script),
        title=html.escape(title),
        summary=html.escape(_summary(lineage)),
        style=style,
        data=_in_script(data),
        dagre=dagre,
        script=script,
    )


@cache
def _part(name: str) -> str:
    return (resources.files(__package__) / "page" / name).read_text(encoding="utf-8")


def _policy(style: str, *scripts: str) -> str:
    """The page's Content-Security-Policy: whatever the data is, the page runs these scripts alone."""
    allowed = " ".join(f"'sha256-{_hash(one)}'" for one in scripts)
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{_hash(style)}'; script-src {allowed}; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _in_script(data: dict[str, Any]) -> str:
    """JSON without the characters that could end the page's script element."""
    text = json.dumps(data, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _summary(lineage: Graph) -> str:
    nodes = lineage.nodes
    counts = {
        "commits": len(nodes),
        "sources": sum(one.kind == "source" for one in nodes),
        "failed": sum(one.failed for one in nodes),
        "cached": sum(one.cached for one in nodes),
        "not seen": sum(one.kind == "unknown" for one in nodes),
    }
    said = [f"{count:,} {name}" for name, count in counts.items() if count or name == "commits"]
    return ", ".join([*said, *([f"file {plain(lineage.file)}"] if lineage.file else [])])


def _data(lineage: Graph, contents: Mapping[Reference, Contents]) -> dict[str, Any]:
    numbers = {one.commit: number for number, one in enumerate(lineage.nodes)}
    roots = set(lineage.roots)
    return {
        "nodes": [
            {**_node(one, contents.get(one.commit, Contents())), "root": one.commit in roots}
            for one in lineage.nodes
        ],
        "down": lineage.down,
        "edges": [[numbers[one], numbers[other]] for one, other in lineage.edges()],
    }


def _node(node: Node, content: Contents) -> dict[str, Any]:
    commit = node.commit
    took = duration(node.job.seconds) if node.job else ""
    return {
        "commit": str(commit),
        "title": plain(node.title),
        "short": f"{commit.project}/{commit.repo}@{commit.version[:8]}",
        "look": look(node),
        "state": node.state,
        "facts": " · ".join(filter(None, [node.state, took, size(node.size)])),
        "details": details(node),
        "parameters": parameters(node.record),
        "files": [[plain(one.path), size(one.size)] for one in content.files],
        "more": content.more,
        "pictures": [{"path": plain(path), "data": data} for path, data in content.pictures],
    }

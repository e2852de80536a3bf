"""A lineage as a Mermaid flowchart, which GitHub, GitLab and notebooks draw."""

from __future__ import annotations

from kfp_pachyderm.provenance.graph.model import Graph, Node, look
from kfp_pachyderm.provenance.graph.views.wording import plain, size

_CLASSES = """\
  classDef source fill:#e8f0fe,stroke:#3367d6,color:#111
  classDef step fill:#e6f4ea,stroke:#1e7e34,color:#111
  classDef gathered fill:#fff8e1,stroke:#8a6100,color:#111
  classDef pipeline fill:#f1f3f4,stroke:#5f6368,color:#111
  classDef unknown fill:#fff,stroke:#5f6368,color:#111,stroke-dasharray:4
  classDef cached fill:#e0f7fa,stroke:#00838f,color:#111,stroke-dasharray:4
  classDef failed fill:#fce8e6,stroke:#c5221f,color:#111"""


def mermaid(lineage: Graph) -> str:
    """The flowchart: sources left, results right."""
    names = {node.commit: f"n{at}" for at, node in enumerate(lineage.nodes)}
    lines = ["flowchart LR"]
    lines += [f'  {names[node.commit]}["{_label(node)}"]:::{look(node)}' for node in lineage.nodes]
    lines += [f"  {names[one]} --> {names[other]}" for one, other in lineage.edges()]
    return "\n".join([*lines, _CLASSES]) + "\n"


def _label(node: Node) -> str:
    commit = node.commit
    facts = [node.state if node.kind in ("step", "pipeline") else "", size(node.size)]
    lines = [node.title, f"{commit.project}/{commit.repo}@{commit.version[:12]}", *facts]
    return "<br/>".join(_escaped(one) for one in lines if one)


def _escaped(text: str) -> str:
    """Mermaid reads entities and nothing else between quotes (mermaid.js.org, Flowcharts, "Entity codes")."""
    kept = (one if one.isalnum() or one in " ./-_@:," else f"#{ord(one)};" for one in plain(text))
    return "".join(kept)

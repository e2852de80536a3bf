"""Where data came from and what was made of it. Pachyderm alone answers, also long after the runs.

`lineage`, `verify`, `diff`, `runs` and `of_run` return typed objects that notebooks show as cards. A name is
imported when it is first used, because steps import the record from this package and have to start quickly.
"""

from __future__ import annotations

from importlib import import_module

# the typing module's own: see kfp_pachyderm/__init__.py
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kfp_pachyderm.provenance.check.model import Fault
    from kfp_pachyderm.provenance.check.verified import Verified
    from kfp_pachyderm.provenance.compare.diff import Diff
    from kfp_pachyderm.provenance.compare.model import StepDiff
    from kfp_pachyderm.provenance.graph.lineage import Lineage
    from kfp_pachyderm.provenance.graph.model import Job, Node
    from kfp_pachyderm.provenance.history import Run
    from kfp_pachyderm.provenance.kfp_run import RunLineage, RunTask
    from kfp_pachyderm.provenance.queries import diff, lineage, of_run, runs, verify

__all__ = [
    "Diff",
    "Fault",
    "Job",
    "Lineage",
    "Node",
    "Run",
    "RunLineage",
    "RunTask",
    "StepDiff",
    "Verified",
    "diff",
    "lineage",
    "of_run",
    "runs",
    "verify",
]

_HOME = {
    **dict.fromkeys(("diff", "lineage", "of_run", "runs", "verify"), "queries"),
    **dict.fromkeys(("Job", "Node"), "graph.model"),
    **dict.fromkeys(("RunLineage", "RunTask"), "kfp_run"),
    "Diff": "compare.diff",
    "Fault": "check.model",
    "Lineage": "graph.lineage",
    "Run": "history",
    "StepDiff": "compare.model",
    "Verified": "check.verified",
}


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first used."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)

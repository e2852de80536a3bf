"""Everything that is known of a commit, in words."""

from __future__ import annotations

from typing import Any

from kfp_pachyderm.provenance.graph.model import Node
from kfp_pachyderm.provenance.graph.views.wording import duration, moment, plain, size
from kfp_pachyderm.provenance.record import StepRecord


def details(node: Node) -> list[tuple[str, str]]:
    """Everything that is known of a commit, as pairs of title and text."""
    record, job = node.record, node.job
    every: list[tuple[str, Any]] = [
        ("Commit", node.commit),
        ("State", f"{node.state}, from an earlier run" if node.cached else node.state),
        ("Error", node.error),
        ("Why little is known", node.bare),
    ]
    if record:
        every += [
            ("KFP pipeline", record.task.pipeline),
            ("KFP run", record.task.run),
            ("Task", record.task.task),
            ("Attempt", record.task.attempt),
            ("Component", record.task.component),
            ("Component digest", record.task.digest),
            ("Image", record.task.image),
            ("Versions", _versions(record)),
            ("Git", _git(record)),
        ]
    if job:
        every += [
            ("Job", job.id),
            ("Pipeline", f"{node.commit.project}/{node.commit.repo}, version {job.version}"),
            ("Job started", moment(job.started)),
            ("Job ended", moment(job.finished)),
            ("Job took", duration(job.seconds)),
            ("Pipeline's image", job.image),
        ]
    every += [
        ("Size", size(node.size)),
        ("Made", moment(node.created)),
        ("Finished", moment(node.finished)),
    ]
    return [(title, plain(str(text))) for title, text in every if str(text)]


def _versions(record: StepRecord) -> str:
    every = {"kfp": record.code.kfp, "kfp-pachyderm": record.task.package}
    return ", ".join(f"{name} {version}" for name, version in every.items() if version)


def _git(record: StepRecord) -> str:
    source = record.code.source
    if source is None:
        return ""
    return " ".join(filter(None, [source.commit, source.file, "(with changes)" if source.dirty else ""]))

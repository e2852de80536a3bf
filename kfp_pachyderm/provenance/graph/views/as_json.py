"""A lineage as JSON. Its schema is `lineage.schema.json` in the folder above."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from typing import Any

from kfp_pachyderm.provenance.graph.model import Graph, Job, Node
from kfp_pachyderm.provenance.record import Hashed, StepRecord

#: The format's version. It changes when readers of the old format would misread the new one, not when fields
#: are added.
SCHEMA = "kfp-pachyderm/lineage/1"


def as_json(lineage: Graph) -> dict[str, Any]:
    """The lineage as dicts, lists, texts and numbers."""
    return {
        "schema": SCHEMA,
        "of": lineage.of,
        "direction": "down" if lineage.down else "up",
        "roots": [str(one) for one in lineage.roots],
        "file": lineage.file or None,
        "run": lineage.run or None,
        "nodes": [node(one) for one in lineage.nodes],
        "edges": [{"from": str(one), "to": str(other)} for one, other in lineage.edges()],
    }


def text(lineage: Graph) -> str:
    """The lineage as JSON text."""
    return json.dumps(as_json(lineage), indent=2) + "\n"


def node(one: Node) -> dict[str, Any]:
    """One commit as a dict."""
    return {
        "commit": str(one.commit),
        "project": one.commit.project,
        "repo": one.commit.repo,
        "id": one.commit.version,
        "kind": one.kind,
        "state": one.state,
        "cached": one.cached,
        "inputs": [str(one) for one in one.inputs],
        "size_bytes": one.size,
        "created": _time(one.created),
        "finished": _time(one.finished),
        "error": one.error or None,
        "bare": one.bare or None,
        "step": _step(one.record) if one.record else None,
        "job": _job(one.job) if one.job else None,
    }


def _step(record: StepRecord) -> dict[str, Any]:
    task, code = record.task, record.code
    return {
        "pipeline": task.pipeline,
        "run": task.run,
        "task": task.task,
        "attempt": task.attempt,
        "component": task.component,
        "component_digest": task.digest,
        "image": task.image,
        "kfp_version": code.kfp,
        "kfp_pachyderm_version": task.package,
        "source": asdict(code.source) if code.source else None,
        "parameters": {name: _value(value) for name, value in code.parameters.items()},
        "private_parameters": list(code.private),
    }


def _value(value: Any) -> Any:
    return asdict(value) if isinstance(value, Hashed) else value


def _job(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "state": job.state,
        "reason": job.reason or None,
        "pipeline_version": job.version,
        "started": _time(job.started),
        "finished": _time(job.finished),
        "duration_seconds": job.seconds,
        "image": job.image or None,
    }


def _time(time: datetime | None) -> str | None:
    return time.isoformat(timespec="milliseconds") if time else None

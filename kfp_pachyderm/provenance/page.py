"""The record as a page that a person reads in the Kubeflow UI."""

from __future__ import annotations

from kfp_pachyderm.pachyderm.references import Reference
from kfp_pachyderm.provenance.record import CommitRecord, KfpTask, StepRecord


def page(record: StepRecord) -> str:
    """The record as Markdown."""
    sent = "" if record.objects is None else f" in {record.objects:,} objects"
    rows = [
        ("State", record.state),
        ("Job", f"`{record.job}`"),
        ("Pipeline", f"`{record.project}/{record.pipeline}`, version {record.version}"),
        *((f"Input `{name}`", f"`{commit}`") for name, commit in record.inputs.items()),
        ("Output", f"`{record.output}`, {_bytes(record.size)}{sent}"),
        ("Time", f"{record.duration:.1f} s, {record.started} to {record.finished}"),
        *([("Keys", f"`{record.task.keys}`-encoded as names of files")] if record.task.keys else []),
        *([("Sidecar", f"`{record.sidecar}`")] if record.sidecar else []),
    ]
    return _page(f"Pachyderm job of `{record.task.task}`", rows, record.task, record.output)


def commit_page(record: CommitRecord) -> str:
    """The record as Markdown."""
    facts = [(name.replace("_", " ").capitalize(), f"`{value}`") for name, value in record.facts.items()]
    rows = [("Commit", f"`{record.commit}`"), *facts]
    return _page(f"Pachyderm commit of `{record.task.task}`", rows, record.task, record.commit)


def _page(title: str, rows: list[tuple[str, str]], task: KfpTask, commit: Reference) -> str:
    digest = f" `{task.digest}`" if task.digest else ""
    rows = [
        *rows,
        ("Kubeflow run", f"`{task.run}`, task `{task.task}`, attempt `{task.attempt}`"),
        ("Component", f"`{task.component}`{digest}, image `{task.image}`"),
    ]
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    where = f"{commit.repo}@{commit.version} --project {commit.project}"
    return (
        f"# {title}\n\n| | |\n|---|---|\n{table}\n\n"
        f"Read it:\n\n```\npachctl list file {where}\npachctl inspect commit {where}\n```\n"
    )


def _bytes(size: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"

"""The record as a page that a person reads in the Kubeflow UI."""

from __future__ import annotations

from kfp_pachyderm.provenance.record import StepRecord


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
        ("Sidecar", f"`{record.sidecar}`"),
        ("Kubeflow run", f"`{record.task.run}`, task `{record.task.task}`, attempt `{record.task.attempt}`"),
        ("Component", f"`{record.task.component}` {_cell(record.task.digest)}, image `{record.task.image}`"),
    ]
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    return (
        f"# Pachyderm job of `{record.task.task}`\n\n| | |\n|---|---|\n{table}\n\n"
        f"Read what it made:\n\n```\npachctl list file {_pachctl(record)}\n"
        f"pachctl inspect commit {_pachctl(record)}\n```\n"
    )


def _pachctl(record: StepRecord) -> str:
    return f"{record.pipeline}@{record.job} --project {record.project}"


def _cell(digest: str) -> str:
    return f"`{digest}`" if digest else ""


def _bytes(size: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"

"""The record as a Markdown page for the Kubeflow UI.

KFP renders an artifact's Markdown with markdown-to-jsx (frontend/src/components/viewers/MarkdownViewer.tsx),
which draws tables and code blocks, but no diagrams.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from kfp_pachyderm.pachd.references import Reference
from kfp_pachyderm.provenance.graph.views.wording import size
from kfp_pachyderm.provenance.kfp_task import KfpTask
from kfp_pachyderm.provenance.record import Code, CommitRecord, Hashed, StepRecord

#: The most characters of a parameter, and of the command, that the page shows.
_VALUE, _COMMAND = 200, 4000


def page(record: StepRecord, tree: Sequence[str] = ()) -> str:
    """A step's record as Markdown.

    Args:
        record: the record.
        tree: lines that show what the step's inputs were made from (`inputs_tree`).
    """
    sent = "" if record.objects is None else f" in {record.objects:,} objects"
    sibling = f", one of the pipelines of step `{record.sibling_of}`" if record.sibling_of else ""
    rows = [
        ("State", record.state),
        ("Job", f"`{record.job}`"),
        ("Pipeline", f"`{record.project}/{record.pipeline}`, version {record.version}{sibling}"),
        *((f"Input `{name}`", f"`{commit}`") for name, commit in record.inputs.items()),
        ("Output", f"`{record.output}`, {size(record.size)}{sent}"),
        ("Time", f"{record.duration:.1f} s, {record.started} to {record.finished}"),
        *([("Keys", f"`{record.task.keys}`-encoded as names of files")] if record.task.keys else []),
        *([("Sidecar", f"`{record.sidecar}`")] if record.sidecar else []),
        *_code_rows(record.code),
    ]
    text = _page(f"Pachyderm job of `{record.task.task}`", rows, record.task, record.output)
    return text + _graph(tree) + _ask_on(record) + _command(record.code)


def _graph(tree: Sequence[str]) -> str:
    lines = "\n".join(line.replace("`", "'") for line in tree)
    return f"\nWhat it was made from:\n\n```\n{lines}\n```\n" if tree else ""


def _ask_on(record: StepRecord) -> str:
    data = next(iter(record.inputs.values()), record.output)
    return (
        "\nAsk further questions, where kfp-pachyderm is installed and reaches Pachyderm:\n\n```\n"
        f"kfp-pachyderm lineage {record.output} --open\n"
        f"kfp-pachyderm lineage {data} --down\n"
        f"kfp-pachyderm verify {record.output} --deep\n"
        f"kfp-pachyderm diff {record.project}/{record.output.repo}@<an earlier commit> {record.output}\n"
        f"kfp-pachyderm files {record.output}\n```\n"
    )


def commit_page(record: CommitRecord) -> str:
    """A reusable component's record as Markdown."""
    facts = [(name.replace("_", " ").capitalize(), code(value)) for name, value in record.facts.items()]
    rows = [("Commit", f"`{record.commit}`"), *facts]
    return _page(f"Pachyderm commit of `{record.task.task}`", rows, record.task, record.commit)


def _code_rows(made: Code) -> Iterator[tuple[str, str]]:
    for name, value in sorted(made.parameters.items()):
        yield f"Parameter {code(name)}", code(shown(value))
    for name in made.private:
        yield f"Parameter {code(name)}", "private, not recorded"
    if made.kfp:
        yield "Compiled by", f"kfp `{made.kfp}`"
    if made.source:
        file = f", {code(made.source.file)}" if made.source.file else ""
        dirty = {True: ", with changes that are in no commit", False: "", None: ", changes unknown"}
        yield "Git commit", f"{code(made.source.commit)}{file}{dirty[made.source.dirty]}"


def shown(value: Any) -> str:
    """A parameter's value for a person: JSON, cut after `_VALUE` characters."""
    if isinstance(value, Hashed):
        return f"{size(value.size)}, {value.digest}"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _VALUE else f"{text[:_VALUE]}…"


def code(value: object) -> str:
    """The value as inline code that stays inside a table's cell, whatever characters it holds."""
    text = re.sub(r"\s", " ", str(value)).replace("|", "¦")
    ticks = "`" * (1 + max((len(one) for one in re.findall("`+", text)), default=0))
    return f"{ticks}{text}{ticks}" if len(ticks) == 1 else f"{ticks} {text} {ticks}"


def _command(made: Code) -> str:
    if made.command_hash:
        return f"\nIts command is too long to be shown: {shown(made.command_hash)}\n"
    if not made.command:
        return ""
    text = "\n".join(made.command)
    cut = text if len(text) <= _COMMAND else f"{text[:_COMMAND]}…"
    fence = "`" * max(3, 1 + max((len(one) for one in re.findall("`+", cut)), default=0))
    return f"\nIts command:\n\n{fence}\n{cut}\n{fence}\n"


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

"""What `diff` found, as one page that needs nothing else: no network, no script."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape

from kfp_pachyderm.provenance.compare.model import Change, FileChange, StepDiff
from kfp_pachyderm.provenance.compare.text import SIGNS, sizes

_STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }
body { max-width: 70rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.3rem } h2 { font-size: 1.1rem; margin: 0; display: inline }
details { border: 1px solid light-dark(#ccc, #555); border-radius: .5rem; padding: .7rem 1rem }
details { margin: 1rem 0 }
summary { cursor: pointer } code, pre { font: .85rem ui-monospace, monospace; overflow-wrap: anywhere }
table { border-collapse: collapse; width: 100%; margin: .6rem 0 }
th, td { text-align: left; vertical-align: top; padding: .2rem .6rem .2rem 0; }
tr + tr td { border-top: 1px solid light-dark(#e4e4e4, #3a3a3a) }
caption { text-align: left; font-weight: 600 }
.added { color: light-dark(#116329, #7ee787) } .removed { color: light-dark(#a40e26, #ff9492) }
.changed { color: light-dark(#7d4e00, #e3b341) } .unseen { font-style: italic } pre { overflow-x: auto }
"""


def page(before: str, after: str, steps: Sequence[StepDiff]) -> str:
    """The page; `before` and `after` are the commits or the runs' IDs."""
    every = "".join(map(_step, steps))
    same = "<p>Nothing differs.</p>" if all(one.same for one in steps) else ""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>kfp-pachyderm diff</title>'
        f"<style>{_STYLE}</style><body><main><h1>What changed</h1>"
        f"<p><code>{escape(before)}</code> → <code>{escape(after)}</code></p>"
        f"{same}{every}</main></body></html>\n"
    )


def _step(step: StepDiff) -> str:
    title = escape(step.task or "commit")
    if step.before is None or step.after is None:
        kind, commit = ("added", step.after) if step.before is None else ("removed", step.before)
        head = f'<summary><h2 class="{kind}">{title}</h2> {kind}</summary>'
        return f"<details open>{head}<p><code>{escape(commit or '')}</code></p></details>"
    state = "the same" if step.same else "differs"
    return (
        f"<details{'' if step.same else ' open'}><summary><h2>{title}</h2> {state}</summary>"
        f"<p><code>{escape(step.before)}</code> → <code>{escape(step.after)}</code></p>"
        f"{''.join(_parts(step))}</details>"
    )


def _parts(step: StepDiff) -> Iterator[str]:
    inputs = [Change(one.name, one.before, one.after) for one in step.inputs]
    named = {"Inputs": inputs, "Code": step.code, "Parameters": step.parameters, "Versions": step.versions}
    yield from (_table(title, changes) for title, changes in named.items() if changes)
    yield from (_files(f"Files of input {one.name}", one.files) for one in step.inputs if one.files)
    if step.command:
        lines = "\n".join(f'<span class="{_kind(line)}">{escape(line)}</span>' for line in step.command)
        yield f"<p><b>Command</b></p><pre>{lines}</pre>"
    if step.files:
        yield _files("Files", step.files)
    yield from (f'<p class="unseen">Not compared: {escape(one)}</p>' for one in step.unseen)


def _table(title: str, changes: Iterable[Change]) -> str:
    rows = "".join(
        f"<tr><td>{escape(one.name)}</td>{_side(one.before, 'removed')}{_side(one.after, 'added')}</tr>"
        for one in changes
    )
    return f"<table><caption>{escape(title)}</caption>{rows}</table>"


def _side(value: str | None, kind: str) -> str:
    return "<td>none</td>" if value is None else f'<td><code class="{kind}">{escape(value)}</code></td>'


def _files(title: str, files: Iterable[FileChange]) -> str:
    rows = "".join(
        f'<tr><td class="{one.kind}">{SIGNS[one.kind]} {one.kind}</td>'
        f"<td><code>{escape(one.path)}</code></td><td>{escape(sizes(one))}</td></tr>"
        for one in files
    )
    return f"<table><caption>{escape(title)}</caption>{rows}</table>"


def _kind(line: str) -> str:
    return {"+": "added", "-": "removed"}.get(line[:1], "")

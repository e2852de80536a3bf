"""KFP's own pipelines with everything wrapped: python tests/kfp_pipelines/yardstick.py FOLDER.

FOLDER holds Python files of pipelines, as KFP's repository does in `test_data`. Every file that compiles as
it is must compile with every component S3-enabled and every pipeline decorated, be the same but for what that
adds, and be loaded again. A table says which do. With --run all of them are run on this machine, too, with
the same outputs: for pipelines as in `local_execution`, which need no cluster.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from compiling import Compiled, compile_file, load_again, sources
from everything_wrapped import REPO
from twins import difference

#: Columns, in the order in which they are looked at.
PLAIN, WRAPPED, SAME, LOADED, BACKEND, RUN = COLUMNS = (
    "plain",
    "wrapped",
    "same",
    "loaded",
    "backend",
    "run",
)


@dataclass
class Row:
    """The result of one file: the first check that failed, and why; "": none did."""

    name: str
    column: str = ""
    reason: str = ""


def rows(folder: Path, names: Iterable[str], target: Path, backend: str | None) -> Iterator[Row]:
    """Compiles the files, one after another, and checks the compiled texts."""
    for name in names:
        plain = compile_file(folder, name, target / PLAIN, wrapped=False)
        if plain.error or not plain.texts:
            yield Row(name, PLAIN, plain.error or "no pipeline and no component")
        else:
            wrapped = compile_file(folder, name, target / WRAPPED, wrapped=True)
            yield Row(name, *_compare(plain, wrapped, backend))


def _run(folder: Path, found: Iterable[Row], target: Path) -> Iterator[Row]:
    from running import differs, ready

    with ready(target / "pachyderm") as pachyderm:
        for row in found:
            if not row.column:
                made = target / "runs" / row.name.replace("/", "__")
                row.reason = differs(folder, row.name, made, pachyderm)
                row.column = RUN if row.reason else ""
            yield row


def _compare(plain: Compiled, wrapped: Compiled, backend: str | None) -> tuple[str, str]:
    if wrapped.error or set(wrapped.texts) != set(plain.texts):
        return WRAPPED, wrapped.error or f"{sorted(wrapped.texts)} instead of {sorted(plain.texts)}"
    texts = plain.texts.items()
    wrong = "; ".join(filter(None, (difference(one, wrapped.texts[name], (REPO,)) for name, one in texts)))
    if wrong:
        return SAME, wrong
    wrong = "" if load_again(plain) else load_again(wrapped)
    if wrong:
        return LOADED, wrong
    wrong = "" if backend is None or refused(backend, plain) else refused(backend, wrapped)
    return (BACKEND, wrong) if wrong else ("", "")


def refused(backend: str, made: Compiled) -> str:
    """The errors of KFP's backend for the compiled texts; "": there are none.

    Args:
        backend: a program that compiles the texts named by its arguments as KFP's API server does, and writes
            a line of JSON for each, with "error" if it went wrong.
        made: the texts.
    """
    texts = [str(one) for one in made.texts.values()]
    done = subprocess.run([backend, *texts], stdout=subprocess.PIPE, text=True, check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    return "; ".join(one["error"] for one in answers if one.get("error"))


def main() -> int:
    """Prints the table; its last line counts. Returns 1 where a file that compiles plain does not pass."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", help="files, relative to the folder; none: all")
    parser.add_argument("--backend", help="a program that compiles texts as KFP's API server does")
    parser.add_argument("--run", action="store_true", help="run them, plain and wrapped")
    parser.add_argument("--keep", type=Path, help="a new folder for what comes out")
    given = parser.parse_intermixed_args()
    folder = given.folder.resolve()
    seen: list[Row] = []
    # pipelines and kfp.local write to stdout, too, where the table goes
    table = sys.stdout
    with tempfile.TemporaryDirectory() as temporary, redirect_stdout(sys.stderr):
        target = (given.keep or Path(temporary)).absolute()
        found = rows(folder, given.names or sources(folder), target, given.backend)
        for row in _run(folder, found, target) if given.run else found:
            seen.append(row)
            table.write(f"{row.column or 'passes':8} {row.name}  {row.reason}\n")
            table.flush()
    counts = {one: sum(row.column == one for row in seen) for one in ("", *COLUMNS)}
    table.write(
        f"{len(seen)} files: {counts.pop('')} pass, {counts.pop(PLAIN)} do not compile plain, "
        f"{', '.join(f'{number} fail at {column}' for column, number in counts.items())}\n"
    )
    return int(any(counts.values()))


if __name__ == "__main__":
    sys.exit(main())

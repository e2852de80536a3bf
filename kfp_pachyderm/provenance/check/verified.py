"""What `verify` returns, as an object and as lines of text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

from kfp_pachyderm.provenance.check.model import Fault, Looked, Unseen
from kfp_pachyderm.provenance.graph.views.wording import plain, size


@dataclass(frozen=True)
class Verified:
    """Whether commits are what their records say.

    Args:
        of: what was asked for: a commit, `project/repo@<ID>`, or a job's or a KFP run's ID.
        commits: a check of the commit, or of each of the run's commits, and with `deep` of all that they were
            made from, nearest first.
    """

    of: str
    commits: tuple[Looked, ...]

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The faults of all commits; empty: all that could be looked at is as recorded."""
        return tuple(fault for one in self.commits for fault in one.faults)

    @property
    def unseen(self) -> tuple[Unseen, ...]:
        """What could not be looked at, of all commits."""
        return tuple(unseen for one in self.commits for unseen in one.unseen)

    @property
    def ok(self) -> bool:
        """Whether there is no fault; what could not be looked at is none."""
        return not self.faults

    def text(self) -> str:
        """Faults, what could not be looked at, and a summary, as lines of text."""
        return "".join(f"{line}\n" for line in _lines(self))

    def _repr_html_(self) -> str:
        return f"<pre>{escape(self.text())}</pre>"

    def as_json(self) -> dict[str, Any]:
        """The same as dicts, lists, texts and numbers, ready for `json.dumps`."""
        return {
            "version": 1,
            "of": self.of,
            "ok": self.ok,
            "faults": [asdict(one) for one in self.faults],
            "unseen": [asdict(one) for one in self.unseen],
            "commits": [
                {
                    "commit": str(one.commit),
                    "step": one.is_step,
                    "inputs": list(map(str, one.inputs)),
                    "files": one.files,
                    "size": one.size,
                    "record_digest": one.digest,
                }
                for one in self.commits
            ],
        }


def _lines(found: Verified) -> Iterator[str]:
    """A line for each fault and for each thing that could not be looked at, and a line with the totals."""
    for fault in found.faults:
        yield f"FAULT {fault.kind}: {fault.commit}: {plain(fault.text)}"
    for unseen in found.unseen:
        yield f"NOT SEEN: {unseen.commit}: {plain(unseen.text)}"
    yield _sum(found)


def _sum(found: Verified) -> str:
    steps = [one for one in found.commits if one.is_step]
    files, bytes_ = sum(one.files for one in steps), sum(one.size for one in steps)
    looked = f"{_count(len(found.commits), 'commit')} looked at, {_count(len(steps), 'record')}"
    compared = f"{looked}, {_count(files, 'file')} ({size(bytes_)}) compared"
    if not found.ok:
        return f"{found.of} is not what {_its(found)}: {_count(len(found.faults), 'fault')}; {compared}"
    return f"{found.of} is what {_its(found)}{_digest(found)}; {compared}"


def _its(found: Verified) -> str:
    return "its record says" if found.of == str(found.commits[0].commit) else "its commits' records say"


def _digest(found: Verified) -> str:
    first = found.commits[0]
    if found.of != str(first.commit) or not first.digest:
        return ""
    return f" (record_digest {first.digest}, as in KFP's artifact)"


def _count(number: int, name: str) -> str:
    return f"{number:,} {name}{'' if number == 1 else 's'}"

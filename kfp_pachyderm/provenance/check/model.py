"""What `verify` found: faults, and what it could not look at."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from html import escape
from typing import Any, Literal

from kfp_pachyderm.pachd.references import Reference

#: What can be wrong:
#: "missing": the commit, or an input of it, is gone; "unfinished": it is open, or it ended with an error;
#: "foreign": no step of ours wrote it; "record": the record is edited, or is not there, or is no record, or
#: does not belong to the commit; "input": it was made from other commits than the record says;
#: "job": its job did not succeed; "file": a file changed, is missing or was added.
Kind = Literal["missing", "unfinished", "foreign", "record", "input", "job", "file"]


@dataclass(frozen=True)
class Fault:
    """Something that is not as the record says.

    Args:
        commit: the commit, `project/repo@<ID>`.
        kind: what is wrong.
        text: the same for people, with names.
    """

    commit: str
    kind: Kind
    text: str


@dataclass(frozen=True)
class Unseen:
    """Something that could not be looked at.

    Args:
        commit: the commit, `project/repo@<ID>`.
        text: what, and why.
    """

    commit: str
    text: str


@dataclass(frozen=True)
class Looked:
    """One commit that was looked at.

    Args:
        commit: the commit.
        is_step: whether a step of ours wrote it; else somebody put data, or somebody's pipeline made it.
        inputs: the commits that it was made from, by its record and by Pachyderm.
        files: how many files were compared.
        size: bytes of them.
        digest: of its record, as KFP's artifact `pachyderm` has it; "".
        faults: what is wrong.
        unseen: what could not be looked at.
    """

    commit: Reference
    is_step: bool = False
    inputs: tuple[Reference, ...] = ()
    files: int = 0
    size: int = 0
    digest: str = ""
    faults: tuple[Fault, ...] = ()
    unseen: tuple[Unseen, ...] = ()


@dataclass(frozen=True)
class Verified:
    """Whether commits are what their records say.

    Args:
        of: what was asked for: a commit, `project/repo@<ID>`, or a job's or a KFP run's ID.
        commits: what was looked at: the commit, or the run's commits, and with `deep` all that they were made
            from, nearest first.
    """

    of: str
    commits: tuple[Looked, ...]

    @property
    def faults(self) -> tuple[Fault, ...]:
        """All that is wrong; empty: everything is as recorded, as far as it could be looked at."""
        return tuple(fault for one in self.commits for fault in one.faults)

    @property
    def unseen(self) -> tuple[Unseen, ...]:
        """What could not be looked at."""
        return tuple(unseen for one in self.commits for unseen in one.unseen)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults

    def text(self) -> str:
        """The same as lines for people."""
        from kfp_pachyderm.provenance.check.text import lines

        return "".join(f"{line}\n" for line in lines(self))

    def _repr_html_(self) -> str:
        return f"<pre>{escape(self.text())}</pre>"

    def as_json(self) -> dict[str, Any]:
        """The same as plain dicts, lists, texts and numbers."""
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

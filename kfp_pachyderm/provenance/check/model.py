"""What `verify` returns: faults, and what it could not look at."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from html import escape
from typing import Any, Literal

from kfp_pachyderm.pachd.references import Reference

#: The kinds of faults:
#: "missing": the commit, or an input of it, is gone; "unfinished": it is open, or it ended with an error;
#: "foreign": no step of kfp-pachyderm made it; "record": the record was edited, is missing, can't be read, or
#: is another commit's; "input": it was made from other commits than the record says;
#: "job": its job did not succeed, or made it by another pipeline version than the record says; "file": a file
#: changed, is missing or was added.
Kind = Literal["missing", "unfinished", "foreign", "record", "input", "job", "file"]


@dataclass(frozen=True)
class Fault:
    """Something that is not as the record says.

    Args:
        commit: the commit, `project/repo@<ID>`.
        kind: the kind of fault.
        text: the fault in words, with the names of files, inputs and commits.
    """

    commit: str
    kind: Kind
    text: str


@dataclass(frozen=True)
class Unseen:
    """Something that could not be looked at.

    Args:
        commit: the commit, `project/repo@<ID>`.
        text: what could not be looked at, and why.
    """

    commit: str
    text: str


@dataclass(frozen=True)
class Looked:
    """The check of one commit.

    Args:
        commit: the commit.
        is_step: whether a step of kfp-pachyderm made it; else it is somebody's data, or another pipeline's.
        inputs: the commits that it was made from, by its record and by Pachyderm.
        files: number of files that were compared.
        size: bytes of these files.
        digest: its record's digest, which KFP's artifact `pachyderm` has, too; "": it has no record.
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
        from kfp_pachyderm.provenance.check.text import lines

        return "".join(f"{line}\n" for line in lines(self))

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

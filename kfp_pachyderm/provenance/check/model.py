"""What `verify` finds out about one commit: faults, and what it could not look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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

"""Compares two commits: inputs, code, parameters, versions, files."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from kfp_pachyderm.errors import AuthenticationError, NotFoundError
from kfp_pachyderm.pachd.commits.file_entry import FileEntry
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.references import Reference
from kfp_pachyderm.provenance.commit_files import files_of
from kfp_pachyderm.provenance.compare.model import Change, FileChange, InputDiff, StepDiff
from kfp_pachyderm.provenance.compare.recorded_commit import Made
from kfp_pachyderm.provenance.kfp_page import shown
from kfp_pachyderm.provenance.record import Code, Source, StepRecord
from kfp_pachyderm.provenance.stored_record import hashed

#: Seconds for the files of one commit.
_WALK = 600.0


class Comparison:
    """Compares commits. Pachyderm is asked only once for the files of each commit.

    Args:
        pachd: the connection.
    """

    def __init__(self, pachd: Pachd) -> None:
        self._pachd = pachd
        self._files: dict[Reference, dict[str, FileEntry]] = {}

    def step(self, before: Made, after: Made) -> StepDiff:
        """What differs between two commits."""
        unseen, old, new = list[str](), before.record, after.record
        both = (old.code, new.code) if old and new else (Code(), Code())
        if before.has_code and after.has_code:
            unseen += _private(*both)
        else:
            unseen.append(f"parameters and command: {_whose_is_missing(before, after)}")
        return StepDiff(
            before.task or after.task,
            str(before.commit),
            str(after.commit),
            tuple(self._inputs(before, after, unseen)),
            tuple(_changed(_component(old), _component(new)) if old and new else ()),
            tuple(_command(*both)),
            tuple(_parameters(*both)),
            tuple(_changed(_versions(old), _versions(new)) if old and new else ()),
            self._file_changes(before.commit, after.commit, "the output", unseen),
            tuple(unseen),
        )

    def _inputs(self, before: Made, after: Made, unseen: list[str]) -> Iterator[InputDiff]:
        for name in dict.fromkeys([*before.inputs, *after.inputs]):
            old, new = before.inputs.get(name), after.inputs.get(name)
            if old == new:
                continue
            files: tuple[FileChange, ...] = ()
            if old and new:
                files = self._file_changes(old, new, f"input {name}", unseen)
            yield InputDiff(name, str(old) if old else None, str(new) if new else None, files)

    def _file_changes(
        self, before: Reference, after: Reference, what: str, unseen: list[str]
    ) -> tuple[FileChange, ...]:
        if before == after:
            return ()
        try:
            return tuple(differences(self._listed(before), self._listed(after)))
        except (NotFoundError, AuthenticationError) as error:
            unseen.append(f"files of {what}: {error}")
            return ()

    def _listed(self, commit: Reference) -> dict[str, FileEntry]:
        if commit not in self._files:
            self._files[commit] = {one.path: one for one in files_of(self._pachd, commit, _WALK)}
        return self._files[commit]


def _changed(before: dict[str, str], after: dict[str, str]) -> list[Change]:
    return [
        Change(name, before.get(name) or None, after.get(name) or None)
        for name in dict.fromkeys([*before, *after])
        if before.get(name, "") != after.get(name, "")
    ]


def _component(record: StepRecord) -> dict[str, str]:
    task, code = record.task, record.code
    return {
        "component": task.component,
        "component digest": task.digest,
        "image": task.image,
        "command": code.command_hash.digest if code.command_hash else "",
    }


def _versions(record: StepRecord) -> dict[str, str]:
    source = record.code.source or Source("")
    dirty = {True: "yes", False: "no", None: ""}[source.dirty]
    return {
        "kfp": record.code.kfp,
        "kfp-pachyderm": record.task.package,
        "git commit": source.commit,
        "git file": source.file,
        "uncommitted changes": dirty,
    }


def _command(before: Code, after: Code) -> list[str]:
    if not (before.command and after.command) or before.command == after.command:
        return []
    old, new = ("\n".join(one.command).splitlines() for one in (before, after))
    return list(difflib.unified_diff(old, new, "before", "after", lineterm="", n=2))


def _parameters(before: Code, after: Code) -> Iterator[Change]:
    # a parameter that is private on one side has no value there to compare with
    private = {*before.private, *after.private}
    old, new = _digests(before), _digests(after)
    for name in sorted((old.keys() | new.keys()) - private):
        if old.get(name) != new.get(name):
            yield Change(name, _shown(before, name), _shown(after, name))


def _digests(code: Code) -> dict[str, str]:
    return {name: hashed(value).digest for name, value in code.parameters.items()}


def _shown(code: Code, name: str) -> str | None:
    return shown(code.parameters[name]) if name in code.parameters else None


def _private(before: Code, after: Code) -> list[str]:
    names = sorted({*before.private, *after.private})
    return [f"parameter {one}: it is private, and not recorded" for one in names]


def _whose_is_missing(before: Made, after: Made) -> str:
    lacking = [str(one.commit) for one in (before, after) if not one.has_code]
    return f"{' and '.join(lacking)} {'has' if len(lacking) == 1 else 'have'} no record of them"


def differences(before: dict[str, FileEntry], after: dict[str, FileEntry]) -> Iterator[FileChange]:
    """The files that differ; both arguments map a path to its file."""
    for path in sorted(before.keys() | after.keys()):
        old, new = before.get(path), after.get(path)
        if old is None and new is not None:
            yield FileChange(path, "added", None, new.size)
        elif new is None and old is not None:
            yield FileChange(path, "removed", old.size, None)
        elif old and new and old != new:
            yield FileChange(path, "changed", old.size, new.size)

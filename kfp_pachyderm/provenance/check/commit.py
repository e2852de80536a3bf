"""Compares one commit with its record.

In Pachyderm the files of a finished commit can't change. `squash` and `drop` can't remove an input of a
commit alone: they remove what was made from it, too (src/server/pfs/server/server_commit.go). Four other
things make a commit differ from its record: `delete repo --force`; an edit of metadata, which any
authenticated user may make (src/server/metadata/metadata.go); a write of others between a step's end and its
record; a database that was restored or damaged.
"""

from __future__ import annotations

from dataclasses import replace

from kfp_pachyderm.errors import AuthenticationError, NotFoundError
from kfp_pachyderm.pachd.commits import commit_facts
from kfp_pachyderm.pachd.commits.commit_facts import CommitFacts
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.jobs import job_facts
from kfp_pachyderm.pachd.jobs.job_facts import JobFacts
from kfp_pachyderm.pachd.references import Reference
from kfp_pachyderm.provenance.check.files import file_faults
from kfp_pachyderm.provenance.check.model import Fault, Kind, Looked, Unseen
from kfp_pachyderm.provenance.commit_files import files_of
from kfp_pachyderm.provenance.record import OPEN, StepRecord
from kfp_pachyderm.provenance.stored_record import Stored, read

#: Seconds for the files of one commit.
_WALK = 600.0


class Check:
    """The check of one commit.

    Args:
        pachd: the connection.
        commit: the commit, by its ID.
        first: whether the user asked for this commit. A step must have made such a commit; a commit behind it
            may be plain data.
    """

    def __init__(self, pachd: Pachd, commit: Reference, first: bool) -> None:
        self._pachd, self._commit, self._first = pachd, commit, first
        self._faults, self._unseen = list[Fault](), list[Unseen]()

    def look(self) -> Looked:
        """Checks the commit. A missing commit is a fault, and a refused one is unseen: neither raises."""
        looked = Looked(self._commit)
        try:
            looked = self._looked(commit_facts.inspect(self._pachd, self._commit))
        except NotFoundError:
            self._fault("missing", "it is gone: dropped, squashed, or deleted with its repo")
        except AuthenticationError as error:
            self._not_seen(f"it may not be looked at: {error}")
        return replace(looked, faults=tuple(self._faults), unseen=tuple(self._unseen))

    def _looked(self, info: CommitFacts) -> Looked:
        if info.error:
            self._fault("unfinished", f"it ended with an error: {info.error}")
        elif not info.finished:
            self._fault("unfinished", "it is still open")
        stored, behind = read(self._commit, info.metadata), info.inputs
        if stored is None:
            self._say_whose(info)
            return Looked(self._commit, inputs=behind)
        if not self._is_record(stored, info):
            return Looked(self._commit, True, behind, digest=stored.actual)
        record = stored.record
        behind = self._ungathered(record, behind)
        self._compare_inputs(record, behind)
        self._look_at_job(record)
        count, size = self._compare_files(record, info)
        inputs = tuple(dict.fromkeys([*record.inputs.values(), *behind]))
        return Looked(self._commit, True, inputs, count, size, stored.actual)

    def _say_whose(self, info: CommitFacts) -> None:
        made = info.by_pipeline or bool(info.inputs)
        who = f"pipeline {self._commit.project}/{self._commit.repo} made it" if made else "somebody put it"
        if self._first:
            self._fault("foreign", f"no step of kfp-pachyderm wrote it, so that it has no record: {who}")
        elif made:
            self._not_seen(f"{who}, which is no step of kfp-pachyderm: it has no record")

    def _is_record(self, stored: Stored, info: CommitFacts) -> bool:
        """Whether there is a record to compare with; adds a fault for everything that is wrong with it."""
        if not stored.actual:
            self._fault("record", "it has no record: that was removed, or an older release wrote none")
            return False
        if stored.is_edited:
            said = f"the digest beside it is {stored.digest}" if stored.digest else "its digest was removed"
            self._fault("record", f"its record was edited: the record's digest is {stored.actual}, {said}")
        if stored.problem:
            self._fault("record", f"its record can't be read: {stored.problem}")
            return False
        record = stored.record
        if record.output != self._commit:
            self._fault("record", f"its record is that of another commit, {record.output}")
        for key, value in record.task.commit_metadata().items():
            if info.metadata.get(key) != value:
                found = info.metadata.get(key, "")
                self._fault("record", f"its metadata say {key} is {found!r}, its record says {value!r}")
        return True

    def _ungathered(self, record: StepRecord, behind: tuple[Reference, ...]) -> tuple[Reference, ...]:
        """The commit's inputs; a gathered commit (`pachd.claims.gathering`) is replaced by its own inputs."""
        known, found = set(record.inputs.values()), list[Reference]()
        for commit in behind:
            inside = () if commit in known else self._gathered(commit)
            found.extend(inside if inside and known.issuperset(inside) else [commit])
        return tuple(dict.fromkeys(found))

    def _gathered(self, commit: Reference) -> tuple[Reference, ...]:
        """The inputs of a gathered commit; empty for a pipeline's commit and for one that can't be seen."""
        try:
            facts = commit_facts.inspect(self._pachd, commit)
        except (NotFoundError, AuthenticationError):
            return ()
        return () if facts.by_pipeline else facts.inputs

    def _compare_inputs(self, record: StepRecord, behind: tuple[Reference, ...]) -> None:
        for name, commit in record.inputs.items():
            if commit not in behind:
                self._say_of_input(name, commit)
        for commit in behind:
            if commit not in record.inputs.values():
                self._fault("input", f"Pachyderm says it was made from {commit}, its record does not")

    def _say_of_input(self, name: str, commit: Reference) -> None:
        try:
            commit_facts.inspect(self._pachd, commit)
        except NotFoundError:
            text = f"its input {name}, {commit}, is gone: dropped, squashed, or deleted with its repo"
            self._fault("missing", text)
        except AuthenticationError as error:
            self._not_seen(f"its input {name}, {commit}, may not be looked at: {error}")
        else:
            self._fault("input", f"its record says that it read {commit} as {name}; Pachyderm does not")

    def _look_at_job(self, record: StepRecord) -> None:
        if not record.job:
            return
        if record.state != "SUCCESS":
            reason = f": {record.reason}" if record.reason else ""
            how = "never said how it ended" if record.state == OPEN else f"ended as {record.state}{reason}"
            self._fault("job", f"its step {record.task.task} {how}")
        try:
            facts = job_facts.inspect(self._pachd, self._commit)
        except NotFoundError:
            self._not_seen("its job is not known any more: the pipeline was deleted, or the job was")
        except AuthenticationError as error:
            self._not_seen(f"its job may not be looked at: {error}")
        else:
            self._compare_job(record, facts)

    def _compare_job(self, record: StepRecord, facts: JobFacts) -> None:
        if facts.state != "SUCCESS":
            reason = f": {facts.reason}" if facts.reason else ""
            self._fault("job", f"its job is {facts.state}{reason}")
        elif record.version not in (0, facts.version):
            by = f"version {facts.version} of the pipeline made it"
            self._fault("job", f"{by}, its record says {record.version}")

    def _compare_files(self, record: StepRecord, info: CommitFacts) -> tuple[int, int]:
        """Compares the files; returns the number of files compared, and their bytes."""
        if record.files is None and record.state == "SUCCESS":
            self._not_seen("its record does not say which files it had: its step might not list them")
        if record.files is None or not info.finished:
            return 0, 0
        try:
            found = files_of(self._pachd, self._commit, _WALK)
        except (AuthenticationError, NotFoundError) as error:
            self._not_seen(f"its files could not be listed: {error}")
            return 0, 0
        for text in file_faults(record.files, found):
            self._fault("file", text)
        return len(found), sum(one.size for one in found)

    def _fault(self, kind: Kind, text: str) -> None:
        self._faults.append(Fault(str(self._commit), kind, text))

    def _not_seen(self, text: str) -> None:
        self._unseen.append(Unseen(str(self._commit), text))

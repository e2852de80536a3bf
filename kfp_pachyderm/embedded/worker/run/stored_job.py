"""What a job's run writes to the store: its state, its datums and their counts, its emptied output."""

from __future__ import annotations

from pachyderm_sdk.api import pps

from kfp_pachyderm.embedded.pps import jobs
from kfp_pachyderm.embedded.pps.jobs import Job
from kfp_pachyderm.embedded.store import commits, repos
from kfp_pachyderm.embedded.store.repos import RepoKey
from kfp_pachyderm.embedded.store.sqlite.database import Database, Txn
from kfp_pachyderm.embedded.worker.datums import Datum
from kfp_pachyderm.embedded.worker.run.interrupts import Ended, Interrupts


class StoredJob:
    """A running job in the store. Each write but `erase` raises `Ended` if the job is terminal or deleted.

    Args:
        database: the store's.
        job: the job.
        interrupts: what interrupts its run.
    """

    def __init__(self, database: Database, job: Job, interrupts: Interrupts) -> None:
        self._database, self._job, self._interrupts = database, job, interrupts

    def set_state(self, state: int) -> None:
        """Gives the job a state that is not terminal."""
        with self._database.write(durable=False) as txn:
            self._current(txn)
            if self._interrupts.stopped:
                raise Ended
            jobs.set_state(txn, self._job, state)

    def finish(self, state: int, reason: str = "") -> None:
        """Ends the job."""
        with self._database.write() as txn:
            self._current(txn)
            jobs.end(txn, self._job, state, reason)

    def count_restart(self) -> None:
        """Counts one more restart."""
        with self._database.write(durable=False) as txn:
            jobs.count(txn, self._job, restart=self._current(txn).restart + 1)

    def erase(self) -> None:
        """Empties the job's open output and meta commit, of the parent's files, too."""
        with self._database.write(durable=False) as txn:
            for type_ in ("user", "meta"):
                repo = repos.get_repo(txn.db, RepoKey(self._job.key.project, self._job.key.pipeline, type_))
                commit = commits.find(txn.db, repo.id, self._job.key.id)
                if commit is not None and commit.finishing is None:
                    commits.clear(txn, commit, base=False)

    def plan(self, planned: list[Datum]) -> None:
        """Replaces the job's datums by these, none of which has run."""
        with self._database.write(durable=False) as txn:
            self._current(txn)
            jobs.count(txn, self._job, total=len(planned), processed=0, failed=0, recovered=0)
            txn.db.execute("DELETE FROM datums WHERE job = ?", (self._job.seq,))
            starting = pps.DatumState.STARTING
            rows = ((self._job.seq, one.id, at, starting, one.stored()) for at, one in enumerate(planned))
            txn.db.executemany("INSERT OR IGNORE INTO datums VALUES (?, ?, ?, ?, ?)", rows)

    def count(self, datum: Datum, state: int, processed: int, recovered: int) -> None:
        """Gives a datum its last state, and counts it.

        Args:
            datum: the datum.
            state: its state.
            processed: how many have ended with it, those left out that recovered before it.
            recovered: how many recovered before it.
        """
        failed = state == pps.DatumState.FAILED
        recovers = state == pps.DatumState.RECOVERED
        with self._database.write(durable=False) as txn:
            self._current(txn)
            query = "UPDATE datums SET state = ? WHERE job = ? AND id = ?"
            txn.db.execute(query, (state, self._job.seq, datum.id))
            good = processed - failed - recovers
            jobs.count(txn, self._job, processed=good, failed=int(failed), recovered=recovered + recovers)

    def _current(self, txn: Txn) -> Job:
        """The job as it is, if it may still be changed (src/internal/ppsutil/util.go, UpdateJobState).

        Raises:
            Ended: the job is terminal or deleted.
        """
        current = jobs.find(txn.db, self._job.key)
        if current is None or current.terminal:
            raise Ended
        return current

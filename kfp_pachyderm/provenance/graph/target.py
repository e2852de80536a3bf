"""What a text means that a lineage is asked of: a commit, a branch, a file, a job, a KFP run."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from kfp_pachyderm.errors import NotFoundError
from kfp_pachyderm.pachd.commits import commit_facts as commits
from kfp_pachyderm.pachd.commits import files
from kfp_pachyderm.pachd.commits.commit_facts import CommitFacts
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.references import Reference, missing, parse
from kfp_pachyderm.provenance.history import of_run

_JOB = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Target:
    """The commits that a text means.

    Args:
        text: the text.
        commits: one, or all that a run or a job has made; pinned.
        file: a path in the commit; "".
        run: the KFP run's ID; "".
        known: what Pachyderm said of the commits on the way.
        told: lines for the user, of repos that could not be looked into.
    """

    text: str
    commits: tuple[Reference, ...]
    file: str = ""
    run: str = ""
    known: dict[Reference, CommitFacts] = field(default_factory=dict)
    told: tuple[str, ...] = ()


def target(pachd: Pachd, text: str, project: str) -> Target:
    """Finds out what is meant.

    Args:
        pachd: the connection.
        text: `[project/]repo@<commit ID or branch>`, with `:/path` of a file behind it or not; a job's ID; a
            KFP run's ID.
        project: where the text names none.

    Raises:
        CommitReferenceError: it is none of these.
        NotFoundError: there is no such commit, file, job or run.
        PachydermError: Pachyderm does not say.
    """
    text = text.strip()
    if "@" in text:
        return _commit_or_file(pachd, text, project)
    if _JOB.fullmatch(text):
        known = _of_job(pachd, text)
        of_it = tuple(one for one in known if one.version == text)
        if of_it:
            return Target(text, of_it, known=known)
    found, told = of_run(pachd, text)
    if found:
        return Target(text, tuple(found), run=text, known=found, told=tuple(told))
    raise NotFoundError("; ".join([_nothing(pachd, text), *told]))


def _nothing(pachd: Pachd, text: str) -> str:
    return (
        f"{pachd.address.url} knows nothing of {text!r}: no commit says that a KFP run of this ID made it, "
        "and no job has it; a run whose steps all came from KFP's cache made none: ask for a commit, which "
        "is each step's output `commit`; write [project/]repo@<commit or branch>[:/file], a job's ID or a "
        "KFP run's ID"
    )


def commit_and_path(text: str, project: str) -> tuple[Reference, str]:
    """The parts of `[project/]repo@<commit or branch>[:/path]`; the path is "" where there is none.

    Raises:
        CommitReferenceError: it is no such text.
    """
    name, colon, path = text.partition(":")
    return parse(name, project), (path if path.startswith("/") else f"/{path}") if colon else ""


def pinned(pachd: Pachd, wanted: Reference) -> CommitFacts:
    """What Pachyderm says of the commit, or of the branch's head as it is.

    Raises:
        NotFoundError: what exactly is missing.
    """
    try:
        return commits.inspect(pachd, wanted)
    except NotFoundError as error:
        raise missing(pachd, wanted) from error


def _commit_or_file(pachd: Pachd, text: str, project: str) -> Target:
    wanted, path = commit_and_path(text, project)
    facts = pinned(pachd, wanted)
    if path:
        files.inspect(pachd, facts.commit, path)
    return Target(text, (facts.commit,), file=path, known={facts.commit: facts})


def _of_job(pachd: Pachd, job: str) -> dict[Reference, CommitFacts]:
    """The users' commits in the commit set of that ID and all that they come from; none: no such set."""
    try:
        return {one.commit: one for one in commits.of_set(pachd, job) if one.repo_type == "user"}
    except NotFoundError:
        return {}

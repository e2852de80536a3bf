"""Finds the commits that a user's text names: a commit, a branch, a file, a job or a KFP run."""

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
    """The commits that a text names.

    Args:
        text: the text.
        commits: one commit, or all that a run or a job has made; by their IDs.
        file: the path of a file in the commit; "": the text names no file.
        run: the KFP run's ID; "": the text names no run.
        known: the commits' facts, as far as Pachyderm has answered them already.
        told: a line for the user for each repo that could not be listed.
    """

    text: str
    commits: tuple[Reference, ...]
    file: str = ""
    run: str = ""
    known: dict[Reference, CommitFacts] = field(default_factory=dict)
    told: tuple[str, ...] = ()


def target(pachd: Pachd, text: str, project: str) -> Target:
    """Finds the commits that a text names.

    Args:
        pachd: the connection.
        text: `[project/]repo@<commit ID or branch>`, which `:/path` of a file may follow; a job's ID; a KFP
            run's ID.
        project: the Pachyderm project where the text names none.

    Raises:
        CommitReferenceError: the text is none of these.
        NotFoundError: there is no such commit, file, job or run.
        PachydermError: Pachyderm refuses or does not answer.
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
        CommitReferenceError: the text has another form.
    """
    name, colon, path = text.partition(":")
    return parse(name, project), (path if path.startswith("/") else f"/{path}") if colon else ""


def pinned(pachd: Pachd, wanted: Reference) -> CommitFacts:
    """The facts of a commit, or of a branch's head even if that is open or has failed.

    Raises:
        NotFoundError: the project, repo, branch or commit is missing; the message says which.
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
    """The commits of user repos in a job's commit set, and their provenance; empty: there is no such set."""
    try:
        return {one.commit: one for one in commits.of_set(pachd, job) if one.repo_type == "user"}
    except NotFoundError:
        return {}

"""What a trigger writes on a commit: who is about to start its run, and the run.

Pachyderm makes all edits of one EditMetadata call or none, in a serializable transaction, and an added
key that is there already fails the call (src/server/metadata/metadata.go, editMetadata;
src/internal/dbutil/tx.go, WithTx). That is all that two triggers need to agree: claims are numbered, and
each number is had by one of them. Only the last one says something; those before are kept, empty, since a
trigger that still knew of none but them could take their numbers again. When the run is known the claims
go.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kfp_pachyderm.errors import AuthenticationError, NotFoundError, PermanentError
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.references import Reference, commit_message, repo_picker
from kfp_pachyderm.pachd.sdk import metadata, pfs

PREFIX = "kfp-pachyderm/trigger/"
_RUN, _CLAIM = "/run", "/claim."


@dataclass(frozen=True)
class Claim:
    """Who is about to start a commit's run.

    Args:
        number: counts the claims of one commit, from 1.
        by: another text in each claim: host, process and a random number.
        lease: seconds after which others may take over, counted from when they saw it first.
        error: why the run was not started; "": it may be about to be.
        over: whether nothing more will come of it: others need not wait.
    """

    number: int
    by: str
    lease: float
    error: str = ""
    over: bool = False

    def text(self) -> str:
        """As it is stored."""
        facts: dict[str, Any] = {"by": self.by, "lease": self.lease}
        if self.error:
            facts |= {"error": self.error, "over": self.over}
        return json.dumps(facts)


@dataclass(frozen=True)
class Marks:
    """What one trigger has written on a commit.

    Args:
        run: the ID of the run that was started; "": none yet.
        last: the number of the last claim; 0: nobody has made one.
        claim: the last claim; None where there is none, or nobody can read it.
    """

    run: str = ""
    last: int = 0
    claim: Claim | None = None


def read(found: Mapping[str, str], trigger: str) -> Marks:
    """The trigger's marks in a commit's metadata."""
    start = PREFIX + trigger + _CLAIM
    numbers = [name.removeprefix(start) for name in found if name.startswith(start)]
    last = max((int(one) for one in numbers if one.isdecimal()), default=0)
    claim = _claim(last, found.get(f"{start}{last}", ""))
    return Marks(found.get(PREFIX + trigger + _RUN, ""), last, claim)


def _claim(number: int, text: str) -> Claim | None:
    try:
        facts = json.loads(text)
        error, over = str(facts.get("error", "")), bool(facts.get("over"))
        return Claim(number, str(facts["by"]), float(facts["lease"]), error, over)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def of(pachd: Pachd, commit: Reference, trigger: str) -> Marks:
    """The trigger's marks on a commit, as they are now."""
    return read(pachd.pfs.inspect_commit(commit=commit_message(commit)).metadata, trigger)


def take(pachd: Pachd, commit: Reference, trigger: str, claim: Claim) -> bool:
    """Makes the claim, unless somebody else has its number or the run is known; whether it was made."""
    add = metadata.EditAddKey(key=_key(trigger, claim.number), value=claim.text())
    # the first two change nothing, and fail where a run is known
    edits = [
        _edit(commit, add_key=metadata.EditAddKey(key=PREFIX + trigger + _RUN)),
        _edit(commit, delete_key=metadata.EditDeleteKey(key=PREFIX + trigger + _RUN)),
        _edit(commit, add_key=add),
    ]
    if claim.number > 1:
        emptied = metadata.EditEditKey(key=_key(trigger, claim.number - 1), value="")
        edits.append(_edit(commit, edit_key=emptied))
    if made(pachd, edits):
        return True
    # the call is repeated when its answer is lost: it may be our own that is there
    found = of(pachd, commit, trigger)
    return found.claim is not None and found.claim.by == claim.by


def fail(pachd: Pachd, commit: Reference, trigger: str, claim: Claim) -> None:
    """Writes into a claim why it came to nothing."""
    edit = metadata.EditEditKey(key=_key(trigger, claim.number), value=claim.text())
    pachd.metadata.edit_metadata(edits=[_edit(commit, edit_key=edit)])


def record(pachd: Pachd, commit: Reference, trigger: str, run: str, last: int) -> str:
    """Says that this is the run of the commit, and removes the claims.

    Args:
        pachd: the connection.
        commit: the commit.
        trigger: the trigger's name.
        run: the run's ID.
        last: the number of the last claim that is known of.

    Returns:
        The ID of the run that the commit has now: that of another one, if another one was recorded before.
    """
    add = metadata.EditAddKey(key=PREFIX + trigger + _RUN, value=run)
    gone = [metadata.EditDeleteKey(key=_key(trigger, number)) for number in range(1, last + 1)]
    edits = [_edit(commit, add_key=add), *(_edit(commit, delete_key=one) for one in gone)]
    return run if made(pachd, edits) else of(pachd, commit, trigger).run


def made(pachd: Pachd, edits: list[metadata.Edit]) -> bool:
    """Whether the edits were made; False: a key was there already."""
    try:
        pachd.metadata.edit_metadata(edits=edits)
    except (NotFoundError, AuthenticationError):
        raise
    except PermanentError as error:
        if "already exists" not in str(error):
            raise
        return False
    return True


def _key(trigger: str, number: int) -> str:
    return f"{PREFIX}{trigger}{_CLAIM}{number}"


def _edit(commit: Reference, **operation: Any) -> metadata.Edit:
    repo = repo_picker(commit.project, commit.repo)
    picker = pfs.CommitPicker(id=pfs.CommitPickerCommitByGlobalId(repo=repo, id=commit.version))
    return metadata.Edit(commit=picker, **operation)

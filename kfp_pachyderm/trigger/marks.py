"""What a trigger writes into a commit's metadata: claims, which say who is about to start a run, and the run.

Pachyderm makes all edits of one EditMetadata call or none, in a serializable transaction. The call fails if
it adds a key that exists already (src/server/metadata/metadata.go, editMetadata; src/internal/dbutil/tx.go,
WithTx). So two triggers can agree: claims are numbered, and one trigger only can add the key of a number. The
last claim holds text. The claims before it stay as empty keys: without them, a trigger that has read an older
state could add the key of an old number again. All claims are deleted when the run is recorded.
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
    """A trigger process's claim to start the run of a commit.

    Args:
        number: the claim's number; the claims of one commit count from 1.
        by: the claim's owner: host, process ID and a random text, unique for each claim.
        lease: seconds after which another process may make the next claim, counted from when that process
            first saw this one.
        error: why the run was not started; "": the owner may still start it.
        over: whether the owner will surely start no run, so that others need not wait.
    """

    number: int
    by: str
    lease: float
    error: str = ""
    over: bool = False

    def text(self) -> str:
        """Returns the claim as the JSON that is stored."""
        facts: dict[str, Any] = {"by": self.by, "lease": self.lease}
        if self.error:
            facts |= {"error": self.error, "over": self.over}
        return json.dumps(facts)


@dataclass(frozen=True)
class Marks:
    """What one trigger has written into a commit's metadata.

    Args:
        run: the ID of the run that was started; "": none is recorded.
        last: the number of the last claim; 0: there is no claim.
        claim: the last claim; None: there is none, or its text can't be read.
    """

    run: str = ""
    last: int = 0
    claim: Claim | None = None


def read(found: Mapping[str, str], trigger: str) -> Marks:
    """Reads the trigger's marks in a commit's metadata."""
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
    """Asks Pachyderm for the commit, and reads the trigger's marks in its metadata."""
    return read(pachd.pfs.inspect_commit(commit=commit_message(commit)).metadata, trigger)


def take(pachd: Pachd, commit: Reference, trigger: str, claim: Claim) -> bool:
    """Makes the claim unless its number is taken or the run is recorded; returns whether it was made."""
    add = metadata.EditAddKey(key=_key(trigger, claim.number), value=claim.text())
    # The first two edits together change nothing. They make the call fail if a run is recorded.
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
    # The call is repeated when its answer is lost, so the claim that exists may be this process's own.
    found = of(pachd, commit, trigger)
    return found.claim is not None and found.claim.by == claim.by


def fail(pachd: Pachd, commit: Reference, trigger: str, claim: Claim) -> None:
    """Writes into a claim why it started no run."""
    edit = metadata.EditEditKey(key=_key(trigger, claim.number), value=claim.text())
    pachd.metadata.edit_metadata(edits=[_edit(commit, edit_key=edit)])


def record(pachd: Pachd, commit: Reference, trigger: str, run: str, last: int) -> str:
    """Records the run of the commit, and deletes the claims.

    Args:
        pachd: the connection.
        commit: the commit.
        trigger: the trigger's name.
        run: the run's ID.
        last: the number of the last claim that the caller knows.

    Returns:
        The ID of the run that is recorded now; another one's if that was recorded before.
    """
    add = metadata.EditAddKey(key=PREFIX + trigger + _RUN, value=run)
    gone = [metadata.EditDeleteKey(key=_key(trigger, number)) for number in range(1, last + 1)]
    edits = [_edit(commit, add_key=add), *(_edit(commit, delete_key=one) for one in gone)]
    return run if made(pachd, edits) else of(pachd, commit, trigger).run


def made(pachd: Pachd, edits: list[metadata.Edit]) -> bool:
    """Makes the edits; returns False if a key that they add exists already, and nothing was changed."""
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

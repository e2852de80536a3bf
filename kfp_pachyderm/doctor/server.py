"""Checks of pachd itself: TLS, version, token, permissions, clock."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from kfp_pachyderm.doctor.case import Case
from kfp_pachyderm.doctor.finding import Finding, error, not_looked, ok, warning
from kfp_pachyderm.errors import AuthenticationError, NotFoundError, PachydermError
from kfp_pachyderm.pachd.references import Reference, repo_message
from kfp_pachyderm.pachd.sdk import auth, pfs, transaction

#: The release of Pachyderm that kfp-pachyderm is tested with.
_TESTED = (2, 12)
#: Seconds before a token's end from which on the check warns.
_SOON = 7 * 86400
#: Seconds by which the two clocks may differ without a warning, and seconds up to which Pachyderm's S3
#: gateway accepts signatures (15 minutes).
_CLOCK, _SIGNATURE = 60.0, 900.0
#: The permissions that a step needs on an input repo, and on its own project (docs/connection.md).
_READS = (
    "REPO_INSPECT_COMMIT",
    "REPO_READ",
    "REPO_LIST_FILE",
    "REPO_CREATE_BRANCH",
    "REPO_ADD_PIPELINE_READER",
)
_MAKES = ("PROJECT_CREATE_REPO",)


def tls(case: Case) -> Finding:
    """Tells whether the connection to pachd is encrypted; without a trusted certificate there is none."""
    if case.where.tls:
        return ok("tls", "the certificate is trusted")
    if case.where.token and not case.where.dialled:
        return warning(
            "tls",
            "no TLS: whoever sees the network between here and pachd sees the token",
            "give pachd a certificate and write grpcs://; inside of a cluster its network may do",
        )
    return ok("tls", "no TLS")


def version(case: Case) -> Finding:
    """Checks that steps work with this release of Pachyderm."""
    found = case.version
    if found is None:
        return not_looked("version", "pachd does not say it")
    text = f"Pachyderm {found.major}.{found.minor}.{found.micro}{found.additional}"
    if (found.major, found.minor) == _TESTED:
        return ok("version", text)
    if (found.major, found.minor) > _TESTED and found.major == _TESTED[0]:
        return warning("version", f"{text} is newer than 2.12, which steps were tried with", "try it: --run")
    return error("version", f"{text}; steps need 2.12", "another Pachyderm")


def token(case: Case) -> Finding:
    """Checks that pachd accepts the token, and that the token does not end soon."""
    me = case.me
    if me is None:
        return ok("token", "auth is off")
    if isinstance(me, AuthenticationError):
        said = "the token is refused" if case.where.token else "auth is on, and there is no token"
        repair = "set KFP_PACHYDERM_TOKEN, in a namespace the Secret kfp-pachyderm (docs/connection.md)"
        return error("token", f"{said}: {me}", repair)
    if isinstance(me, PachydermError):
        return not_looked("token", str(me))
    left = me.expiration.timestamp() - time.time() if me.expiration else 0.0
    if 0 < left < _SOON:
        repair = "get another: pachctl auth get-robot-token <robot>"
        return warning("token", f"{me.username}'s token ends in {left / 3600:.0f} h", repair)
    return ok("token", f"auth is on, and this is {me.username}")


def rights(case: Case) -> list[Finding]:
    """Checks the token's permissions on the project and on each repo."""
    return [_project(case), *(_repo(case, one) for one in case.repos)]


def _project(case: Case) -> Finding:
    check = f"project {case.project}"
    try:
        case.pachd.pfs.inspect_project(project=pfs.Project(name=case.project))
    except NotFoundError:
        return ok(check, "is not there; the first step makes it")
    kind = auth.ResourceType.PROJECT
    missing = _missing(case, kind, case.project, _MAKES)
    if missing:
        repair = f"pachctl auth set project {case.project} projectWriter <principal>"
        return warning(check, f"a step's first run needs {missing} there", repair)
    return ok(check, "steps may make their pipelines there")


def _repo(case: Case, one: Reference) -> Finding:
    check = f"repo {one.project}/{one.repo}"
    try:
        case.pachd.pfs.inspect_repo(repo=repo_message(one.project, one.repo))
    except NotFoundError:
        return error(
            check, "there is no such repo", f"pachctl create repo {one.repo} --project {one.project}"
        )
    missing = _missing(case, auth.ResourceType.REPO, f"{one.project}/{one.repo}", _READS)
    if missing:
        repair = f"pachctl auth set repo {one.repo} repoWriter <principal> --project {one.project}"
        return error(check, f"the token lacks {missing}", repair)
    return ok(check, "steps may read it")


def _missing(case: Case, kind: auth.ResourceType, name: str, needed: tuple[str, ...]) -> str:
    if case.me is None:
        return ""
    resource = auth.Resource(type=kind, name=name)
    found = case.pachd.auth.get_permissions(resource=resource).permissions
    return " ".join(one for one in needed if auth.Permission[one] not in found)


def clock(case: Case) -> Finding:
    """Compares pachd's clock with this machine's, by the start time of a transaction that it deletes."""
    before = datetime.now(UTC)
    opened = transaction.Transaction(id=case.pachd.transactions.start_transaction().id)
    try:
        took = datetime.now(UTC) - before
        started = case.pachd.transactions.inspect_transaction(transaction=opened).started
    finally:
        case.pachd.transactions.delete_transaction(transaction=opened)
    apart = abs((started - before - took / 2).total_seconds()) - took.total_seconds() / 2
    if apart < _CLOCK:
        return ok("clock", "pachd's clock and this one agree")
    repair = "set the clocks by NTP"
    if apart < _SIGNATURE:
        return warning("clock", f"pachd's clock is {apart:.0f} s from this one", repair)
    text = f'pachd\'s clock is {apart:.0f} s from this one: gateway="direct" is refused (15 minutes)'
    return error("clock", text, repair)

"""Makes all checks in their order, and formats their findings."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from kfp_pachyderm.doctor import place, server, steps, trial, worker
from kfp_pachyderm.doctor.case import Case
from kfp_pachyderm.doctor.finding import Finding, error, not_looked
from kfp_pachyderm.errors import PachydermError
from kfp_pachyderm.pachd.connection.address import Address
from kfp_pachyderm.pachd.connection.client import connect
from kfp_pachyderm.pachd.references import Reference

_SIGNS = {"ok": "ok     ", "warning": "warning", "error": "ERROR  "}
#: The checks that need a token which pachd accepts.
_INSIDE = ("project", "clock", "sidecar memory", "pipelines", "leftovers", "job's name", "worker's ports")


def examine(
    where: Address,
    source: str,
    env: Mapping[str, str],
    project: str,
    repos: tuple[Reference, ...],
    run: float = 0.0,
    timeout: float = 10.0,
) -> Iterator[Finding]:
    """Checks everything that a step run from here needs; yields each finding when it is there.

    Args:
        where: pachd's address.
        source: where the address comes from, for people.
        env: the environment that steps would have.
        project: the Pachyderm project of the steps.
        repos: the repos that the steps read.
        run: seconds for a trial job; 0: no job is made.
        timeout: seconds within which pachd must answer.
    """
    yield place.address(where, source, env)
    yield place.master_gateway(where, env)
    yield place.image(env)
    try:
        pachd = connect(where, timeout)
    except PachydermError as problem:
        yield from _unreachable(problem)
        return
    with pachd:
        yield from _asked(Case(where, pachd, env, project, repos).learned(), run)


def no_way(problem: PachydermError) -> Iterator[Finding]:
    """Yields the findings for an address that can't be read or forwarded to: no check can be made."""
    yield error(
        "address", str(problem), "give it by --address or KFP_PACHYDERM_ADDRESS; --port-forward by KUBECONFIG"
    )
    every = ("port 1650", "tls", "version", "token", *_INSIDE)
    yield from (not_looked(one, "there is no way to Pachyderm") for one in every)


def _unreachable(problem: PachydermError) -> Iterator[Finding]:
    check = {"CertificateError": "tls", "AuthenticationError": "token"}.get(
        type(problem).__name__, "port 1650"
    )
    yield error(check, str(problem), "is the address right, and Pachyderm up? From outside: --port-forward")
    yield from (not_looked(one, "Pachyderm does not answer") for one in ("version", "token", *_INSIDE))


def _asked(case: Case, run: float) -> Iterator[Finding]:
    yield worker.pachd_port(case)
    yield server.tls(case)
    yield server.version(case)
    yield server.token(case)
    if case.is_shut:
        yield from (not_looked(one, "Pachyderm lets nobody in without a good token") for one in _INSIDE)
        return
    yield from _safely("project", lambda: server.rights(case))
    yield from _safely("clock", lambda: [server.clock(case)])
    yield from _safely("sidecar memory", lambda: [steps.memory(case)])
    yield from _safely("pipelines", lambda: [steps.health(case)])
    yield from _safely("leftovers", lambda: steps.leftovers(case))
    yield from _safely("job", lambda: _job(case, run))


def _job(case: Case, run: float) -> list[Finding]:
    if run:
        way, ended = trial.run(case, run)
        if way:
            return [*way, *ended]
        return [worker.job_name(case), *worker.ports(case), *ended]
    case = replace(case, job=steps.running(case))
    return [worker.job_name(case), *worker.ports(case)]


def _safely(check: str, look: Callable[[], list[Finding]]) -> Iterator[Finding]:
    """Yields the check's findings, or one that says why pachd did not let it look; the other checks go on."""
    try:
        yield from look()
    except PachydermError as problem:
        yield not_looked(check, str(problem))


def line(finding: Finding) -> str:
    """Formats a finding as text for people."""
    repair = f"\n         → {finding.repair}" if finding.repair else ""
    return f"{_SIGNS[finding.state]}  {finding.check}: {finding.text}{repair}"


def as_json(findings: list[Finding]) -> str:
    """Formats all findings as JSON: {"state": the worst, "findings": [...]}."""
    return json.dumps({"state": worst(findings), "findings": [one.json() for one in findings]}, indent=2)


def worst(findings: list[Finding]) -> str:
    """Returns the worst state of all findings: "ok", "warning" or "error"."""
    states = {one.state for one in findings}
    return next(one for one in ("error", "warning", "ok") if one in states or one == "ok")

"""Checks of a job's name in DNS and of its worker's ports."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from urllib.parse import urlsplit

from kfp_pachyderm.doctor.case import Case
from kfp_pachyderm.doctor.finding import Finding, error, not_looked, ok, warning
from kfp_pachyderm.doctor.place import names_namespace
from kfp_pachyderm.errors import PachydermError
from kfp_pachyderm.pachd.jobs.locator import Places, locate, service_name

_TIMEOUT = 5.0
#: Seconds to wait for a port-forward to reset a connection, which it does when the port is closed.
_RESET = 2.0
#: Port → its name for people, and what a step lacks if it is closed.
_PORTS = {
    "holder": ("8080, the holder", "every step needs it"),
    "sidecar_grpc": ("1653, the sidecar's PFS", "steps fall back to 1600, a second and more for each object"),
    "sidecar_s3": ("1600, the sidecar's S3", 'gateway="direct" needs it'),
}
_NO_JOB = "no step's job runs now, and a name that is asked for too early stays unknown for half a minute"


def pachd_port(case: Case) -> Finding:
    """Tells the port at which pachd has answered."""
    through = f" (by {case.where.dialled})" if case.where.dialled else ""
    return ok("port 1650", f"pachd answers at {urlsplit(case.where.url).netloc}{through}, its own port 1650")


def job_name(case: Case) -> Finding:
    """Checks that DNS resolves the name of a job's service from here."""
    check = "job's name"
    if case.where.dialled:
        return ok(check, "outside of the cluster, by a port-forward: no DNS is needed")
    if case.job is None:
        if _is_outside(case):
            return _outside(check, case)
        return not_looked(check, _NO_JOB, "add --run")
    try:
        host = urlsplit(locate(case.pachd, case.job).holder).hostname or ""
        socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (PachydermError, OSError) as problem:
        return _outside(check, case) if _is_outside(case) else _unknown(check, case, problem)
    return ok(check, f"{service_name(case.job)}: {host} is known here")


def _is_outside(case: Case) -> bool:
    return "KUBERNETES_SERVICE_HOST" not in os.environ and not case.is_embedded


def _outside(check: str, case: Case) -> Finding:
    repair = f"--port-forward; in Python local.init(address={case.where.url!r}, port_forward=True)"
    return error(check, "this is outside of the cluster, where jobs have no name", repair)


def _unknown(check: str, case: Case, problem: Exception) -> Finding:
    repair = "write pachd's address as <service>.<namespace>, and look at the cluster's DNS"
    if names_namespace(case.where):
        repair = "look at the cluster's DNS, and at network policies for port 53"
    return error(check, f"{problem}", repair)


def ports(case: Case) -> list[Finding]:
    """Checks that the ports of a job's worker are open from here."""
    if case.job is None:
        return [not_looked(f"port {name}", _NO_JOB, "add --run") for name, _ in _PORTS.values()]
    try:
        places = locate(case.pachd, case.job)
    except PachydermError as problem:
        return [not_looked(f"port {name}", str(problem)) for name, _ in _PORTS.values()]
    return [_port(places, which, bool(case.where.dialled)) for which in _PORTS]


def _port(places: Places, which: str, forwarded: bool) -> Finding:
    name, use = _PORTS[which]
    where = urlsplit(getattr(places, which))
    problem = _closed(where.hostname or "", where.port or 0, forwarded)
    if problem is None:
        return ok(f"port {name}", f"{where.netloc} is open")
    repair = "let steps reach the workers: manifests/steps and manifests/pachyderm (docs/cluster.md)"
    say = error if which == "holder" else warning
    return say(f"port {name}", f"{where.netloc} is closed from here ({problem}); {use}", repair)


def _closed(host: str, port: int, forwarded: bool) -> OSError | None:
    """Returns why the port is closed; None: it is open.

    It tries again for some seconds: a holder begins to listen a moment after its datum has started.
    """
    until = time.monotonic() + _TIMEOUT
    while True:
        try:
            with socket.create_connection((host, port), _TIMEOUT) as connection:
                if forwarded:
                    _wait_for_reset(connection)
            return None
        except OSError as problem:
            if time.monotonic() >= until:
                return problem
        time.sleep(0.1)


def _wait_for_reset(connection: socket.socket) -> None:
    """Waits for a reset: a port-forward accepts each connection, then resets it if the port is closed."""
    connection.settimeout(_RESET)
    with suppress(TimeoutError):
        if not connection.recv(1):
            raise ConnectionResetError("closed by the other side")

"""Where the child's S3 is: the adapter on 127.0.0.1, or the job's sidecar itself."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from kfp_pachyderm.adapter.config import AdapterConfig
from kfp_pachyderm.errors import HolderReplacedError, MasterGatewayError
from kfp_pachyderm.launcher.claim.open_job import Opened
from kfp_pachyderm.launcher.step_log import say
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.jobs.locator import Places, service_name
from kfp_pachyderm.pachd.references import Reference

if TYPE_CHECKING:
    from kfp_pachyderm.adapter.control.process import AdapterProcess

#: Seconds for the adapter to answer a call that needs no Pachyderm.
_ANSWER = 30.0


class Gateway(Protocol):
    """The child's S3 endpoint."""

    endpoint: str
    access_key: str
    secret_key: str
    objects: int | None

    def open(self) -> None:
        """Is called before the user's command begins."""

    def close(self) -> None:
        """Is called after the command has ended, and before the delivery."""

    def deliver(self, again: bool, timeout: float) -> None:
        """Brings all written objects into the output commit; `again`: a new holder has an empty one."""


class DirectGateway:
    """The sidecar's own S3: what was written is in the commit at once, and gone when the job restarts."""

    objects: int | None = None

    def __init__(self, endpoint: str, token: str) -> None:
        self.endpoint = endpoint
        self.access_key = self.secret_key = token or "default"

    def open(self) -> None:
        """Does nothing: Pachyderm serves the endpoint."""

    def close(self) -> None:
        """Does nothing: Pachyderm serves the endpoint until the job ends."""

    def deliver(self, again: bool, timeout: float) -> None:
        """Sends nothing; raises `HolderReplacedError` when a restart erased the output."""
        if again:
            raise HolderReplacedError(
                "Pachyderm started the job again and erased what was written; run the step again, or use "
                'gateway="adapter", which sends it again by itself'
            )


class AdapterGateway:
    """The adapter: keeps what the child writes and sends it as one stream, as often as needed.

    Args:
        process: the adapter's process.
        config: what it serves.
        timeout: seconds for its answer.
        share: the step's own address, where other hosts reach it while the command runs; "": they don't.
    """

    def __init__(
        self, process: AdapterProcess, config: AdapterConfig, timeout: float, share: str = ""
    ) -> None:
        self._process, self._share, self._writes = process, share, config.output is not None
        self.access_key, self.secret_key = config.access_key, config.secret_key
        self.endpoint = process.configure(config, time.monotonic() + timeout)
        self.objects: int | None = None

    def open(self) -> None:
        """Shares the endpoint, if it is to be shared."""
        if self._share:
            self.endpoint = self._process.share(self._share, time.monotonic() + _ANSWER)
            say(f"the S3 endpoint {self.endpoint} is shared: whoever has the step's keys may use it")

    def close(self) -> None:
        """Ends the sharing."""
        if self._share:
            self._process.unshare(time.monotonic() + _ANSWER)

    def deliver(self, again: bool, timeout: float) -> None:
        """Sends what is not sent yet, or everything again to a new sidecar; verified."""
        from kfp_pachyderm.launcher.progress import Delivery

        with Delivery() as delivery:
            flush = self._process.resend if again else self._process.flush
            sent = flush(timeout, delivery.told)
            self.objects = sent.objects
            if self._writes:
                delivery.done(sent, again)


def start_adapter(
    process: AdapterProcess,
    pachd: Pachd,
    opened: Opened,
    places: Places,
    token: str,
    spool: Path,
    timeout: float,
) -> AdapterGateway:
    """Configures the started adapter for the job."""
    spool.mkdir(mode=0o700)
    buckets = {one.name: one.commit for one in opened.plan.inputs if one.s3}
    output = opened.job.output
    config = AdapterConfig(
        sidecar=places.sidecar_grpc,
        sidecar_s3=places.sidecar_s3,
        pachd=pachd.address.url,
        token=token,
        inputs={name: (commit.project, commit.repo, commit.version) for name, commit in buckets.items()},
        output=(output.project, output.repo, output.version) if opened.config.s3_out else None,
        aliases=_aliases(opened),
        access_key=os.urandom(10).hex().upper(),
        secret_key=os.urandom(20).hex(),
        spool=str(spool),
        spool_limit=process.spool_limit,
        authority=(pachd.address.ca or b"").decode(),
        verify=opened.config.verify,
        encoded=_encoded(opened, buckets),
        share=opened.config.share,
    )
    return AdapterGateway(process, config, timeout, _own_address(pachd) if config.share else "")


def _own_address(pachd: Pachd) -> str:
    from kfp_pachyderm.launcher.gateway.own_address import own_address

    parts = urlsplit(f"//{pachd.address.target}")
    return own_address(parts.hostname or "", parts.port or 0)


def _encoded(opened: Opened, buckets: dict[str, Reference]) -> tuple[str, ...]:
    """The buckets whose keys are encoded in Pachyderm."""
    inputs = [name for name, commit in buckets.items() if commit.encoding]
    return (*inputs, *(["out"] if opened.config.keys == "encode" else []))


def _aliases(opened: Opened) -> dict[str, str]:
    """The documented names, `s3://<input repo>` and `s3://<output repo>`, where they are not taken."""
    buckets = [one for one in reversed(opened.sources) if one.config.s3]
    taken = {one.config.name for one in buckets} | {"out"}
    # The commit may be in a sibling's repo (`edges-2`), while the author wrote `edges`: both names count.
    aliases = {one.config.repo: one.config.name for one in buckets}
    aliases |= {one.commits[0].repo: one.config.name for one in buckets if not one.config.many}
    if opened.config.s3_out:
        aliases[opened.plan.sibling_of or opened.job.pipeline] = "out"
        aliases[opened.job.pipeline] = "out"
    return {alias: name for alias, name in aliases.items() if alias not in taken}


def sidecar_endpoint(pachd: Pachd, opened: Opened, places: Places) -> str:
    """The sidecar's S3 endpoint.

    Raises:
        MasterGatewayError: the endpoint is not the job's own.
    """
    host = urlsplit(places.sidecar_s3).hostname or ""
    # The embedded Pachyderm has no service for each job: there the host is that of the job's holder.
    beside_holder = host == urlsplit(places.holder).hostname
    local = host in ("127.0.0.1", "localhost", "::1")
    if not (host.split(".")[0] == service_name(opened.job) or local or beside_holder):
        raise MasterGatewayError(
            f"{places.sidecar_s3} is not the S3 endpoint of job {opened.job.id} but perhaps that of all of "
            f"Pachyderm ({pachd.address.url}): work done there has no provenance"
        )
    return places.sidecar_s3

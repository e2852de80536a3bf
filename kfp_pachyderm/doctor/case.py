"""What the checks look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from kfp_pachyderm.errors import AuthenticationError, PachydermError, ProtocolError
from kfp_pachyderm.pachd.connection.address import Address
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.jobs.claimed_job import ClaimedJob
from kfp_pachyderm.pachd.references import Reference
from kfp_pachyderm.pachd.sdk import auth, version


@dataclass(frozen=True)
class Case:
    """A Pachyderm that answers, and what steps want of it.

    Args:
        where: its address.
        pachd: the connection.
        env: the environment that steps would have.
        project: the steps' project.
        repos: the repos that they read, each with a branch.
        version: of pachd; None where it does not say.
        me: who we are there; None with auth off, the refusal where the token is none or not good, any other
            error where pachd does not say.
        job: a job of a step whose user code runs now; None: there is none.
    """

    where: Address
    pachd: Pachd
    env: Mapping[str, str]
    project: str
    repos: tuple[Reference, ...]
    version: version.Version | None = None
    me: auth.WhoAmIResponse | PachydermError | None = None
    job: ClaimedJob | None = None

    @property
    def is_shut(self) -> bool:
        """Whether pachd does not let us in."""
        return isinstance(self.me, AuthenticationError)

    @property
    def is_embedded(self) -> bool:
        """Whether it is the embedded Pachyderm, whose jobs are reached where it is."""
        return self.version is not None and "embedded" in self.version.additional

    def learned(self) -> Case:
        """The same with what pachd says of itself and of us."""
        try:
            release = self.pachd.version.get_version()
        except PachydermError:
            release = None
        return replace(self, version=release, me=_me(self.pachd))


def _me(pachd: Pachd) -> auth.WhoAmIResponse | PachydermError | None:
    try:
        return pachd.auth.who_am_i()
    except ProtocolError:
        return None  # auth is off
    except PachydermError as error:
        return error

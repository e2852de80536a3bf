"""`Case`: the Pachyderm that the checks examine, and what steps need of it."""

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
    """A Pachyderm that answers, and what steps need of it.

    Args:
        where: pachd's address.
        pachd: the connection.
        env: the environment that steps would have.
        project: the Pachyderm project of the steps.
        repos: the repos that the steps read, each with a branch.
        version: pachd's version; None where pachd does not tell it.
        me: pachd's answer to WhoAmI; None with auth off; AuthenticationError where the token is missing or
            refused; any other error where pachd does not answer the call.
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
        """Whether pachd refuses the token."""
        return isinstance(self.me, AuthenticationError)

    @property
    def is_embedded(self) -> bool:
        """Whether it is the embedded Pachyderm, whose jobs listen on pachd's own host."""
        return self.version is not None and "embedded" in self.version.additional

    def learned(self) -> Case:
        """Asks pachd for its version and for the token's principal; returns the case with both."""
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

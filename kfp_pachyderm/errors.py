"""Every error of kfp-pachyderm, one tree; docs/errors.md says for each the cause and the way out.

PachydermError
├── PermanentError                    trying again changes nothing
│   ├── SpecError (ValueError)        a rule of Pachyderm's, seen when the component is built
│   │   ├── GlobError                 an S3 input's glob is not "/"
│   │   ├── InputNestingError         an S3 input inside join, union or group
│   │   ├── BucketNameError           a bucket name that S3 clients refuse
│   │   ├── InputNameError            an input named like one of the component's own parameters
│   │   ├── OutputNameError           the component already has an output `commit` or `pachyderm`
│   │   └── LiteralSecretError        a token or certificate written into the code
│   ├── NotFoundError
│   │   ├── RepoNotFoundError
│   │   ├── BranchNotFoundError
│   │   └── CommitNotFoundError
│   ├── CommitReferenceError          a commit reference that can't be read
│   ├── CommitFailedError             the commit, or every commit of the branch, ended with an error
│   ├── EmptyInputError               Pachyderm would run no user code and succeed
│   ├── MergeError                    two commits of a merged input hold the same key
│   ├── PipelineNotOwnedError         a pipeline of the same name that is not ours, or another step's
│   ├── MasterGatewayError            an endpoint whose use leaves no provenance
│   ├── AuthenticationError           no token, a wrong one, or one without the right
│   ├── CertificateError              TLS: what the other side shows is not trusted
│   ├── ProtocolError                 an answer that is not what the protocol says
│   ├── UnknownAnswerError            an answer that is in no table; waits bear it for a while
│   ├── StoreError                    the embedded Pachyderm's data folder can't be used
│   └── JobFailedError                the job ended in FAILURE, KILLED or UNRUNNABLE
└── TemporaryError                    may pass; tried again until a deadline
    ├── PachydermUnreachableError     nobody answers at the address
    ├── CommitNotFinishedError        a commit stayed open until the deadline
    ├── AttachError                   the holder could not be reached, or is taken
    ├── JobLostError                  the job ended before user code began, and not by the user's doing
    ├── LeaseLostError                the holder gave the lease up
    ├── HolderReplacedError           a new holder instance: what was written is gone
    ├── KfpApiError                   KFP's API server does not answer, or refuses a request
    └── WriteBackError                the output commit did not take what the step wrote
"""

from __future__ import annotations

import time


class PachydermError(Exception):
    """Root of every error that kfp-pachyderm raises."""


class PermanentError(PachydermError):
    """Trying again changes nothing: the input, the code or the cluster's state has to change."""


class TemporaryError(PachydermError):
    """May pass by itself: tried again until the caller's deadline, then raised."""


class SpecError(PermanentError, ValueError):
    """A rule of Pachyderm's for S3-enabled pipelines is broken; seen before anything is created."""


class GlobError(SpecError):
    """An S3 input's glob is not "/"."""


class InputNestingError(SpecError):
    """An S3 input stands inside a join, union or group."""


class BucketNameError(SpecError):
    """A bucket name that S3 clients refuse."""


class InputNameError(SpecError):
    """An input is named like one of the component's own parameters, or like another input."""


class OutputNameError(SpecError):
    """The component already has an output that kfp-pachyderm adds."""


class LiteralSecretError(SpecError):
    """A token or certificate is written into the code instead of being named by reference."""


class NotFoundError(PermanentError):
    """Something that the step names does not exist in Pachyderm."""


class RepoNotFoundError(NotFoundError):
    """The input's repo does not exist."""


class BranchNotFoundError(NotFoundError):
    """The input's branch does not exist."""


class CommitNotFoundError(NotFoundError):
    """The input's commit does not exist."""


class CommitReferenceError(PermanentError, ValueError):
    """A text that is no commit reference."""


class CommitFailedError(PermanentError):
    """The commit, or every commit of the branch, ended with an error."""


class EmptyInputError(PermanentError):
    """An input commit has no files: Pachyderm would run no user code and report success."""


class MergeError(PermanentError):
    """Two commits of an input that is merged into one bucket hold the same key."""


class PipelineNotOwnedError(PermanentError):
    """A pipeline, repo or claim branch of the step's name exists and is not the step's own.

    Either kfp-pachyderm did not make it, or another KFP pipeline or component uses it.
    """


class MasterGatewayError(PermanentError):
    """The endpoint is Pachyderm's master S3 gateway: work done there has no provenance."""


class AuthenticationError(PermanentError):
    """No token, a wrong token, or a principal without the needed role."""


class CertificateError(PermanentError):
    """The address has no certificate that the certificate authority vouches for."""


class ProtocolError(PermanentError):
    """An answer does not follow the protocol that both sides should speak."""


class UnknownAnswerError(PermanentError):
    """pachd answers with the status UNKNOWN, and a text that kfp-pachyderm does not know.

    UNKNOWN may be any error. A call that changes something is not tried again. A wait logs the error and goes
    on for as long as pachd may be away.
    """


class StoreError(PermanentError):
    """The embedded Pachyderm's data folder can't be used."""


class JobFailedError(PermanentError):
    """The Pachyderm job ended in FAILURE, KILLED or UNRUNNABLE.

    Attributes:
        state: which of them; "" where that is not known.
    """

    def __init__(self, message: str, state: str = "") -> None:
        super().__init__(message)
        self.state = state


class PachydermUnreachableError(TemporaryError):
    """Nobody answers Pachyderm's protocol at the address.

    Attributes:
        since: `time.monotonic()` from which on nobody answered.
    """

    def __init__(self, message: str, since: float | None = None) -> None:
        super().__init__(message)
        self.since = time.monotonic() if since is None else since


class CommitNotFinishedError(TemporaryError):
    """A commit that the step reads or writes stayed open until the deadline."""


class AttachError(TemporaryError):
    """No pipeline became free or no holder could be reached in time, or another session holds the job."""


class JobLostError(TemporaryError):
    """The job ended before the step's command began, and neither the step nor a person ended it."""


class LeaseLostError(TemporaryError):
    """The holder ended the lease; the job is failing."""


class HolderReplacedError(TemporaryError):
    """A new holder instance answers: Pachyderm has erased what was written before."""


class WriteBackError(TemporaryError):
    """The output commit did not take, or does not hold, what the step wrote."""


class KfpApiError(TemporaryError):
    """KFP's API server does not answer, or refuses a request; trying again may help.

    Attributes:
        maybe_done: whether it may have done, or may yet do, what it was asked for.
    """

    def __init__(self, message: str, maybe_done: bool) -> None:
        super().__init__(message)
        self.maybe_done = maybe_done

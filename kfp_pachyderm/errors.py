"""Every error of kfp-pachyderm, in one tree. docs/errors.md gives the cause and the way out of each.

PachydermError
├── PermanentError                    trying again changes nothing
│   ├── SpecError (ValueError)        an argument or a pipeline spec breaks a rule of Pachyderm or KFP
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
│   ├── CommitFailedError             the commit, or every commit of the branch, failed
│   ├── EmptyInputError               an input has no files: its job would succeed without running user code
│   ├── MergeError                    two commits of a merged input hold the same key
│   ├── PipelineNotOwnedError         a pipeline of that name exists and is not this step's
│   ├── MasterGatewayError            an endpoint whose use leaves no provenance
│   ├── AuthenticationError           no token, a wrong one, or one without the right
│   ├── CertificateError              TLS: the server's certificate is not trusted
│   ├── ProtocolError                 an answer breaks the protocol
│   ├── UnknownAnswerError            pachd answers UNKNOWN with a text that this package does not know
│   ├── StoreError                    the embedded Pachyderm's data folder can't be used
│   └── JobFailedError                the job ended in FAILURE, KILLED or UNRUNNABLE
└── TemporaryError                    may pass; tried again until a deadline
    ├── PachydermUnreachableError     nobody answers at the address
    ├── CommitNotFinishedError        a commit stayed open until the deadline
    ├── AttachError                   the holder could not be reached, or is taken
    ├── JobLostError                  the job ended before the step's command began, and nobody ended it
    ├── LeaseLostError                the holder ended the lease
    ├── HolderReplacedError           a new holder instance: Pachyderm erased the output
    ├── KfpApiError                   KFP's API server does not answer, or refuses a request
    └── WriteBackError                the output commit lacks what the step wrote
"""

from __future__ import annotations

import time


class PachydermError(Exception):
    """The root of all errors that kfp-pachyderm raises."""


class PermanentError(PachydermError):
    """Trying again changes nothing: the input, the code or the cluster's state has to change."""


class TemporaryError(PachydermError):
    """The cause may pass by itself: the call was repeated until its deadline, and failed each time."""


class SpecError(PermanentError, ValueError):
    """An argument or a pipeline spec breaks a rule of Pachyderm or KFP; raised before anything is created."""


class GlobError(SpecError):
    """An S3 input's glob is not "/"."""


class InputNestingError(SpecError):
    """An S3 input stands inside a join, union or group."""


class BucketNameError(SpecError):
    """S3 clients refuse the name of the bucket."""


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
    """A text is not a commit reference."""


class CommitFailedError(PermanentError):
    """The commit, or every commit of the branch, has an error: Pachyderm calls it failed."""


class EmptyInputError(PermanentError):
    """An input commit has no files: Pachyderm would run no user code and report success."""


class MergeError(PermanentError):
    """Two commits of an input that is merged into one bucket hold the same key."""


class PipelineNotOwnedError(PermanentError):
    """A pipeline, repo or claim branch of the step's name exists and does not belong to the step.

    Either kfp-pachyderm did not make it, or another KFP pipeline or component uses it.
    """


class MasterGatewayError(PermanentError):
    """The endpoint is Pachyderm's master S3 gateway: work done there has no provenance."""


class AuthenticationError(PermanentError):
    """The token is missing or wrong, or its principal lacks a role that the call needs."""


class CertificateError(PermanentError):
    """TLS fails: no trusted certificate authority signed the certificate that the server shows."""


class ProtocolError(PermanentError):
    """An answer breaks the protocol that both sides should speak."""


class UnknownAnswerError(PermanentError):
    """pachd answers with the gRPC code UNKNOWN and a text that this package does not know.

    pachd gives this code to every plain Go error, so the code does not tell whether the cause passes. A call
    that changes something is not repeated. A wait logs the error and goes on while pachd may be away.
    """


class StoreError(PermanentError):
    """The embedded Pachyderm's data folder can't be used."""


class JobFailedError(PermanentError):
    """The Pachyderm job ended in FAILURE, KILLED or UNRUNNABLE.

    Attributes:
        state: the job's state, as in "FAILURE"; "" where it is not known.
    """

    def __init__(self, message: str, state: str = "") -> None:
        super().__init__(message)
        self.state = state


class PachydermUnreachableError(TemporaryError):
    """No server at the address answers Pachyderm's protocol.

    Attributes:
        since: the time of `time.monotonic()`, in seconds, since when no server answers.
    """

    def __init__(self, message: str, since: float | None = None) -> None:
        super().__init__(message)
        self.since = time.monotonic() if since is None else since


class CommitNotFinishedError(TemporaryError):
    """A commit that the step reads or writes stayed open until the deadline."""


class AttachError(TemporaryError):
    """No pipeline became free or no holder was reached in time, or another session holds the lease."""


class JobLostError(TemporaryError):
    """The job ended before the step's command began; neither the step nor a user ended it."""


class LeaseLostError(TemporaryError):
    """The holder ended the lease, so the job fails."""


class HolderReplacedError(TemporaryError):
    """A new holder instance answers: Pachyderm began the job anew and erased its output."""


class WriteBackError(TemporaryError):
    """Pachyderm refused what the step wrote, or the output commit does not hold it."""


class KfpApiError(TemporaryError):
    """KFP's API server does not answer, or refuses a request. A later request may succeed.

    Attributes:
        maybe_done: whether KFP may have carried the request out, or may still do so.
    """

    def __init__(self, message: str, maybe_done: bool) -> None:
        super().__init__(message)
        self.maybe_done = maybe_done

"""Makes every Kubeflow Pipelines step an S3-enabled Pachyderm job.

Each name is imported when it is first used: `import kfp_pachyderm` imports neither kfp nor grpc.
"""

from __future__ import annotations

from importlib import import_module

# Type checkers take this name for typing.TYPE_CHECKING. To import typing would take longer than all other
# imports that a step needs before it calls Pachyderm.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kfp_pachyderm import local, provenance, runtime, testing
    from kfp_pachyderm.authoring.decorator import s3_enabled
    from kfp_pachyderm.authoring.pipeline import pipeline
    from kfp_pachyderm.authoring.spec import Connection, FileInput, HolderOptions, PipelineSpec, S3Input
    from kfp_pachyderm.errors import (
        AttachError,
        AuthenticationError,
        BranchNotFoundError,
        BucketNameError,
        CertificateError,
        CommitFailedError,
        CommitNotFinishedError,
        CommitNotFoundError,
        CommitReferenceError,
        EmptyInputError,
        GlobError,
        HolderReplacedError,
        InputNameError,
        InputNestingError,
        JobFailedError,
        JobLostError,
        KfpApiError,
        LeaseLostError,
        LiteralSecretError,
        MasterGatewayError,
        MergeError,
        NotFoundError,
        OutputNameError,
        PachydermError,
        PachydermUnreachableError,
        PermanentError,
        PipelineNotOwnedError,
        ProtocolError,
        RepoNotFoundError,
        SpecError,
        StoreError,
        TemporaryError,
        UnknownAnswerError,
        WriteBackError,
    )

    __version__: str

__all__ = [
    "AttachError",
    "AuthenticationError",
    "BranchNotFoundError",
    "BucketNameError",
    "CertificateError",
    "CommitFailedError",
    "CommitNotFinishedError",
    "CommitNotFoundError",
    "CommitReferenceError",
    "Connection",
    "EmptyInputError",
    "FileInput",
    "GlobError",
    "HolderOptions",
    "HolderReplacedError",
    "InputNameError",
    "InputNestingError",
    "JobFailedError",
    "JobLostError",
    "KfpApiError",
    "LeaseLostError",
    "LiteralSecretError",
    "MasterGatewayError",
    "MergeError",
    "NotFoundError",
    "OutputNameError",
    "PachydermError",
    "PachydermUnreachableError",
    "PermanentError",
    "PipelineNotOwnedError",
    "PipelineSpec",
    "ProtocolError",
    "RepoNotFoundError",
    "S3Input",
    "SpecError",
    "StoreError",
    "TemporaryError",
    "UnknownAnswerError",
    "WriteBackError",
    "__version__",
    "local",
    "pipeline",
    "provenance",
    "runtime",
    "s3_enabled",
    "testing",
]

_MODULES = ("local", "provenance", "runtime", "testing")
_HOME = {
    "s3_enabled": "authoring.decorator",
    "pipeline": "authoring.pipeline",
    **dict.fromkeys(
        ("Connection", "FileInput", "HolderOptions", "PipelineSpec", "S3Input"), "authoring.spec"
    ),
    **{name: "errors" for name in __all__ if name.endswith("Error")},
}


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first used."""
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name == "__version__":
        value: Any = _installed()
    elif name in _HOME:
        value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def _installed() -> str:
    """The version in the name of the folder that holds the metadata: importing what reads it takes 15 ms.

    The name is fixed: https://packaging.python.org/en/latest/specifications/recording-installed-packages/
    """
    import os
    import sys

    for folder in filter(os.path.isdir, sys.path):
        try:
            names = os.listdir(folder)
        except OSError:
            continue  # Python looks into it for modules, too, and goes on
        for name in names:
            if name.startswith("kfp_pachyderm-") and name.endswith(".dist-info"):
                return name.removesuffix(".dist-info").partition("-")[2]
    from importlib.metadata import version

    return version("kfp-pachyderm")


def __dir__() -> list[str]:
    return list(__all__)

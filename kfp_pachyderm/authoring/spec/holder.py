"""`HolderOptions`: image, time limits and memory of a step's Pachyderm job."""

from __future__ import annotations

import re

from pydantic import field_validator

from kfp_pachyderm.authoring.spec import names
from kfp_pachyderm.authoring.spec.model import Model
from kfp_pachyderm.errors import SpecError
from kfp_pachyderm.launcher.config import HolderConfig

_QUANTITY = re.compile(r"(?=.*[1-9])[0-9]+(\.[0-9]+)?([KMGTPE]i|[kMGTPE])?")


class HolderOptions(Model):
    """Options of the holder, the user code that runs in Pachyderm's worker while the step runs in KFP.

    Args:
        image: the image that the holder runs in, any with Python 3.8 or newer; the pipeline spec carries the
            holder's source. None: the key "holder_image" of the namespace's ConfigMap "kfp-pachyderm" (the
            step reads it as KFP_PACHYDERM_HOLDER_IMAGE), else python:3.11-slim.
        attach_timeout: seconds that the holder waits for the step to attach. Then it ends the job.
        lease: seconds that the holder waits for the step's next heartbeat. Then it ends the job.
        sidecar_memory: memory request of the worker's sidecar, which receives all that the step writes, as a
            Kubernetes quantity ("2Gi"); None: that of the pipeline spec, else 1Gi.

    Raises:
        SpecError: a time is not a positive number, the image is blank, or the memory is not a quantity.
    """

    image: str | None
    attach_timeout: float
    lease: float
    sidecar_memory: str | None

    def __init__(
        self,
        *,
        image: str | None = None,
        attach_timeout: float = 30.0,
        lease: float = 30.0,
        sidecar_memory: str | None = None,
    ) -> None:
        super().__init__(
            image=image, attach_timeout=attach_timeout, lease=lease, sidecar_memory=sidecar_memory
        )

    @field_validator("image", mode="before")
    @classmethod
    def _image(cls, value: object) -> str | None:
        return None if value is None else names.nonempty("image", value)

    @field_validator("attach_timeout", "lease", mode="before")
    @classmethod
    def _seconds(cls, value: object) -> float:
        return seconds("attach_timeout and lease", value)

    @field_validator("sidecar_memory", mode="before")
    @classmethod
    def _memory(cls, value: object) -> str | None:
        return None if value is None else memory("sidecar_memory", value)

    def config(self) -> HolderConfig:
        """The options as the launcher reads them."""
        return HolderConfig(**{**self.model_dump(), "image": self.image or ""})


def memory(argument: str, value: object) -> str:
    """Checks an amount of memory, a Kubernetes quantity (apimachinery, pkg/api/resource/quantity.go).

    Raises:
        SpecError: the value is not one.
    """
    if not isinstance(value, str) or not _QUANTITY.fullmatch(value):
        raise SpecError(
            f'Argument for "{argument}" must be an amount of memory such as "1Gi" or "512Mi". Got {value!r}.'
        )
    return value


def seconds(argument: str, value: object) -> float:
    """Checks a number of seconds, and returns it as a float.

    Raises:
        SpecError: the value is not a positive, finite number.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
        raise SpecError(f'Argument for "{argument}" must be a positive number of seconds. Got {value!r}.')
    return float(value)

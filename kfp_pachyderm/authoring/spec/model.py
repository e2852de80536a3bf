"""What all models of this room share: frozen, strict, and errors of our own instead of pydantic's."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from kfp_pachyderm.errors import PachydermError, SpecError


class Model(BaseModel):
    """A pydantic model that raises this package's errors and never shows a value it was not allowed to."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    def __init__(self, **data: Any) -> None:
        try:
            super().__init__(**data)
        except ValidationError as broken:
            failure = own_error(broken, type(self).__name__)
        else:
            return
        # Raised outside the handler, so that pydantic's error is neither its cause nor its context.
        raise failure


def own_error(broken: ValidationError, model: str) -> PachydermError:
    """The first of pydantic's complaints, as the error of this package that it stands for."""
    first = broken.errors(include_url=False)[0]
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, PachydermError):
        return cause
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return SpecError(f'{model} has no field "{where}". Remove it.')
    if first["type"] == "missing":
        return SpecError(f'{model} needs "{where}". Add it.')
    return SpecError(f'Argument for "{where}" of {model} is wrong: {first["msg"]}.')

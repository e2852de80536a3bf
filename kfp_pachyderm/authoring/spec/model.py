"""The base of this room's pydantic models: frozen, strict, and with this package's errors."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from kfp_pachyderm.errors import PachydermError, SpecError


class Model(BaseModel):
    """A pydantic model that raises this package's errors, without the input values that pydantic shows."""

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
    """Turns the first of pydantic's errors into an error of this package."""
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

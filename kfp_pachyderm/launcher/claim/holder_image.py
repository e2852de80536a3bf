"""Which image the holder of a step runs in."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from kfp_pachyderm.pachd.connection.address import CA_FILE, mounted

#: The image where neither the author nor the namespace names one.
DEFAULT_IMAGE = "python:3.11-slim"
#: The namespace's image, in a step's environment.
VARIABLE = "KFP_PACHYDERM_HOLDER_IMAGE"
#: The same as a file of the mounted ConfigMap: kfp 2.14 takes no variable from one that may be missing.
FILE = f"{os.path.dirname(CA_FILE)}/holder_image"


def holder_image(author: str = "", env: Mapping[str, str] = os.environ) -> str:
    """The image: the author's, else the one in KFP_PACHYDERM_HOLDER_IMAGE, the mounted one, the usual one.

    Args:
        author: what HolderOptions(image=...) says; "" when it says nothing.
        env: the step's environment; the namespace's ConfigMap fills the variable.
    """
    return author or of_namespace(env) or DEFAULT_IMAGE


def of_namespace(env: Mapping[str, str], file: str | Path = FILE) -> str:
    """The image that the namespace names, in the environment or in a mounted file; "" when it names none."""
    return env.get(VARIABLE, "").strip() or mounted(file)

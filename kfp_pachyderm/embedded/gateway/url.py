"""x-amz-copy-source as Go's net/url reads it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

from kfp_pachyderm.s3.errors import S3Error

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class SourceURL:
    """The parts of the URL that s2 uses.

    Args:
        path: decoded.
        version: the parameter versionId.
    """

    path: str
    version: str


def parse_url(text: str) -> SourceURL:
    """Parses a header's URL.

    Raises:
        S3Error: InvalidArgument: it is no URL.
    """
    rest, _, query = text.partition("#")[0].partition("?")
    scheme = _SCHEME.match(rest)
    rest = rest[scheme.end() :] if scheme else rest
    if scheme and not rest.startswith("/"):
        rest = ""  # net/url calls it opaque: it has no path
    if _CONTROL.search(text) or _BAD_ESCAPE.search(rest) or ":" in rest.partition("/")[0]:
        raise S3Error("InvalidArgument")
    if rest.startswith("//"):
        rest = "/".join(["", *rest[2:].split("/", 1)[1:]])
    version = next((value for name, value in parse_qsl(query) if name == "versionId"), "")
    return SourceURL(unquote(rest), version)

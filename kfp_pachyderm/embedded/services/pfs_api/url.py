"""Content that is fetched from a URL (Pachyderm src/server/pfs/server/url.go)."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from urllib.parse import urlsplit

from pachyderm_sdk.api import pfs

from kfp_pachyderm.embedded.status import Refused

_PIECE = 2**20
#: Seconds without a byte until the fetch fails.
_TIMEOUT = 60


def fetch(source: bytes) -> Iterator[bytes]:
    """Fetches the URL of an encoded URLSource; yields an empty piece, then the content in pieces.

    Raises:
        Refused: the URL is not HTTP, or the server does not answer.
    """
    url = pfs.AddFileUrlSource().parse(source).url
    scheme = urlsplit(url).scheme
    if scheme not in ("http", "https"):
        raise Refused(
            f"put file from {scheme or 'no'} URLs is not implemented by the embedded Pachyderm",
            "UNIMPLEMENTED",
        )
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer:  # noqa: S310
            yield b""
            while piece := answer.read(_PIECE):
                yield piece
    except urllib.error.HTTPError as error:
        raise Refused(f'error retrieving content from "{url}": {error.code} {error.reason}') from error
    except OSError as error:
        raise Refused(f'Get "{url}": {error}') from error

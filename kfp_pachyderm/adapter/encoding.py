"""Encodes keys that Pachyderm does not accept as file names. Standard library only.

Each element of a key (the text between two slashes) is percent-encoded. These bytes of its UTF-8 become `%`
and two upper-case hex digits: what is no printable ASCII, the characters of Pachyderm's globs `* ? [ ] { } !
( ) @ + ^` (src/internal/storage/paths.go, ValidateFilename), and `%` itself. All others stay. An element "."
or ".." has its dots encoded. An empty element becomes `%`. Because `%` is always encoded, no two keys get the
same name, and a key that looks encoded is encoded once more. A key of at most 1024 bytes gets a name of at
most 3072.
"""

from __future__ import annotations

from urllib.parse import quote, unquote

#: This encoding's name in the metadata of a commit.
PERCENT = "percent"
_GLOBS = "*?[]{}!()@+^"
_KEPT = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) not in _GLOBS + "%/")
_EMPTY = "%"


def encode(key: str) -> str:
    """Returns the name of the file that holds the key's object."""
    return "/".join(map(_encode_element, key.split("/")))


def decode(name: str) -> str:
    """Returns the key that `encode` made the name from."""
    return "/".join("" if element == _EMPTY else unquote(element) for element in name.split("/"))


def _encode_element(element: str) -> str:
    if element in (".", ".."):
        return element.replace(".", "%2E")
    return quote(element, safe=_KEPT) or _EMPTY

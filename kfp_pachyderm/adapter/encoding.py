"""The encoding of keys that Pachyderm can't hold as names of files. Standard library only.

Each element of a key (what lies between slashes) is percent-encoded: its UTF-8 bytes that are no printable
ASCII, the characters of Pachyderm's globs `* ? [ ] { } ! ( ) @ + ^` (src/internal/storage/paths.go,
ValidateFilename) and `%` itself become `%` and two upper-case hex digits; everything else stays. An element
"." or ".." has its dots encoded, an empty one is `%`. As `%` is always encoded, no two keys have one name,
and a key that looks encoded is encoded once more. A key of 1024 bytes has a name of 3072 at most.
"""

from __future__ import annotations

from urllib.parse import quote, unquote

#: What the metadata of a commit call this encoding.
PERCENT = "percent"
_GLOBS = "*?[]{}!()@+^"
_KEPT = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) not in _GLOBS + "%/")
_EMPTY = "%"


def encode(key: str) -> str:
    """The name of the file that holds the key's object."""
    return "/".join(map(_encode_element, key.split("/")))


def decode(name: str) -> str:
    """The key whose object lies in the file of that name, which `encode` made."""
    return "/".join("" if element == _EMPTY else unquote(element) for element in name.split("/"))


def _encode_element(element: str) -> str:
    if element in (".", ".."):
        return element.replace(".", "%2E")
    return quote(element, safe=_KEPT) or _EMPTY

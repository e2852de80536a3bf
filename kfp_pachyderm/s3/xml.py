"""XML: a safe parser, and a writer that escapes as Go's encoding/xml does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

from kfp_pachyderm.s3.errors import S3Error

_HEADER = '<?xml version="1.0" encoding="UTF-8"?>\n'
_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_MAX_DEPTH = 16
#: The longest document names 10000 parts, with up to seven elements each.
_MAX_ELEMENTS = 100_000

Content = str | Iterable[tuple[str, "Content"]]
Fields = list[tuple[str, Content]]


def _escaped(code: int) -> str | None:
    named = {0x26: "&amp;", 0x3C: "&lt;", 0x3E: "&gt;", 0x22: "&#34;", 0x27: "&#39;"}
    if code in named:
        return named[code]
    if code in (0x9, 0xA, 0xD):
        return f"&#x{code:X};"
    return "\ufffd" if code < 0x20 or 0xD800 <= code < 0xE000 or code in (0xFFFE, 0xFFFF) else None


_ESCAPES = {
    code: text for code in (*range(0x3F), *range(0xD800, 0xE000), 0xFFFE, 0xFFFF) if (text := _escaped(code))
}


def escape(text: str) -> str:
    """Escapes a text for XML. Characters that XML does not allow become U+FFFD."""
    return text.translate(_ESCAPES)


def _render(name: str, content: Content) -> Iterator[str]:
    yield f"<{name}>"  # the name may be followed by attributes
    if isinstance(content, str):
        yield escape(content)
    else:
        for child, inner in content:
            yield from _render(child, inner)
    yield f"</{name.partition(' ')[0]}>"


def document(name: str, content: Content, *, namespace: bool = True) -> bytes:
    """Makes a whole XML document whose root element is `name`, in S3's namespace if `namespace` is set."""
    text = "".join(_render(name, content))
    if namespace:
        text = text.replace(f"<{name}>", f'<{name} xmlns="{_NAMESPACE}">', 1)
    return (_HEADER + text).encode()


@dataclass(slots=True)
class Node:
    """One element: its name without namespace, its own text, its children."""

    name: str
    text: str = ""
    children: list[Node] = field(default_factory=list)

    def all(self, name: str) -> list[Node]:
        """Returns the children of that name."""
        return [child for child in self.children if child.name == name]

    def value(self, name: str, default: str = "") -> str:
        """Returns the text of the first child of that name."""
        return next((child.text for child in self.all(name)), default)


class _Builder:
    def __init__(self) -> None:
        self.root = Node("")
        self._open = [self.root]
        self._count = 0

    def start(self, name: str, _attributes: dict[str, str]) -> None:
        self._count += 1
        if len(self._open) > _MAX_DEPTH or self._count > _MAX_ELEMENTS:
            raise S3Error("MalformedXML")
        node = Node(name.rpartition(" ")[2])
        self._open[-1].children.append(node)
        self._open.append(node)

    def end(self, _name: str) -> None:
        self._open.pop()

    def data(self, text: str) -> None:
        self._open[-1].text += text


def _refuse(*_: object) -> None:
    raise S3Error("MalformedXML")


def parse(data: bytes, root: str) -> Node:
    """Parses a document, and returns its root element, whose name must be `root`.

    Raises:
        S3Error: MalformedXML for any other text, also for one with a document type or entities.
    """
    builder = _Builder()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = _refuse
    parser.buffer_text = True
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise S3Error("MalformedXML") from error
    if not builder.root.children or builder.root.children[0].name != root:
        raise S3Error("MalformedXML")
    return builder.root.children[0]

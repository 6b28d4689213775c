"""The small XML of chat accounts: one element with elements in it. Read without what makes XML dangerous. No I/O.

A document type is refused altogether, and with it every entity that could be declared: nothing is expanded, nothing is
fetched. Size and depth are bounded.
"""

from __future__ import annotations

from typing import Final, NoReturn
from xml.parsers import expat
from xml.sax.saxutils import escape

from callout_orders.channels.terms import CALL_BYTES_MAX

DEPTH_MAX: Final = 8
ELEMENTS_MAX: Final = 300


class BadXml(Exception):
    """This is not the XML of a chat account; `why` says what is wrong."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(why)


def read(data: bytes) -> dict[str, str]:
    """The texts of a document's elements by their names; nested ones by a path (`SendLocationInfo.Label`), the first wins.

    Raises BadXml.
    """
    if len(data) > CALL_BYTES_MAX:
        raise BadXml(f"it is larger than {CALL_BYTES_MAX} bytes")
    out: dict[str, str] = {}
    path: list[str] = []
    texts: list[list[str]] = []
    seen = 0

    def start(name: str, _: object) -> None:
        nonlocal seen
        seen += 1
        if len(path) >= DEPTH_MAX or seen > ELEMENTS_MAX:
            raise BadXml("it has too many elements, or too deep")
        path.append(name)
        texts.append([])

    def end(_: str) -> None:
        text = "".join(texts.pop())
        if len(path) > 1:
            out.setdefault(".".join(path[1:]), text.strip())
        path.pop()

    def chars(text: str) -> None:
        if texts:
            texts[-1].append(text)

    def refuse(*_: object) -> NoReturn:
        raise BadXml("it has a document type")

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, chars
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.UnparsedEntityDeclHandler = refuse
    parser.ExternalEntityRefHandler = refuse
    try:
        parser.Parse(data, True)
    except expat.ExpatError as fault:
        raise BadXml(f"it cannot be read: {expat.ErrorString(fault.code)}") from None
    except (ValueError, LookupError):
        # An encoding that nobody knows.
        raise BadXml("it cannot be read") from None
    return out


def write(values: dict[str, str | int]) -> str:
    """A document of these elements; numbers bare, texts as CDATA."""
    parts = [
        f"<{name}>{value}</{name}>" if isinstance(value, int) else f"<{name}>{_cdata(value)}</{name}>"
        for name, value in values.items()
    ]
    return f"<xml>{''.join(parts)}</xml>"


def _cdata(text: str) -> str:
    # What ends a CDATA section cannot stand in one.
    return escape(text) if "]]>" in text else f"<![CDATA[{text}]]>"

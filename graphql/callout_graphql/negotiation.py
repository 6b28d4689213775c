"""Which of the two media types an answer takes, and which status goes with it (GraphQL over HTTP)."""

from typing import Final

from callout_graphql.refusals import (
    IntrospectionClosed,
    NotAcceptable,
    OperationUnknown,
    QueryInvalid,
    QueryUnreadable,
    VariablesInvalid,
)
from callout_store.errors import Refusal

RESPONSE_JSON: Final = "application/graphql-response+json"
PLAIN_JSON: Final = "application/json"
ACCEPT_CHARACTERS_MAX: Final = 1000

_SPECIFIC: Final = {
    RESPONSE_JSON: (RESPONSE_JSON, 2),
    PLAIN_JSON: (PLAIN_JSON, 2),
    "application/*": (PLAIN_JSON, 1),
    "*/*": (PLAIN_JSON, 0),
}
WELL_FORMED: Final = frozenset(
    {QueryUnreadable, QueryInvalid, OperationUnknown, VariablesInvalid, IntrospectionClosed}
)
"""Refusals of a request that was, as HTTP sees it, in order: clients of plain JSON expect 200 for them."""


def answer_type(accept: str | None) -> str:
    """The media type of the answer; without a preference plain JSON. Raises NotAcceptable."""
    if not accept:
        return PLAIN_JSON
    best: tuple[float, int] | None = None
    chosen = PLAIN_JSON
    for part in accept[:ACCEPT_CHARACTERS_MAX].split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        known = _SPECIFIC.get(name)
        if known is None or any(p.startswith("charset=") and p != "charset=utf-8" for p in parameters):
            continue
        quality = _quality(parameters)
        if quality > 0 and (best is None or (quality, known[1]) > best):
            best, chosen = (quality, known[1]), known[0]
    if best is None:
        raise NotAcceptable()
    return chosen


def wants_page(accept: str | None) -> bool:
    """Whether a browser asks for something to look at."""
    return "text/html" in (accept or "")


def is_json(content_type: str | None) -> bool:
    """Whether a request's body is JSON in UTF-8. A form or plain text must not pass: browsers send those unasked."""
    name, *parameters = (piece.strip().lower() for piece in (content_type or "").split(";"))
    charsets = {p.removeprefix("charset=").strip('"') for p in parameters if p.startswith("charset=")}
    return name == PLAIN_JSON and charsets <= {"utf-8", "utf8"}


def status_of(refused: type[Refusal] | None, media_type: str) -> int:
    """The HTTP status of a reply; 200 as soon as anything was executed."""
    if refused is None or (media_type == PLAIN_JSON and refused in WELL_FORMED):
        return 200
    return refused.status


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0

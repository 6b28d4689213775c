"""What a server must do with cursors: refuse what is none with a code that says how to go on, and lose no row."""

from typing import Any

from callout_contracts.golden.receipts import has, note, push, vector
from callout_contracts.limits import CURSOR_CHARS_MAX, PAGE_ROWS_MAX

INVALID = {"code": "CURSOR_INVALID", "path": "cursor"}


def _none(id_: str, says: str, cursor: Any) -> dict[str, Any]:
    return vector(f"cursors.{id_}", says, {"pull": {"cursor": cursor}, "refused": INVALID})


def _limit(id_: str, says: str, limit: int) -> dict[str, Any]:
    return vector(
        f"cursors.{id_}",
        says,
        {"pull": {"limit": limit}, "refused": {"code": "LIMIT_EXCEEDED", "path": "limit"}},
    )


VECTORS = [
    _none("words", "A text that is none of the server's cursors.", "not a cursor"),
    _none("letters", "Letters that decode to nothing.", "AAAA"),
    _none("chinese", "Letters beyond ASCII.", "光标"),
    _none("blank", "A blank.", " "),
    _none("number", "A number as text.", "18446744073709551616"),
    vector(
        "cursors.nul",
        "U+0000 is refused, as in every text.",
        {"pull": {"cursor": "a\u0000b"}, "refused": {"code": ["NUL_CHARACTER", "CURSOR_INVALID"]}},
    ),
    _none("too-long", f"More than {CURSOR_CHARS_MAX} characters.", {"$repeat": ["A", CURSOR_CHARS_MAX + 1]}),
    vector(
        "cursors.cut",
        "An own cursor whose end is missing.",
        {"pull": {}, "page": {}},
        {"pull": {"cursor": {"$cut": 5}}, "refused": INVALID},
    ),
    vector(
        "cursors.of-another-device",
        "A cursor belongs to the device that it was given to.",
        {
            "pull": {"cursor": "$otherCursor"},
            "refused": {"code": "CURSOR_OF_ANOTHER_DEVICE", "path": "cursor"},
        },
        needs=["otherCursor"],
    ),
    _limit("no-rows", "A page has at least one row.", 0),
    _limit("negative", "A page has at least one row.", -1),
    _limit("too-many-rows", f"A page has at most {PAGE_ROWS_MAX} rows.", PAGE_ROWS_MAX + 1),
    vector(
        "cursors.total-comes-first",
        "The first page of a first pull says how many rows there are; later ones do not need to.",
        {"pull": {"limit": 1}, "page": {"count": 1, "more": True, "total": "some"}},
        {"pull": {"cursor": "$last", "limit": 1}, "page": {"count": 1}},
    ),
    vector(
        "cursors.small-pages-hold-the-same",
        "Pages of one row bring what one large page brings.",
        {"pull": {}, "page": {"has": [has("visit", "$visit"), has("site", "$site")]}, "as": "large"},
        {"pull": {"limit": 7, "all": True}, "page": {"same": "large"}},
    ),
    vector(
        "cursors.same-cursor-same-page",
        "A page whose answer was lost comes again from the same cursor.",
        {"pull": {"limit": 3}, "page": {}, "as": "first"},
        {"pull": {"limit": 3}, "page": {"same": "first"}},
    ),
    vector(
        "cursors.nothing-new",
        "At the end of the feed a pull brings nothing, and a cursor that goes on.",
        {"pull": {"all": True}, "page": {}},
        {"pull": {"cursor": "$last", "all": True}, "page": {}},
        {"pull": {"cursor": "$last"}, "page": {"count": 0, "more": False}},
        push(note("a"), answers=["applied"]),
        {"pull": {"cursor": "$last"}, "page": {"has": [has("event", "$id:a")]}},
    ),
]

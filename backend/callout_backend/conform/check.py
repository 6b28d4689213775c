"""A named check: what it asks of a server, and the act that finds out."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from callout_backend.conform.ask import Refused
from callout_backend.conform.bench import Bench, Failed

Act = Callable[[Bench], Awaitable[None]]


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """`id` is group.name; `says` is what a server must do."""

    id: str
    says: str
    act: Act

    @property
    def group(self) -> str:
        """The part before the dot."""
        return self.id.split(".")[0]


class Checks(list[Check]):
    """A module's checks, in order."""

    def add(self, id_: str, says: str) -> Callable[[Act], Act]:
        """Decorator: the function is the check's act."""

        def keep(act: Act) -> Act:
            self.append(Check(id=id_, says=says, act=act))
            return act

        return keep


async def refusal(act: Awaitable[object], *codes: str) -> Refused:
    """The refusal that `act` must end with, by one of these codes."""
    try:
        await act
    except Refused as refused:
        if refused.code not in codes:
            raise Failed(f"a refusal {' or '.join(codes)}", refused) from None
        return refused
    raise Failed(f"a refusal {' or '.join(codes)}", "it was accepted")


def expect(what: str, wanted: object, came: object) -> None:
    """Equal, or Failed."""
    if wanted != came:
        raise Failed(f"{what} {wanted!r}", came)


def row_of(page: Mapping[str, Any], entity: str, id_: str) -> dict[str, Any] | None:
    """A document of a page."""
    for item in page["documents"]:
        if item["entity"] == entity and item["id"] == id_ and item["op"] == "upsert":
            found: dict[str, Any] = item["doc"]
            return found
    return None

"""What a customer signs: the summary of a visit, as data. Pure.

`as_dict` gives the shape that `signoff.create_link` stores as canonical JSON and that the sign-off page
shows. Names on the wire are camelCase; times are ISO 8601 in UTC to the second; what is not known is left
out.
"""

from datetime import UTC, datetime
from typing import Any

import msgspec


class SummaryPart(msgspec.Struct, rename="camel", frozen=True, kw_only=True, omit_defaults=True):
    """A part that was used."""

    code: str
    name: str
    quantity: int
    unit: str = ""
    old_serial: str | None = None
    new_serial: str | None = None


class Summary(msgspec.Struct, rename="camel", frozen=True, kw_only=True, omit_defaults=True):
    """Version 1. `work` are the diagnosis, notes and resolution in the engineer's words, in their order.

    `time_zone` is the IANA name in which the page shows the times.
    """

    organisation: str
    order_number: str
    description: str
    engineer: str
    version: int = 1
    customer: str = ""
    site: str = ""
    address: str = ""
    asset: str = ""
    outcome: str = ""
    work: tuple[str, ...] = ()
    parts: tuple[SummaryPart, ...] = ()
    arrived_at: datetime | None = None
    finished_at: datetime | None = None
    time_zone: str = "UTC"

    def as_dict(self) -> dict[str, Any]:
        """The JSON object; `version` and `minutesOnSite` are always worked out here."""
        out: dict[str, Any] = msgspec.to_builtins(self)
        out["version"] = self.version
        for name, value in (("arrivedAt", self.arrived_at), ("finishedAt", self.finished_at)):
            if value is not None:
                out[name] = _second(value)
        if self.arrived_at is not None and self.finished_at is not None:
            seconds = (self.finished_at - self.arrived_at).total_seconds()
            out["minutesOnSite"] = max(0, round(seconds / 60))
        return out


def _second(at: datetime) -> str:
    return at.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"

"""What an organisation decided about places: how long positions are kept, and who reckons travel times."""

from typing import Final, Literal

import msgspec

from callout_dispatch.places.texts import PlaceRefused
from callout_store.journal import Entry, write
from callout_store.work import Work

POSITION_DAYS: Final = 30
POSITION_DAYS_RANGE: Final = (1, 400)
MARGIN_MINUTES: Final = 15
MARGIN_MINUTES_RANGE: Final = (0, 240)
TravelProvider = Literal["estimate", "osrm", "valhalla"]
PROVIDERS: Final[tuple[TravelProvider, ...]] = ("estimate", "osrm", "valhalla")


class PlaceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`position_days`: positions older than that are deleted; `position_margin_minutes`: a shift counts so much longer at
    both ends where positions are taken; `travel_provider`: who reckons travel times."""

    position_days: int = POSITION_DAYS
    position_margin_minutes: int = MARGIN_MINUTES
    travel_provider: TravelProvider = "estimate"


async def settings(work: Work) -> PlaceSettings:
    """What holds in this organisation."""
    row = await work.fetchrow(
        """
        select position_days, position_margin_minutes, travel_provider from dispatch_setting
        where org_id = callout_org()
        """
    )
    return PlaceSettings() if row is None else PlaceSettings(**dict(row))


async def configure(
    work: Work,
    *,
    position_days: int | None = None,
    position_margin_minutes: int | None = None,
    travel_provider: str | None = None,
) -> PlaceSettings:
    """Change what is given; what holds afterwards. Raises BadField, which names the field."""
    wanted: dict[str, int | str] = {}
    for name, path, value, (low, high) in (
        ("position_days", "positionDays", position_days, POSITION_DAYS_RANGE),
        ("position_margin_minutes", "positionMarginMinutes", position_margin_minutes, MARGIN_MINUTES_RANGE),
    ):
        if value is not None:
            if not low <= value <= high:
                raise PlaceRefused(path, "range", low=low, high=high)
            wanted[name] = value
    if travel_provider is not None:
        if travel_provider not in PROVIDERS:
            raise PlaceRefused("travelProvider", "not_one_of", options=", ".join(PROVIDERS))
        wanted["travel_provider"] = travel_provider
    if not wanted:
        raise PlaceRefused("positionDays", "nothing")
    before = await settings(work)
    after = msgspec.structs.replace(before, **wanted)
    if after == before:
        return before
    await work.execute(
        """
        insert into dispatch_setting (position_days, position_margin_minutes, travel_provider) values ($1, $2, $3)
        on conflict (org_id) do update
        set position_days = case when $4 then excluded.position_days else dispatch_setting.position_days end,
            position_margin_minutes = case when $5 then excluded.position_margin_minutes
                                      else dispatch_setting.position_margin_minutes end,
            travel_provider = case when $6 then excluded.travel_provider else dispatch_setting.travel_provider end
        """,
        after.position_days,
        after.position_margin_minutes,
        after.travel_provider,
        "position_days" in wanted,
        "position_margin_minutes" in wanted,
        "travel_provider" in wanted,
    )
    await write(
        work,
        Entry(
            kind="organisation.places_configured",
            entity="organisation",
            entity_id=work.org_id,
            data={_camel(name): value for name, value in wanted.items()},
        ),
    )
    return after


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)

"""What a pick was asked and about whom, as bytes to be stored: enough to make the same decision again. Pure.

zstd-compressed JSON of need, candidates, policy and travel model. Among thousands of engineers only those are kept who
matter: the best ranked, and of the others the nearest to the site. Components are absolute, so a replay over those
who were kept gives each of them the same slot, score and reasons; `Kept.total` says how many there were.
"""

from __future__ import annotations

from typing import Final

import msgspec
import zstandard

from callout_dispatch.pick_roster import Roster
from callout_dispatch.pick_terms import Candidate, Need, PickResult
from callout_dispatch.policy import Policy
from callout_geo.distance import haversine_one_to_many_m
from callout_geo.travel import Travel

CANDIDATES_MAX: Final = 200
"""Candidates kept with one decision."""
BYTES_MAX: Final = 16 * 1024 * 1024
"""What a record may unpack to."""
FORMAT: Final = 1


class _Speeds(msgspec.Struct, frozen=True, kw_only=True):
    circuity: float
    km_per_hour: tuple[float, ...]
    time_zone: str


class _Record(msgspec.Struct, frozen=True, kw_only=True):
    need: Need
    candidates: tuple[Candidate, ...]
    policy: Policy
    travel: _Speeds
    total: int
    format: int = FORMAT


class Kept(msgspec.Struct, frozen=True):
    """How many candidates a record holds, of how many there were."""

    candidates: int
    total: int


class BadRecord(ValueError):
    """Bytes that are no record of a pick."""


def encode(
    need: Need,
    roster: Roster,
    policy: Policy,
    travel: Travel,
    *,
    result: PickResult | None = None,
    candidates_max: int = CANDIDATES_MAX,
) -> bytes:
    """The record of a pick. With more than `candidates_max` candidates, half of them are the best of `result`.

    Whoever changes the roster afterwards must encode before.
    """
    kept = list(roster.candidates)
    if len(kept) > candidates_max:
        best = [] if result is None else [one.id for one in result.ranked[: candidates_max // 2]]
        crews = [] if result is None else [id_ for one in result.ranked[:1] for id_ in one.crew]
        chosen = dict.fromkeys([*best, *crews])
        for id_ in _nearest(need, kept):
            if len(chosen) >= candidates_max:
                break
            chosen[id_] = None
        kept = [candidate for candidate in kept if candidate.id in chosen]
    record = _Record(
        need=need,
        candidates=tuple(kept),
        policy=policy,
        travel=_Speeds(circuity=travel.circuity, km_per_hour=travel.km_per_hour, time_zone=travel.time_zone),
        total=len(roster),
    )
    return zstandard.ZstdCompressor(level=1).compress(msgspec.json.encode(record, order="deterministic"))


def decode(data: bytes) -> tuple[Need, Roster, Policy, Travel]:
    """What `encode` was given, as far as it was kept. Raises BadRecord."""
    record = _read(data)
    travel = Travel(
        circuity=record.travel.circuity,
        km_per_hour=record.travel.km_per_hour,
        time_zone=record.travel.time_zone,
    )
    roster = Roster(record.candidates, travel, record.policy.travel_minutes_unknown)
    return record.need, roster, record.policy, travel


def kept(data: bytes) -> Kept:
    """How much of the roster a record holds. Raises BadRecord."""
    record = _read(data)
    return Kept(len(record.candidates), record.total)


def _read(data: bytes) -> _Record:
    try:
        raw = zstandard.ZstdDecompressor().decompress(data, max_output_size=BYTES_MAX)
        return msgspec.json.decode(raw, type=_Record)
    except (zstandard.ZstdError, msgspec.MsgspecError, ValueError) as error:
        raise BadRecord(str(error)) from error


def _nearest(need: Need, candidates: list[Candidate]) -> list[str]:
    """Ids by distance to the site and then by id; who has no position comes last."""
    placed = [c for c in candidates if c.position is not None]
    if need.point is None or not placed:
        return [c.id for c in candidates]
    points = [c.position for c in placed if c.position is not None]
    metres = haversine_one_to_many_m(need.point, [p.lat for p in points], [p.lng for p in points])
    order = sorted(range(len(placed)), key=lambda n: (float(metres[n]), placed[n].id))
    lost = [c.id for c in candidates if c.position is None]
    return [placed[n].id for n in order] + lost

"""What goes into which message, and which messages go now. Values only.

Laws: to one address, notices of one order go in their order; what is urgent goes first, and takes its order's elders along
in the same message; a message costs a token; what would need more tokens than there are goes together as digests. Nothing
is left out: what has no token waits.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import takewhile
from typing import Final
from uuid import UUID

import msgspec

DIGEST_MAX: Final = 30
"""Lines in one digest: WeCom takes 4,096 bytes of a message, and a title of 40 Chinese characters has 120."""
SINGLES_MAX: Final = 5
"""More than so many at once to one person are a digest, where no bucket says so before."""


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A notice that is due. `matter` is its order, or its own id without one; `group`: notices of one line to one group are
    one message, whoever is mentioned in it."""

    id: UUID
    position: int
    matter: UUID
    line_id: UUID
    address: str
    urgent: bool
    robot: bool


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """One message. `digest`: it tells of several lines."""

    address: str
    ids: tuple[UUID, ...]
    urgent: bool
    digest: bool


def plan(
    waiting: Sequence[Waiting],
    *,
    blocked: Collection[tuple[str, UUID]] = (),
    tokens: int,
    tokens_urgent: int,
) -> list[Batch]:
    """The messages to send now, the urgent ones first. `blocked`: (address, matter) of which an elder is not delivered yet.

    `tokens` may be spent on what is not urgent, `tokens_urgent` (at least as many) in all.
    """
    rows = sorted(
        (one for one in waiting if (one.address, one.matter) not in blocked), key=lambda one: one.position
    )
    batches = _urgent(rows, tokens_urgent)
    # What is younger than an urgent one of its order waits for the next round: a message beside it could overtake it, and one
    # that found no token keeps its order back.
    pressing = {(one.address, one.matter) for one in rows if one.urgent}
    rest = [one for one in rows if (one.address, one.matter) not in pressing]
    left = min(tokens, tokens_urgent - len(batches))
    return batches + _rest(rest, left)


def _urgent(rows: Sequence[Waiting], tokens: int) -> list[Batch]:
    """One message an urgent line, with the elders of its order to the same address before it."""
    by_matter: dict[tuple[str, UUID], list[Waiting]] = {}
    for one in rows:
        by_matter.setdefault((one.address, one.matter), []).append(one)
    firsts = [
        (max(one.position for one in group if one.urgent), key)
        for key, group in by_matter.items()
        if any(one.urgent for one in group)
    ]
    batches: list[Batch] = []
    for last, key in sorted(firsts)[: max(0, tokens)]:
        group = [one for one in by_matter[key] if one.position <= last]
        # Mentions of the same line stand in one message, as far as nothing younger lies between.
        younger = [one for one in by_matter[key] if one.position > last]
        group += _while_of({one.line_id for one in group}, younger)
        # A longer queue goes in parts, the oldest first: the urgent one follows at once, and does not overtake.
        batches.append(_batch(_first_lines(sorted(group, key=lambda one: one.position)), urgent=True))
    return batches


def _rest(rows: Sequence[Waiting], tokens: int) -> list[Batch]:
    """Single messages while tokens and patience last, digests otherwise; oldest first."""
    if tokens <= 0 or not rows:
        return []
    by_address: dict[str, list[list[Waiting]]] = {}
    lines: dict[tuple[str, UUID, UUID], list[Waiting]] = {}
    for one in rows:
        key = (one.address, one.matter, one.line_id)
        if one.robot and key in lines:
            lines[key].append(one)
            continue
        unit = [one]
        lines[key] = unit
        by_address.setdefault(one.address, []).append(unit)
    units = sum(len(found) for found in by_address.values())
    batches: list[Batch] = []
    for address in by_address:
        found = by_address[address]
        singly = units <= tokens and len(found) <= SINGLES_MAX
        batches += _singles(found) if singly else _digests(found)
    positions = {one.id: one.position for one in rows}
    batches.sort(key=lambda batch: positions[batch.ids[0]])
    return batches[:tokens]


def _singles(units: list[list[Waiting]]) -> list[Batch]:
    """One message a line; several lines of one order at once stay in one message, so that they cannot overtake."""
    by_matter: dict[UUID, list[Waiting]] = {}
    for unit in units:
        by_matter.setdefault(unit[0].matter, []).extend(unit)
    return [_batch(group, urgent=False) for group in by_matter.values()]


def _digests(units: list[list[Waiting]]) -> list[Batch]:
    """All of an order's in one digest where they fit, the orders in the order of their oldest."""
    by_matter: dict[UUID, list[Waiting]] = {}
    for unit in units:
        by_matter.setdefault(unit[0].matter, []).extend(unit)
    batches: list[list[Waiting]] = [[]]
    count = 0
    for group in by_matter.values():
        # Only the first part of an order that fills a digest alone goes now: a second message could overtake the first.
        part = _first_lines(group)
        lines = len({one.line_id for one in part})
        if count + lines > DIGEST_MAX:
            batches.append([])
            count = 0
        batches[-1] += part
        count += lines
    return [_batch(group, urgent=False) for group in batches if group]


def _first_lines(group: Sequence[Waiting]) -> list[Waiting]:
    """The notices of as many lines as a digest holds, up to the first of another line."""
    return _while_of(set(list(dict.fromkeys(one.line_id for one in group))[:DIGEST_MAX]), group)


def _while_of(lines: Collection[UUID], rows: Sequence[Waiting]) -> list[Waiting]:
    return list(takewhile(lambda one: one.line_id in lines, rows))


def _batch(group: Sequence[Waiting], *, urgent: bool) -> Batch:
    ordered = sorted(group, key=lambda one: one.position)
    return Batch(
        address=ordered[0].address,
        ids=tuple(one.id for one in ordered),
        urgent=urgent,
        digest=len({one.line_id for one in ordered}) > 1,
    )

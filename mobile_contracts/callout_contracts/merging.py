"""What becomes of a field that was written on several sides: the one rule, for the server and for clients. Pure.

A field has one value that stands and, perhaps, values that lost and wait for a person. Each is a claim: who wrote it, when
(its stamp, see `stamps`), and from which revision of the row to which it stood. A change says what its author had seen; it
takes the place of every claim that its author had seen, and meets the others:

* what stands was seen, or nobody ever wrote the field: the change stands (`taken`);
* what stands is the very value of the change: nothing to do (`same`);
* the change holds what its author had before: nothing to do either (`same`);
* its author wrote the field again, and that came first: nothing to do (`overtaken`);
* else two sides wrote at once: the higher claim by the field's policy stands, the other one waits (`won`, `lost`).

The policies: `newest`, the higher stamp; `office`, the office's before any phone's, then the higher stamp; `phone`, any
phone's before the office's, then the higher stamp. Claims are thus in one order whatever the order of their arrival, and
so are the value that stands and the set of values that lost. A device's own changes are in the order of its sequence (the
counter of its stamps), so that quick ones never meet each other, however old the revision they name.
"""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from callout_contracts.stamps import Stamp

Policy = Literal["newest", "office", "phone"]
Result = Literal["taken", "same", "overtaken", "won", "lost"]


class Claim(Struct, frozen=True, kw_only=True):
    """A value that somebody wrote by the command `id`. It stood from revision `since` (None: it never did) until before
    `until` (None: it stands, or never stood). `author`: the device's id, or the user's who wrote at the desk."""

    id: str
    value: Any
    stamp: Stamp
    author: str
    office: bool = False
    since: int | None = None
    until: int | None = None


class Change(Struct, frozen=True, kw_only=True):
    """A value to be written, with what its author had seen: the row at `base_revision`, the value `base`, or that which
    stands now (`knows`: known by other means, such as the position of a pull)."""

    id: str
    value: Any
    stamp: Stamp
    author: str
    office: bool = False
    base_revision: int | None = None
    base: Any | UnsetType = UNSET
    knows: bool = False


class Merged(Struct, frozen=True, kw_only=True):
    """What stands afterwards (None: still nothing was written), the values that wait, and what became of the change."""

    result: Result
    stands: Claim | None
    waiting: tuple[Claim, ...] = ()


def merge(
    policy: Policy, stands: Claim | None, waiting: Sequence[Claim], change: Change, *, revision: int
) -> Merged:
    """Meet a change with what is there. `stands` None: nobody wrote the field since its row was made. `revision` is the
    one that the row will have if a value changes."""
    if change.base is not UNSET and change.base == change.value:
        return Merged(result="same", stands=stands, waiting=tuple(waiting))
    there = waiting if stands is None else (stands, *waiting)
    if stands is not None and any(_overtakes(claim, change) for claim in there):
        return Merged(result="overtaken", stands=stands, waiting=tuple(waiting))
    seen = [claim for claim in there if _seen(claim, change, stands)]
    rest = [claim for claim in waiting if claim not in seen]
    mine = Claim(
        id=change.id,
        value=change.value,
        stamp=max([change.stamp, *(_after(claim, change) for claim in seen)]),
        author=change.author,
        office=change.office,
    )
    if stands is None or stands in seen:
        if stands is not None and stands.value == mine.value:
            return Merged(result="same", stands=stands, waiting=_distinct(policy, stands, rest))
        now = msgspec.structs.replace(mine, since=revision)
        return Merged(result="taken", stands=now, waiting=_distinct(policy, now, rest))
    if stands.value == mine.value:
        kept = _stronger(policy, stands, msgspec.structs.replace(mine, since=stands.since))
        return Merged(result="same", stands=kept, waiting=_distinct(policy, kept, rest))
    if rank(policy, mine) > rank(policy, stands):
        now = msgspec.structs.replace(mine, since=revision)
        loser = msgspec.structs.replace(stands, until=revision)
        return Merged(result="won", stands=now, waiting=_distinct(policy, now, [*rest, loser]))
    return Merged(result="lost", stands=stands, waiting=_distinct(policy, stands, [*rest, mine]))


def rank(policy: Policy, claim: Claim) -> tuple[bool, Stamp, bytes]:
    """The order of claims by a policy; the value itself decides between two of one stamp, so that there is no tie."""
    first = {"newest": False, "office": claim.office, "phone": not claim.office}[policy]
    return first, claim.stamp, msgspec.json.encode(claim.value)


def unchanged(change: Change, stands: Claim | None) -> bool:
    """Whether the author of a change had seen what stands."""
    return stands is None or _seen(stands, change, stands)


def _seen(claim: Claim, change: Change, stands: Claim | None) -> bool:
    if claim.author == change.author:
        return True
    if claim is stands and (change.knows or (change.base is not UNSET and change.base == claim.value)):
        return True
    if claim.since is None:
        return False
    if change.base_revision is not None:
        return claim.since <= change.base_revision and (
            claim.until is None or change.base_revision < claim.until
        )
    return change.base is not UNSET and change.base == claim.value


def _overtakes(claim: Claim, change: Change) -> bool:
    """Whether the author wrote this claim after the change. What is written at the desk comes in its own order."""
    if claim.author != change.author or claim.office:
        return False
    return (claim.stamp.counter, claim.stamp.ms) >= (change.stamp.counter, change.stamp.ms)


def _after(claim: Claim, change: Change) -> Stamp:
    """The lowest stamp of a change whose author had seen the claim: what the claim has beaten must not beat it."""
    own = claim.author == change.author and change.stamp.counter > claim.stamp.counter
    return Stamp(claim.stamp.ms if own else claim.stamp.ms + 1, change.stamp.counter, change.stamp.node)


def _stronger(policy: Policy, one: Claim, other: Claim) -> Claim:
    return max(one, other, key=lambda claim: rank(policy, claim))


def _distinct(policy: Policy, stands: Claim, claims: Sequence[Claim]) -> tuple[Claim, ...]:
    """One claim a value, the highest; none of the value that stands, on which all agree."""
    best: dict[bytes, Claim] = {}
    for claim in sorted(claims, key=lambda claim: rank(policy, claim)):
        if claim.value != stands.value:
            best[msgspec.json.encode(claim.value)] = claim
    return tuple(best.values())

"""The rules of merging and of stamps as data: input and outcome, for whoever writes them in another language.

Made by the rules themselves and committed, so that a rule cannot change unseen: it would part two clients that both passed.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import permutations, product
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import UNSET

from callout_contracts.documents import MERGE
from callout_contracts.merging import Change, Claim, Merged, Policy, merge
from callout_contracts.stamps import COUNTER_MAX, Stamp, mint, now, parse

POLICIES: Final[tuple[Policy, ...]] = ("newest", "office", "phone")
PHONE_A, PHONE_B = "device-a", "device-b"
NOON: Final = datetime(2026, 3, 2, 12, tzinfo=UTC)


def vectors() -> dict[str, dict[str, Any]]:
    """By the name of their file: `merge`, single steps and whole histories; `stamps`, how they are minted and sorted."""
    return {
        "merge": {"fields": MERGE, "steps": list(_steps()), "histories": list(_histories())},
        "stamps": {"mint": list(_mints()), "order": _order(), "server": _server()},
    }


def _steps() -> Iterator[dict[str, Any]]:
    """One change against one state of a field: every policy, side, order of stamps and kind of base."""
    bases: list[dict[str, Any]] = [
        {},
        {"base_revision": 1},
        {"base_revision": 2},
        {"base": "before"},
        {"base": "theirs"},
        {"base": "mine"},
        {"base_revision": 1, "base": "theirs"},
        {"knows": True},
    ]
    for policy, office, ms, given in product(POLICIES, (False, True), (10, 30), bases):
        theirs = Claim(
            id="c1", value="theirs", stamp=_stamp(20, office=office), author="user-1" if office else PHONE_B,
            office=office, since=2,
        )  # fmt: skip
        mine = Change(id="c2", value="mine", stamp=_stamp(ms, node="a"), author=PHONE_A, **given)
        yield _step(policy, theirs, (), mine, revision=3)
    mine = Change(id="c2", value="mine", stamp=_stamp(10, node="a"), author=PHONE_A, base_revision=1)
    theirs = Claim(id="c1", value="theirs", stamp=_stamp(20), author=PHONE_B, since=2)
    own = Claim(id="c0", value="mine before", stamp=_stamp(40, node="a"), author=PHONE_A, since=2)
    later = msgspec.structs.replace(own, stamp=_stamp(5, counter=9, node="a"))
    lost = Claim(id="c0", value="mine before", stamp=_stamp(5, node="a"), author=PHONE_A)
    stood = msgspec.structs.replace(theirs, id="c3", value="once", since=2, until=3)
    for change in (mine, msgspec.structs.replace(mine, stamp=_stamp(10, counter=5, node="a"))):
        yield _step("newest", None, (), change, revision=2)
        yield _step("newest", own, (), change, revision=3)
        yield _step("newest", later, (), change, revision=3)
        yield _step("newest", theirs, (lost,), change, revision=3)
        yield _step("newest", msgspec.structs.replace(theirs, value="mine"), (), change, revision=3)
        for base_revision in (2, 3):
            seen = msgspec.structs.replace(change, base_revision=base_revision)
            yield _step("newest", msgspec.structs.replace(theirs, since=3), (stood,), seen, revision=4)


def _histories() -> Iterator[dict[str, Any]]:
    """Changes of which none had seen another, in every order of arrival: all end alike."""
    changes = [
        Change(id="a", value="A", stamp=_stamp(10, node="a"), author=PHONE_A, base_revision=1),
        Change(id="b", value="B", stamp=_stamp(30, node="b"), author=PHONE_B, base_revision=1),
        Change(
            id="o", value="O", stamp=_stamp(20, office=True), author="user-1", office=True, base_revision=1
        ),
    ]
    for policy in POLICIES:
        ends = []
        for order in permutations(changes):
            revision, merged = 1, Merged(result="same", stands=None)
            for change in order:
                merged = merge(policy, merged.stands, merged.waiting, change, revision=revision + 1)
                revision += merged.result in ("taken", "won")
            assert merged.stands is not None
            end = {"stands": merged.stands.value, "waiting": sorted(claim.value for claim in merged.waiting)}
            ends.append({"order": [change.id for change in order], **end})
        yield {"policy": policy, "changes": [_change(change) for change in changes], "ends": ends}


def _step(
    policy: Policy, stands: Claim | None, waiting: tuple[Claim, ...], change: Change, *, revision: int
) -> dict[str, Any]:
    merged = merge(policy, stands, waiting, change, revision=revision)
    return {
        "policy": policy,
        "revision": revision,
        "stands": None if stands is None else _claim(stands),
        "waiting": [_claim(claim) for claim in waiting],
        "change": _change(change),
        "result": merged.result,
        "standsThen": None if merged.stands is None else _claim(merged.stands),
        "waitingThen": [_claim(claim) for claim in merged.waiting],
    }


def _claim(claim: Claim) -> dict[str, Any]:
    return {**msgspec.structs.asdict(claim), "stamp": str(claim.stamp)}


def _change(change: Change) -> dict[str, Any]:
    given = {**msgspec.structs.asdict(change), "stamp": str(change.stamp)}
    del given["base_revision"], given["base"]
    return {
        **given,
        **({} if change.base_revision is None else {"baseRevision": change.base_revision}),
        **({} if change.base is UNSET else {"base": change.base}),
    }


def _stamp(ms: int, *, counter: int = 1, node: str = "b", office: bool = False) -> Stamp:
    return Stamp(ms, COUNTER_MAX, "f" * 8) if office else Stamp(ms, counter, node * 8)


def _mints() -> Iterator[dict[str, Any]]:
    """Clocks that tell the truth, lie ahead, lie years behind; with and without a stamp that was seen."""
    device = UUID("01890000-0000-7000-8000-0000abcdef01")
    made = {
        "an hour ago": NOON - timedelta(hours=1),
        "now": NOON,
        "ahead of the arrival": NOON + timedelta(days=400),
        "years ago": NOON - timedelta(days=4000),
        "before 1970": datetime(1969, 1, 1, tzinfo=UTC),
    }
    seen: dict[str, Stamp | None] = {
        "nothing": None,
        "earlier": Stamp(_ms(NOON) - 7_200_000, 5, "0" * 8),
        "half an hour ago": now(NOON - timedelta(minutes=30)),
        "forged": Stamp(_ms(NOON) + 86_400_000, 0, "0" * 8),
    }
    for (made_name, made_at), (seen_name, stamp), sequence in product(made.items(), seen.items(), (7, 2**40)):
        minted = mint(made_at=made_at, received_at=NOON, seen=stamp, sequence=sequence, device=device)
        yield {
            "name": f"made {made_name}, seen {seen_name}, sequence {sequence}",
            "madeAtMs": _ms(made_at),
            "receivedAtMs": _ms(NOON),
            "seen": None if stamp is None else str(stamp),
            "sequence": sequence,
            "device": str(device),
            "stamp": str(minted),
        }


def _order() -> dict[str, list[str]]:
    """Stamps in ascending order, as texts; and texts that are no stamps."""
    stamps = [
        Stamp(ms, counter, node)
        for ms in (0, 255, 2**40)
        for counter in (0, 16)
        for node in ("0" * 8, "f" * 8)
    ]
    texts = [str(stamp) for stamp in sorted(stamps)]
    bad = [
        "",
        "0",
        texts[0].upper() + "0",
        texts[-1].replace("f", "F"),
        texts[0].replace("-", "_"),
        f" {texts[0]}",
    ]
    for text in bad:
        try:
            parse(text)
        except ValueError:
            continue
        raise AssertionError(text)
    return {"ascending": texts, "refused": bad}


def _server() -> list[dict[str, Any]]:
    return [{"atMs": _ms(at), "stamp": str(now(at))} for at in (NOON, NOON + timedelta(microseconds=1499))]


def _ms(at: datetime) -> int:
    return round((at - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1))

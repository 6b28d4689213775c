"""Merging orders: what comes of several that are one matter does not depend on the order in which it is said."""

import itertools
import random
from typing import Any
from uuid import UUID

import pytest
from prechecks import Desk, make_desk

from callout_backend.wiring import add_hooks
from callout_dispatch import merging
from callout_orders.precheck import taking
from callout_orders.precheck.alike import links
from callout_store.errors import Refusal, WrongState
from callout_store.work import Database


@pytest.fixture
async def desk(db: Database) -> Desk:
    add_hooks(db)
    return await make_desk(db)


async def several(db: Database, desk: Desk, count: int, rng: random.Random) -> list[UUID]:
    """Orders of one customer about one matter, from different people, under different ids and words."""
    made: list[UUID] = []
    for n in range(count):
        async with db.work(desk.org_id) as work:
            taken = await taking.take(
                work,
                desk.request(
                    references=tuple((f"s{m}", f"{n}-{m}") for m in range(rng.randint(1, 3))),
                    contact_phone=f"1391111{n:04d}",
                    contact_name=f"P{n}",
                    customer_id=desk.customer_id,
                    link_duplicates=False,
                    tags=(f"t{n}", "all"),
                ),
            )
        made.append(taken.id)
    return made


async def outcome(db: Database, into: UUID, org_id: UUID, ids: list[UUID]) -> dict[str, Any]:
    """What the orders are after merging, by their place in `ids`."""
    place = {id_: n for n, id_ in enumerate(ids)}
    async with db.work(org_id) as work:
        rows = await work.fetch(
            "select id, state, duplicate_of_id, tags from work_order where id = any($1) order by id", ids
        )
        references = await work.fetch(
            "select system, reference, order_id from external_reference where order_id = any($1)", ids
        )
        (reporters,) = await links.reporters_by_order_ids(work, [into])
    return {
        "orders": {
            place[row["id"]]: (row["state"] == "closed", place.get(row["duplicate_of_id"])) for row in rows
        },
        "tags": next(sorted(row["tags"]) for row in rows if row["id"] == into),
        "references": sorted((row["reference"], place[row["order_id"]]) for row in references),
        "reporters": sorted(one.phone or "" for one in reporters),
        "from": sorted(place[one.from_order_id] for one in reporters),
    }


@pytest.mark.parametrize("case", range(2))
async def test_three_reports_of_one_matter_become_one_in_any_order(
    db: Database, desk: Desk, seed: int, case: int
) -> None:
    """Two agents clear up a morning's doubles from both ends: a caller lost on the way is never called back."""
    found = []
    for way in range(3):
        rng = random.Random(f"{seed}:merge:{case}")
        of = await make_desk(db) if way else desk
        a, b, c = ids = await several(db, of, 3, rng)
        steps = ([(a, b), (a, c)], [(a, c), (a, b)], [(b, c), (a, b)])[way]
        for into, gone in steps:
            async with db.work(of.org_id) as work:
                await merging.merge_orders(work, into, gone)
        found.append(await outcome(db, a, of.org_id, ids))
    assert found[0] == found[1] == found[2]
    assert found[0]["orders"] == {0: (False, None), 1: (True, 0), 2: (True, 0)}
    assert {place for _, place in found[0]["references"]} == {0}
    assert found[0]["reporters"] == ["+8613911110001", "+8613911110002"]
    assert {"t0", "t1", "t2", "all"} <= set(found[0]["tags"])


async def test_merging_again_changes_nothing_and_never_goes_round(
    db: Database, desk: Desk, seed: int
) -> None:
    """A click that was answered late is clicked again; a circle of duplicates would be looked through for ever."""
    rng = random.Random(f"{seed}:merge-again")
    ids = await several(db, desk, 3, rng)
    a, b, c = ids
    for into, gone in ((b, c), (a, b)):
        async with db.work(desk.org_id) as work:
            await merging.merge_orders(work, into, gone)
    before = await outcome(db, a, desk.org_id, ids)
    async with db.work(desk.org_id) as work:
        lines = await work.fetchval("select count(*) from journal")
    for into, gone in itertools.permutations(ids, 2):
        async with db.work(desk.org_id) as work:
            if (into, gone) in ((a, b), (a, c)):
                again = await merging.merge_orders(work, into, gone)
                assert (again.references, again.duplicates) == (0, 0)
                continue
            with pytest.raises(Refusal) as refused:
                await merging.merge_orders(work, into, gone)
            assert refused.value.status < 500
    assert await outcome(db, a, desk.org_id, ids) == before
    async with db.work(desk.org_id) as work:
        assert await work.fetchval("select count(*) from journal") == lines


async def test_what_is_over_is_not_merged_into(db: Database, desk: Desk, seed: int) -> None:
    """The caller's order would vanish into one that nobody looks at any more."""
    a, b = await several(db, desk, 2, random.Random(f"{seed}:merge-over"))
    async with db.work(desk.org_id) as work:
        await work.execute("update work_order set state = 'closed' where id = $1", a)
    async with db.work(desk.org_id) as work:
        with pytest.raises(WrongState):
            await merging.merge_orders(work, a, b)

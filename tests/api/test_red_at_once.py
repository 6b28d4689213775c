"""Dispatchers, phones, workers and the red lane at the same moment, each a process of its own: one wins, the others are told.

Every test plays many rounds; the seed is printed with the run, and the round with a failure.
"""

import asyncio
import random
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from depots import NINE, Depot, deadlocks
from reds import DOUBLE_BOOKED, TWO_VISITS, Sender, lane, phone_of, said, start, time_is_up, turn
from rivals import Rivals, rivals

from callout_dispatch import assign, engineers
from callout_store import timers

TOLD = {"ENGINEER_UNAVAILABLE", "WRONG_STATE", "NO_ENGINEER_FITS", "NOT_FOUND"}
"""What a loser may be told: the time or the order is somebody else's."""


@pytest.fixture
def depot(alone: Depot) -> Depot:
    return alone


def of(depot: Depot, act: str, **more: Any) -> dict[str, Any]:
    return {"act": act, "org": depot.org, "user": depot.dispatcher.user_id, **more}


async def clear(depot: Depot) -> None:
    """Call everything off, so that the next round begins with an empty day."""
    rows = await depot.fetch("select id from work_order where canceled_at is null and org_id = $1", depot.org)
    for row in rows:
        async with depot.work() as work:
            await assign.cancel_order(work, row["id"], "next round")


async def test_two_dispatchers_and_the_red_lane_want_the_same_engineer(
    depot: Depot, fresh_database: Any, seed: int, scale: int
) -> None:
    """Double booking is what dispatchers never forgive: two customers were promised the same hour, and one waits in vain."""
    rng = random.Random(f"{seed}:red-rivals")
    people = await depot.crew(1, 3)
    before = await deadlocks(fresh_database.admin)
    async with rivals(fresh_database, 3) as all_:
        for n in range(12 * scale):
            one = people[0]
            standing = await depot.order(2, duration_minutes=60)
            async with depot.work() as work:
                visit = await assign.assign(work, standing, people[1], NINE + timedelta(hours=4))
            a, b = await depot.order(1), await depot.order(2, priority=rng.choice(["P1", "P2"]))
            urgent = await depot.order(0, priority="P0", duration_minutes=rng.choice([30, 90, 200]))
            slot = (NINE + timedelta(minutes=rng.choice([20, 30, 45]))).isoformat()
            second = rng.choice(
                [
                    of(depot, "hand", order=b, engineer=one, start=slot),
                    of(depot, "pick", order=b),
                    of(depot, "reassign", visit=visit, engineer=one, start=slot),
                    of(depot, "lane", order=urgent),
                    of(depot, "pick", order=urgent),
                ]
            )
            told = [
                of(depot, "hand", order=a, engineer=one, start=slot),
                second,
                of(depot, "lane", order=urgent),
            ]
            rng.shuffle(told)
            answers = await all_.at_once(*told)
            where = f"seed {seed} round {n}: {[one['act'] for one in told]} {answers}"
            for answer in answers:
                assert "ok" in answer or answer.get("refused") in TOLD, where
            assert any("ok" in answer for answer in answers), where
            assert await depot.fetch(DOUBLE_BOOKED) == [], where
            assert await depot.fetch(TWO_VISITS) == [], where
            # Whoever was told that it is theirs has it, and nobody else.
            for one_told, answer in zip(told, answers, strict=True):
                if one_told["act"] == "hand" and "ok" in answer:
                    held = await depot.visit(UUID(answer["ok"]))
                    displaced = await depot.fetch(
                        "select 1 from journal where kind = 'visit.displaced' and visit_id = $1", held["id"]
                    )
                    assert displaced or held["engineer_id"] == one, where
            await clear(depot)
    assert await deadlocks(fresh_database.admin) == before


async def test_two_workers_fire_the_same_timer(
    depot: Depot, fresh_database: Any, seed: int, scale: int
) -> None:
    """Two workers on two machines: the second must not pass over an engineer who has not even been rung up."""
    people = await depot.crew(1, 2, 3)
    async with rivals(fresh_database, 3) as all_:
        for n in range(8 * scale):
            lane_id = await start(depot, await depot.order(priority="P0"))
            await time_is_up(depot, lane_id)
            answers = await all_.at_once(*[of(depot, "drain")] * 3)
            where = f"seed {seed} round {n}: {answers}"
            assert all("ok" in answer for answer in answers), where
            assert await said(depot, lane_id) == [(people[0], "timeout"), (people[1], None)], where
            assert await depot.fetch(DOUBLE_BOOKED) == [], where
            await clear(depot)


async def test_an_answer_races_with_the_timer(
    depot: Depot, fresh_database: Any, seed: int, scale: int
) -> None:
    """The engineer says yes in the very second in which the time runs out: either they go or the next does, never both."""
    rng = random.Random(f"{seed}:red-race")
    one, two = await depot.crew(1, 2)
    phone = await phone_of(depot, one)
    before = await deadlocks(fresh_database.admin)
    async with rivals(fresh_database, 2) as all_:
        for n in range(14 * scale):
            lane_id = await start(depot, await depot.order(priority="P0"))
            visit = (await lane(depot, lane_id))["visit_id"]
            await time_is_up(depot, lane_id)
            await timers.fire_due(depot.db)
            timer = await depot.row("select key, epoch from timer where key = $1", f"red:{lane_id}:1")
            yes = rng.random() < 0.6
            kind, payload = ("visit.accept", {}) if yes else ("visit.decline", {"reason": "busy"})
            fired = of(depot, "advance", lane=lane_id, round=1, key=timer["key"], epoch=timer["epoch"])
            answers = await _race(
                depot,
                all_,
                phone,
                phone.command(kind, visit, payload),
                fired | {"after_s": rng.uniform(0, 0.02)},
                after_s=rng.uniform(0, 0.02),
            )
            where = f"seed {seed} round {n}: {kind} {answers}"
            # What a decline owes is handled by whoever comes next, and what was fired is handled once more.
            await turn(depot)
            [(status, code)] = answers[0]["ok"]
            first = answers[1]["ok"]
            row, asked, held = (
                await lane(depot, lane_id),
                await said(depot, lane_id),
                await depot.visit(visit),
            )
            assert first is (asked[0] == (one, "timeout")), where
            if yes and not first:
                assert status == "applied", where
                assert (row["state"], asked) == ("accepted", [(one, "accepted")]), where
                assert (held["engineer_id"], held["state"]) == (one, "accepted"), where
            else:
                assert (row["state"], asked[1:]) == ("offering", [(two, None)]), where
                assert asked[0] == (one, "timeout" if first else "declined"), where
                assert (status, code) == (("conflict", "REASSIGNED") if yes else ("applied", None)), where
                assert (held["engineer_id"], held["state"]) == (two, "dispatched"), where
            await clear(depot)
    assert await deadlocks(fresh_database.admin) == before


@pytest.mark.parametrize("other", ("cancel", "lower"))
async def test_a_decline_races_with_what_the_dispatcher_decides(
    depot: Depot, fresh_database: Any, seed: int, scale: int, other: str
) -> None:
    """The customer calls the order off while the engineer declines: nobody may be sent there any more, and no lane goes on
    ringing for an order that is over or that burns no more."""
    rng = random.Random(f"{seed}:red-decides:{other}")
    one, two = await depot.crew(1, 2)
    phone = await phone_of(depot, one)
    before = await deadlocks(fresh_database.admin)
    async with rivals(fresh_database, 2) as all_:
        for n in range(10 * scale):
            order = await depot.order(priority="P0")
            lane_id = await start(depot, order)
            visit = (await lane(depot, lane_id))["visit_id"]
            no = phone.command("visit.decline", visit, {"reason": "busy"})
            decides = of(depot, other, order=order, after_s=rng.uniform(0, 0.03))
            answers = await _race(depot, all_, phone, no, decides, after_s=rng.uniform(0, 0.01))
            where = f"seed {seed} round {n}: {answers}"
            assert answers[0]["ok"] == [["applied", None]], where
            assert "ok" in answers[1], where
            await turn(depot)
            await time_is_up(depot, lane_id)
            await turn(depot)
            row, held = await lane(depot, lane_id), await depot.visit(visit)
            assert row["state"] == "canceled", where
            assert all(answer is not None for _, answer in await said(depot, lane_id)), where
            assert two != held["engineer_id"], where
            if other == "cancel":
                assert held["state"] == "canceled", where
            else:
                assert held["state"] in ("canceled", "dispatched"), where
            await clear(depot)
    assert await deadlocks(fresh_database.admin) == before


async def test_an_engineer_sets_out_while_the_visit_is_displaced(
    depot: Depot, fresh_database: Any, seed: int, scale: int
) -> None:
    """The P2's engineer drives off in the second in which a P0 takes their hour: either they drive and the P0 finds another
    place, or the P2 has moved and the phone is told. Never is a visit moved under an engineer on the road."""
    rng = random.Random(f"{seed}:red-displaced")
    # Too short a day for both, so that the P2 goes to the other one.
    [one] = await depot.crew(1, hours=6)
    await depot.crew(20)
    phone = await phone_of(depot, one)
    before = await deadlocks(fresh_database.admin)
    async with rivals(fresh_database, 2) as all_:
        for n in range(10 * scale):
            async with depot.work() as work:
                await engineers.mark_seen(work, one)
            low = await depot.order(1, priority="P2", duration_minutes=240)
            async with depot.work() as work:
                start_at = NINE + timedelta(minutes=20)
                visit = await assign.assign(work, low, one, start_at, override=True, reason="test")
            planned = (await depot.visit(visit))["scheduled_start"]
            order = await depot.order(0, priority="P0", duration_minutes=120)
            lanes = of(depot, "lane", order=order, after_s=rng.uniform(0, 0.15))
            travel = phone.command("visit.travel", visit)
            answers = await _race(depot, all_, phone, travel, lanes, after_s=rng.uniform(0, 0.2))
            where = f"seed {seed} round {n}: {answers}"
            assert "ok" in answers[1], where
            [(status, code)] = answers[0]["ok"]
            held = await depot.visit(visit)
            displaced = await depot.fetch(
                "select data->>'became' as b from journal where kind = 'visit.displaced' and visit_id = $1",
                visit,
            )
            if not displaced:
                assert status == "applied", where
                assert (held["state"], held["engineer_id"]) == ("travelling", one), where
                assert held["scheduled_start"] == planned, where
            elif displaced[0]["b"] == "moved":
                # Still theirs, at a later hour: whoever sets out for it anyway is on the way.
                assert (status, held["engineer_id"]) == ("applied", one), where
                assert held["scheduled_start"] > planned, where
            else:
                assert (status, code) == ("conflict", "REASSIGNED"), where
                assert held["engineer_id"] != one, where
            assert await depot.fetch(DOUBLE_BOOKED) == [], where
            await clear(depot)
    assert await deadlocks(fresh_database.admin) == before


async def _race(
    depot: Depot,
    all_: Rivals,
    phone: Sender,
    command: dict[str, Any],
    other: dict[str, Any],
    after_s: float = 0.0,
) -> list[dict[str, Any]]:
    pushed = {**of(depot, "push"), "user": phone.actor.user_id, "device": phone.actor.device_id}
    pushed |= {"after_s": after_s}
    return await all_.at_once({**pushed, "commands": [command]}, other)


@pytest.mark.parametrize("moment", ("claim", "stall"))
async def test_a_worker_that_is_killed_loses_no_lane(depot: Depot, fresh_database: Any, moment: str) -> None:
    """The machine dies between the timer's firing and the next engineer's phone, with the message in hand or with all but
    the commit done: the next worker goes on, with the engineer who is next and not with the one after."""
    people = await depot.crew(1, 2, 3)
    lane_id = await start(depot, await depot.order(priority="P0"))
    await time_is_up(depot, lane_id)
    async with rivals(fresh_database, 1) as all_:
        [answer] = await all_.at_once(of(depot, moment))
        assert answer["ok"] in (1, "before commit")
        all_.rivals[0].kill()
        await all_.rivals[0].process.wait()
    assert await said(depot, lane_id) == [(people[0], None)]
    async with asyncio.timeout(60):
        # Until the dead worker's lease has run out.
        while await turn(depot) == 0:  # noqa: ASYNC110 - it runs out by the database's clock
            await asyncio.sleep(0.05)
    assert await said(depot, lane_id) == [(people[0], "timeout"), (people[1], None)]
    assert await depot.fetch(DOUBLE_BOOKED) == []

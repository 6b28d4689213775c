"""Decisions made again from what was stored of them, and the question why somebody was not chosen."""

import dataclasses
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from depots import NINE, Depot
from graph import Graph, application, token_of
from worlds import World

from callout_backend.settings import Settings
from callout_dispatch import assign, decisions, engineers, pick_record, policies, visit_rows
from callout_dispatch.engineer_terms import NewAbsence
from callout_dispatch.policy import OBJECTIVES
from callout_orders.terms import Priority
from callout_store.errors import BadField, NotFound
from callout_store.ids import new_id
from callout_store.work import Database

AVAILABLE = {"rule": "availability"}
ONLY_TRAVEL = {"rules": [AVAILABLE, {"rule": "skills"}],
               "objectives": {p.value: {"travel": 1} for p in Priority}}  # fmt: skip
ONLY_FIT = {"rules": [AVAILABLE, {"rule": "skills"}],
            "objectives": {p.value: {"skill_fit": 1} for p in Priority}}  # fmt: skip


async def decide(depot: Depot, order: UUID) -> UUID:
    """Give the order to the best; the decision's id."""
    async with depot.work() as work:
        await assign.dispatch_order(work, order)
    row = await depot.row(
        "select id from dispatch_decision where order_id = $1 order by id desc limit 1", order
    )
    return UUID(str(row["id"]))


async def use(depot: Depot, body: dict[str, Any]) -> int:
    async with depot.work() as work:
        return await policies.save(work, body, activate=True)


async def replay(depot: Depot, id_: UUID, version: int | None = None) -> decisions.Replay:
    async with depot.work() as work:
        return await decisions.replay(work, id_, version)


async def why(depot: Depot, engineer: UUID, locale: str = "en", **what: UUID) -> decisions.WhyNot:
    actor = dataclasses.replace(depot.dispatcher, locale=locale)
    async with depot.db.work(depot.org, actor=actor) as work:
        return await decisions.why_not(work, engineer, **what)


async def test_a_decision_comes_out_the_same_whatever_happened_since(depot: Depot) -> None:
    """A customer who complains a month later must be told what was true then, not what is true now."""
    near, far, weak = await depot.crew(2, 9, 1, skills=[{"hvac": 4}, {"hvac": 2}, {"hvac": 1}])
    order = await depot.order()
    id_ = await decide(depot, order)
    await depot.at(near, 60)
    async with depot.work() as work:
        await engineers.set_absence(
            work, NewAbsence(engineer_id=far, starts_at=NINE, ends_at=NINE + timedelta(days=1))
        )
        await engineers.set_skills(work, {weak: {"hvac": 5}})
    again = await replay(depot, id_)
    assert again.same is True
    assert (again.kept, again.total) == (3, 3)
    assert again.result.best == str(again.decision.engineer_id)
    assert {one.id for one in again.result.ranked} == {str(near), str(far)}
    assert [one.id for one in again.result.out] == [str(weak)]
    assert again.names[str(near)] == "Engineer 0"
    assert await replay(depot, id_) == again
    count = await depot.row("select count(*) as n from dispatch_decision")
    assert count["n"] == 1, "asking again decides nothing"


async def test_another_policy_gives_its_own_answer(depot: Depot) -> None:
    """Who weighs a new policy must see on a real day whom it would have sent."""
    near, exact = await depot.crew(1, 20, skills=[{"hvac": 5}, {"hvac": 2}])
    fit = await use(depot, ONLY_FIT)
    travel = await use(depot, ONLY_TRAVEL)
    id_ = await decide(depot, await depot.order())
    mine, other = await replay(depot, id_), await replay(depot, id_, fit)
    assert (mine.result.best, mine.result.policy_version, mine.same) == (str(near), str(travel), True)
    assert (other.result.best, other.result.policy_version, other.same) == (str(exact), str(fit), False)
    assert (await replay(depot, id_, travel)).same is True
    assert (await replay(depot, id_, 0)).result.policy_version == "0"
    with pytest.raises(NotFound):
        await replay(depot, id_, 99)


async def test_why_not_compares_with_the_one_who_was_chosen(depot: Depot) -> None:
    """'Why not Li?' is answered in figures that add up, or nobody believes the machine."""
    near, far = await depot.crew(1, 25)
    id_ = await decide(depot, await depot.order())
    told = await why(depot, far, decision_id=id_)
    assert (told.chosen_id, told.rank, told.ranked_count, told.recomputed) == (near, 2, 2, False)
    assert told.ranked is not None
    assert told.chosen is not None
    assert {one.component for one in told.components} == {one.value for one in OBJECTIVES}
    gap = sum(one.points or 0.0 for one in told.components)
    assert gap == pytest.approx(told.ranked.score - told.chosen.score, abs=1e-4)
    assert gap < 0
    assert "Engineer 1 could have gone, as number 2 of 2" in told.sentence
    assert "Travel" in told.sentence
    own = await why(depot, near, decision_id=id_)
    assert (own.rank, own.sentence.startswith("Engineer 0 was chosen: number 1 of 2")) == (1, True)
    assert sum(one.points or 0.0 for one in own.components) == 0


async def test_why_not_names_the_reasons_in_the_callers_language(depot: Depot) -> None:
    """A dispatcher in Shenzhen reads why somebody could not go, with the level that was missing."""
    _, weak = await depot.crew(5, 1, skills=[{"hvac": 3}, {"lift": 3}])
    order = await depot.order()
    id_ = await decide(depot, order)
    told = await why(depot, weak, decision_id=id_)
    assert [one.code.value for one in told.reasons] == ["SKILL_MISSING"]
    assert (told.rank, told.ranked, told.components) == (None, None, ())
    assert "lacks the skill hvac" in told.sentence
    chinese = await why(depot, weak, "zh", order_id=order)
    assert chinese.decision.id == id_
    assert "缺少技能 hvac" in chinese.sentence
    assert chinese.sentence.endswith("。")


async def test_who_came_later_is_answered_as_of_now(depot: Depot) -> None:
    """Of an engineer about whom nothing was kept the honest answer is today's, said to be today's."""
    (first,) = await depot.crew(8)
    order = await depot.order()
    id_ = await decide(depot, order)
    (late,) = await depot.crew(1)
    told = await why(depot, late, decision_id=id_)
    assert (told.recomputed, told.as_of, told.rank) == (True, NINE, 1)
    assert told.chosen is not None, "the visit that stands is not in its own way"
    assert told.chosen.slot_start < NINE + timedelta(hours=1)
    assert "as things are now" in told.sentence
    assert "better choice" in told.sentence
    assert "目前" in (await why(depot, late, "zh", decision_id=id_)).sentence
    async with depot.work() as work:
        await engineers.set_active(work, late, False)
    told = await why(depot, late, decision_id=id_)
    assert (told.rank, told.reasons, "not in service" in told.sentence) == (None, (), True)
    assert (await why(depot, first, decision_id=id_)).recomputed is False


async def test_of_many_those_who_matter_are_kept(depot: Depot) -> None:
    """With ten thousand engineers a decision cannot keep all of them; those it dropped must not be answered wrongly."""
    extra = 5
    crew = await depot.crew(*(1 + n / 20 for n in range(pick_record.CANDIDATES_MAX + extra)))
    id_ = await decide(depot, await depot.order())
    again = await replay(depot, id_)
    assert (again.same, again.kept, again.total) == (True, len(crew) - extra, len(crew))
    last = await why(depot, crew[-1], decision_id=id_)
    assert last.recomputed
    assert last.rank is not None
    assert last.rank > 1
    middle = await why(depot, crew[150], decision_id=id_)
    assert (middle.recomputed, middle.rank_at_best) == (False, True)
    assert (await why(depot, crew[50], decision_id=id_)).rank_at_best is False


async def test_a_decision_by_hand_is_asked_about_too(depot: Depot) -> None:
    """The dispatcher's own choices are those that colleagues ask about most."""
    near, far = await depot.crew(1, 25)
    order = await depot.order()
    async with depot.work() as work:
        await assign.assign(work, order, far)
    told = await why(depot, near, order_id=order)
    assert (told.recomputed, told.chosen_id, told.rank) == (True, far, 1)
    again = await replay(depot, told.decision.id)
    assert again.result.best == str(far)


@pytest.mark.parametrize("kept", (None, b"no record"))
async def test_what_kept_nothing_says_so(depot: Depot, kept: bytes | None) -> None:
    """Decisions of before there was a record, or of a later version of the house, cannot be made again: that is an
    answer, and no fault of the server."""
    (one,) = await depot.crew(1)
    order = await depot.order()
    async with depot.work() as work:
        bare = visit_rows.Decision(
            order_id=order,
            visit_id=None,
            engineer_id=one,
            method="hand",
            policy_version="2026-1",
            result={},
            input=kept,
        )
        await visit_rows.insert_decisions(work, [bare])
    row = await depot.row("select id from dispatch_decision where order_id = $1", order)
    with pytest.raises(BadField) as caught:
        await replay(depot, row["id"])
    assert caught.value.message("zh") != caught.value.message("en")
    assert (await why(depot, one, decision_id=row["id"])).recomputed


async def test_what_is_not_there_is_not_found(depot: Depot) -> None:
    """A neighbour's decision shows whom they employ and where they were."""
    (one,) = await depot.crew(1)
    id_ = await decide(depot, await depot.order())
    other = await Depot(depot.db).build()
    (theirs,) = await other.crew(1)
    with pytest.raises(NotFound):
        await replay(other, id_)
    with pytest.raises(NotFound):
        await why(other, theirs, decision_id=id_)
    with pytest.raises(NotFound):
        await why(depot, theirs, decision_id=id_)
    with pytest.raises(NotFound):
        await why(depot, one, order_id=new_id())
    with pytest.raises(BadField):
        await why(depot, one)
    async with other.work() as work:
        assert await decisions.decision(work, id_) is None


async def test_through_the_door(settings: Settings, db: Database) -> None:
    """The screen asks by GraphQL: record, replay and the question, each to the office only."""
    world = await World(db).build()
    order = await world.order()
    async with db.work(world.org, actor=world.dispatcher) as work:
        await engineers.mark_seen(work, *(phone.engineer_id for phone in world.phones))
        await assign.dispatch_order(work, order)
    (row,) = await world.fetch("select id, engineer_id from dispatch_decision where order_id = $1", order)
    chosen = row["engineer_id"]
    other = next(phone.engineer_id for phone in world.phones if phone.engineer_id != chosen)
    text = """query($id: UUID!, $e: UUID!, $n: Int) {
      decision(id: $id) { method engineerId policyVersion }
      replayDecision(id: $id, policyVersion: $n) {
        same kept total decision { id } best policyVersion ranked { engineerId score scores { component } }
      }
      whyNot(decisionId: $id, engineerId: $e) {
        rank recomputed chosenId score chosenScore text components { component label points } reasons { code }
      }
    }"""
    async with application(settings, db) as (app, http):
        assert world.dispatcher.user_id is not None
        desk = Graph(http, await token_of(db, app.state.issuer, world.org, world.dispatcher.user_id))
        found = await desk.ask(text, {"id": str(row["id"]), "e": str(other)})
        assert found["decision"] == {"method": "pick", "engineerId": str(chosen), "policyVersion": "0"}
        again = found["replayDecision"]
        assert (again["same"], again["kept"], again["best"]) == (True, 2, str(chosen))
        assert len(again["ranked"][0]["scores"]) == len(OBJECTIVES)
        told = found["whyNot"]
        assert (told["rank"], told["recomputed"], told["chosenId"]) == (2, False, str(chosen))
        assert sum(one["points"] for one in told["components"]) == pytest.approx(
            told["score"] - told["chosenScore"], abs=1e-4
        )
        assert (await desk.refused(text, {"id": str(row["id"]), "e": str(other), "n": 7}))[
            "code"
        ] == "NOT_FOUND"
        assert (await desk.ask("query($id: UUID!) { decision(id: $id) { id } }", {"id": str(new_id())}))[
            "decision"
        ] is None
        user = world.phones[0].actor.user_id
        assert user is not None
        phone = Graph(http, await token_of(db, app.state.issuer, world.org, user))
        assert (await phone.refused(text, {"id": str(row["id"]), "e": str(other)}))["code"] == "NOT_ALLOWED"

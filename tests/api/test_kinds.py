"""Kinds of order in the database and through `/graphql`: versions, who may, and an order's own fields."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from graph import Graph, application, someone, token_of
from worlds import World

from callout_backend.settings import Settings
from callout_graphql.operations.kinds import KINDS
from callout_orders import orders
from callout_orders.kinds import library, values, versions
from callout_orders.kinds.versions import KindRefused
from callout_people.principals import Role
from callout_store.errors import NotFound, WrongState
from callout_store.work import Database

LIFT = """
# Lifts of the north.
code = "lift"
label = { en = "Lift", zh = "电梯" }

[[fields]]
code = "floors"
label = { en = "Floors", zh = "楼层" }
type = "integer"
low = 1
high = 200

[[steps]]
code = "check"
label = { en = "Check", zh = "检查" }
owner = "handler"
fields = ["floors"]
next = [{ to = "end" }]

[[steps]]
code = "end"
label = { en = "End", zh = "结束" }
owner = "system"
"""
LOOP = LIFT.replace('owner = "system"', 'owner = "system"\nnext = [{ to = "check" }]')


@pytest.fixture
async def world(db: Database) -> World:
    return await World(db).build(phones=1)


@pytest.fixture
async def client(settings: Settings, db: Database) -> AsyncIterator[Any]:
    async with application(settings, db) as both:
        yield both


async def graph_of(client: Any, world: World, role: Role) -> Graph:
    app, http = client
    user = world.phones[0].actor.user_id if role is Role.ENGINEER else await someone(world, role)
    assert user is not None
    return Graph(http, await token_of(world.db, app.state.issuer, world.org, user))


async def run(graph: Graph, name: str, **variables: Any) -> Any:
    answer = (await graph.send(KINDS, variables, operationName=name)).json()
    assert "errors" not in answer, answer["errors"]
    (found,) = answer["data"].values()
    return found


async def refused(graph: Graph, name: str, **variables: Any) -> dict[str, Any]:
    answer = (await graph.send(KINDS, variables, operationName=name)).json()
    found: dict[str, Any] = answer["errors"][0]["extensions"]
    return found


async def act(world: World, do: Any) -> Any:
    return await world.db.run(world.org, do, actor=world.dispatcher)


async def test_five_kinds_are_there_on_the_first_day(world: World) -> None:
    """L5: an organisation that configured nothing must be able to take in orders."""
    async with world.db.work(world.org) as work:
        assert list(await versions.active(work)) == list(library.TEMPLATES)
        assert [(one.code, one.version, one.active) for one in await versions.current(work)] == [
            (code, 0, True) for code in library.TEMPLATES
        ]
        with pytest.raises(NotFound):
            await versions.get(work, "lift")


async def test_a_kind_is_saved_activated_changed_and_retired(world: World) -> None:
    """A draft that orders were taken in by, or an edit of a version that orders run on, would change the rules under
    people's hands."""
    first = await act(world, lambda work: versions.save(work, LIFT, note="new"))
    assert (first.version, first.active, first.source) == (1, False, LIFT)
    again = await act(world, lambda work: versions.save(work, LIFT))
    assert again.version == 1
    async with world.db.work(world.org) as work:
        assert "lift" not in await versions.active_codes(work)
        assert (await versions.get(work, "lift")).version == 1
    await act(world, lambda work: versions.activate(work, "lift", 1))
    second = await act(world, lambda work: versions.save(work, LIFT.replace("200", "300")))
    assert second.version == 2
    async with world.db.work(world.org) as work:
        assert (await versions.active(work))["lift"].version == 1
        both = await versions.kinds_of(work, [("lift", 1), ("lift", 2), ("service", 0)])
        assert [both["lift", n].fields[0].high for n in (1, 2)] == [200, 300]
    await act(world, lambda work: versions.activate(work, "lift", 2))
    await act(world, lambda work: versions.retire(work, "lift"))
    async with world.db.work(world.org) as work:
        assert "lift" not in await versions.active(work)
        assert "lift" in await versions.codes(work)
        assert [one.version for one in await versions.versions(work, "lift")] == [2, 1]
        kinds = await work.fetch("select kind from journal where entity = 'order_kind' order by id")
    assert [row["kind"] for row in kinds] == [
        "kind.saved", "kind.activated", "kind.saved", "kind.activated", "kind.retired",
    ]  # fmt: skip
    await act(world, lambda work: versions.activate(work, "lift", 1))
    async with world.db.work(world.org) as work:
        assert (await versions.active(work))["lift"].version == 1


async def test_a_built_in_kind_can_be_replaced_and_brought_back(world: World) -> None:
    """Whoever spoiled the repair flow on a Friday needs the way back."""
    own = library.template("repair").replace("> 500", "> 2000")
    saved = await act(world, lambda work: versions.save(work, own))
    await act(world, lambda work: versions.activate(work, "repair", saved.version))
    async with world.db.work(world.org) as work:
        assert (await versions.active(work))["repair"].version == 1
        of = {one.code: one.version for one in await versions.current(work)}
        assert of == dict.fromkeys(library.TEMPLATES, 0) | {"repair": 1}
    await act(world, lambda work: versions.activate(work, "repair", 0))
    async with world.db.work(world.org) as work:
        assert (await versions.active(work))["repair"].kind == library.built_in()["repair"]
        assert [one.version for one in await versions.versions(work, "repair")] == [1, 0]


async def test_two_who_save_at_once_make_two_versions(world: World) -> None:
    """One of two colleagues' work would be gone without a word."""
    texts = [LIFT.replace("north", name) for name in ("east", "west", "south", "sea")]
    saved = await asyncio.gather(
        *(act(world, lambda work, text=text: versions.save(work, text)) for text in texts)
    )
    assert sorted(one.version for one in saved) == [1, 2, 3, 4]


async def test_a_version_that_was_rolled_back_is_forgotten(world: World) -> None:
    """Its number goes to another one: a process that remembered it would run orders by a flow nobody saved."""
    with contextlib.suppress(LookupError):
        async with world.db.work(world.org, actor=world.dispatcher) as work:
            await versions.save(work, LIFT.replace("200", "50"))
            await versions.kinds_of(work, [("lift", 1)])
            raise LookupError
    assert (await act(world, lambda work: versions.save(work, LIFT))).version == 1
    async with world.db.work(world.org) as work:
        (kind,) = (await versions.kinds_of(work, [("lift", 1)])).values()
    assert kind.fields[0].high == 200


async def test_the_last_kind_stays(world: World) -> None:
    """With none left no door could take in an order."""
    for code in library.TEMPLATES[:-1]:
        await act(world, lambda work, code=code: versions.retire(work, code))
    with pytest.raises(WrongState):
        await act(world, lambda work: versions.retire(work, library.TEMPLATES[-1]))


async def test_a_loop_is_not_saved_and_a_version_is_never_changed(world: World) -> None:
    """A flow that goes round would hold its orders for ever; a version that changes would move orders that run."""
    with pytest.raises(KindRefused) as caught:
        await act(world, lambda work: versions.save(work, LOOP))
    assert {one.code for one in caught.value.found} == {"cycle", "dead_end", "loop_runs_out"}
    await act(world, lambda work: versions.save(work, LIFT))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with world.db.work(world.org) as work:
            await work.execute("update order_kind set body = '{}' where code = 'lift'")


async def test_another_organisation_has_none_of_it(world: World, db: Database) -> None:
    """A competitor's flows are their business, and a code of theirs must stay free here."""
    await act(world, lambda work: versions.save(work, LIFT))
    await act(world, lambda work: versions.activate(work, "lift", 1))
    other = await World(db).build(phones=0)
    async with db.work(other.org) as work:
        assert "lift" not in await versions.codes(work)
        with pytest.raises(NotFound):
            await versions.kinds_of(work, [("lift", 1)])


# ------------------------------------------------------------------------------------------------ fields of an order


async def test_fields_are_filled_in_step_by_step_and_journaled(world: World) -> None:
    """What the engineer wrote yesterday must not be gone because the office fills in the cost today."""
    order_id = await world.order()
    first = await act(world, lambda work: values.set_fields(work, order_id, {"fault_cause": "wear"}))
    second = await act(
        world, lambda work: values.set_fields(work, order_id, {"repair_cost": 620.5}, revision=first)
    )
    assert second == first + 1
    same = await act(world, lambda work: values.set_fields(work, order_id, {"repair_cost": 620.5}))
    assert same == second
    third = await act(world, lambda work: values.set_fields(work, order_id, {"fault_cause": None}))
    assert third == second + 1
    async with world.db.work(world.org) as work:
        (found,) = await values.by_order_ids(work, [order_id])
        lines = await work.fetch(
            "select data::text as data from journal where kind = 'work_order.fields_set' and order_id = $1 order by id",
            order_id,
        )
    assert found is not None
    assert (found.code, found.version, found.values) == ("repair", 0, {"repair_cost": 620.5})
    assert len(lines) == 3
    assert '"to": 620.5' in lines[1]["data"]


async def test_an_order_that_was_called_off_keeps_its_fields(world: World) -> None:
    """What was agreed on cannot be rewritten after the end."""
    order_id = await world.order()
    await act(world, lambda work: orders.cancel_order(work, order_id, "mistake"))
    with pytest.raises(WrongState):
        await act(world, lambda work: values.set_fields(work, order_id, {"repair_cost": 1}))


# ------------------------------------------------------------------------------------------------ GraphQL


async def test_a_supervisor_configures_and_a_dispatcher_may_not(client: Any, world: World) -> None:
    """Who may change how orders run is decided in one table; a dispatcher fills in fields and no more."""
    boss, desk = (
        await graph_of(client, world, Role.SUPERVISOR),
        await graph_of(client, world, Role.DISPATCHER),
    )
    assert (await refused(desk, "SaveOrderKind", toml=LIFT))["code"] == "NOT_ALLOWED"
    saved = await run(boss, "SaveOrderKind", toml=LIFT, activate=True)
    assert saved == {"code": "lift", "version": 1, "active": True}
    listed = await run(desk, "OrderKinds")
    assert [row["code"] for row in listed] == [*library.TEMPLATES, "lift"]
    one = await run(desk, "OrderKind", code="lift")
    assert one["source"] == LIFT
    assert one["svg"].startswith("<svg")
    assert one["jsonSchema"]["properties"]["floors"]["maximum"] == 200
    assert (await run(boss, "RetireOrderKind", code="lift"))["retired"] is True
    assert (await run(boss, "ActivateOrderKind", code="lift", version=1))["active"] is True
    assert [row["version"] for row in await run(desk, "OrderKindVersions", code="lift")] == [1]


async def test_a_check_says_everything_and_stores_nothing(client: Any, world: World) -> None:
    """The editor shows all findings at once, while somebody types."""
    boss = await graph_of(client, world, Role.ADMIN)
    said = await run(boss, "CheckOrderKind", toml=LOOP.replace('"floors"]', '"doors"]'))
    assert said["ok"] is False
    assert {row["code"] for row in said["findings"]} == {"cycle", "dead_end", "loop_runs_out", "name"}
    assert said["svg"].startswith("<svg")
    broken = await run(boss, "CheckOrderKind", toml="code =")
    assert (broken["ok"], broken["svg"], broken["findings"][0]["code"]) == (False, None, "kind_toml")
    errors = (await refused(boss, "SaveOrderKind", toml=LOOP))["errors"]
    assert {row["reason"] for row in errors} == {"cycle", "dead_end", "loop_runs_out"}
    assert await run(boss, "OrderKinds") != []
    assert (await refused(boss, "OrderKind", code="lift"))["code"] == "NOT_FOUND"


async def test_an_engineer_fills_in_fields_of_their_own_orders_alone(client: Any, world: World) -> None:
    """On site the cause of the fault is known; of other people's orders an engineer knows nothing."""
    mine, other = str(await world.order()), str(await world.order())
    await world.visit(world.phones[0], UUID(mine))
    engineer = await graph_of(client, world, Role.ENGINEER)
    done = await run(engineer, "SetOrderFields", orderId=mine, fields={"fault_cause": "wear"})
    assert done["fields"] == {"fault_cause": "wear"}
    hidden = await refused(engineer, "SetOrderFields", orderId=other, fields={"fault_cause": "wear"})
    assert hidden["code"] == "NOT_FOUND"
    bad = await refused(engineer, "SetOrderFields", orderId=mine, fields={"repair_cost": -1, "colour": 1})
    assert {row["path"] for row in bad["errors"]} == {"fields.repair_cost", "fields.colour"}
    assert (await refused(engineer, "SetOrderFields", orderId=mine, fields=[1]))["path"] == "fields"

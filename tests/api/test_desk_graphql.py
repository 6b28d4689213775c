"""The desk through GraphQL: who may use which field, what refusals say, and that news reaches open screens."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from desks import Desk
from graph import Graph, application, token_of
from litestar import Litestar

from callout_backend.settings import Settings
from callout_graphql.listening import ear_of
from callout_graphql.operations.answering import DESK, DIRECTORY
from callout_orders.desk import todos
from callout_orders.desk.todos import NewTodo
from callout_people.principals import Role
from callout_people.sessions import authenticate
from callout_people.users import NewUser, create_user
from callout_store.work import Database


@pytest.fixture(scope="module")
async def app(settings: Settings, db: Database) -> AsyncIterator[tuple[Litestar, httpx.AsyncClient]]:
    async with application(settings, db) as made:
        yield made


@pytest.fixture
async def desk(app: Any, db: Database) -> Desk:
    return await Desk(db).open()


async def graph(app: tuple[Litestar, httpx.AsyncClient], desk: Desk, name: str) -> Graph:
    litestar, client = app
    return Graph(client, await token_of(desk.db, litestar.state.issuer, desk.org, desk.people[name]))


async def act(who: Graph, name: str, **variables: Any) -> Any:
    """Run one of the desk's own operations; its answer whole."""
    document = DIRECTORY if f" {name}(" in DIRECTORY or f" {name} " in DIRECTORY else DESK
    return (await who.send(document, variables, operationName=name)).json()


async def data(who: Graph, name: str, **variables: Any) -> Any:
    answer = await act(who, name, **variables)
    assert "errors" not in answer, answer["errors"]
    return next(iter(answer["data"].values()))


async def test_a_shift_at_the_desk(app: Any, desk: Desk) -> None:
    """From coming in to the answer, with the operations that our own page and other clients send."""
    ann = await graph(app, desk, "ann")
    assert (await data(ann, "Heartbeat"))["state"] == "online"
    order = str(await desk.order(priority="P0"))
    page = await data(ann, "Desk", filter={"mine": True})
    [row] = page["nodes"]
    assert (row["orderId"], row["red"], row["handlerName"], row["epoch"]) == (order, True, "Ann", 1)
    assert 890 <= row["remainingSeconds"] <= 900
    assert page["now"]
    sam = await graph(app, desk, "sam")
    taken = await data(sam, "TakeOver", orderId=order, epoch=1, reason="I know them")
    assert taken["handlerId"] == str(desk.people["sam"])
    [todo] = (await data(sam, "MyTodos", locale="zh"))["nodes"]
    assert "请响应工单" in todo["text"]
    assert (await data(sam, "AcknowledgeTodo", id=todo["id"]))["state"] == "acknowledged"
    assert (await data(ann, "MyTodos"))["nodes"] == []
    assert (await data(sam, "RespondToOrder", orderId=order, text="Hello"))["first"]
    assert (await data(sam, "MyTodos"))["nodes"] == []
    [row] = (await data(ann, "Desk", filter={"answered": True}))["nodes"]
    assert row["respondedAt"]
    assert (await data(ann, "SetPresence", state="away"))["byHand"]


async def test_refusals_name_who_and_what_to_give(app: Any, desk: Desk) -> None:
    """An agent who is refused must know whom to ask, a client which epoch to send next; in the caller's language."""
    await desk.come("ann")
    order = str(await desk.order())
    ann, sam = await graph(app, desk, "ann"), await graph(app, desk, "sam")
    [refused] = (
        await act(ann, "MoveDeadline", orderId=order, milestone="first_response", minutes=5, reason="x")
    )["errors"]
    assert refused["extensions"]["code"] == "FALLBACK_ONLY"
    assert refused["extensions"]["right"] == "move_deadline"
    assert refused["extensions"]["holders"][0]["name"] == "Fay"
    await data(sam, "TakeOver", orderId=order, epoch=1, reason="x")
    sue = await graph(app, desk, "sue")
    [lost] = (await act(sue, "TakeOver", orderId=order, epoch=1, reason="x"))["errors"]
    assert lost["extensions"]["code"] == "HANDLER_CHANGED"
    assert int(lost["extensions"]["details"]["epoch"]) == 2
    assert "Sam" in lost["message"]


async def test_teams_and_directory_are_set_up_by_those_who_may(app: Any, desk: Desk) -> None:
    """Whoever can put themselves on duty can give themselves every right of the fallback."""
    fay, adi = await graph(app, desk, "fay"), await graph(app, desk, "adi")
    team = {"code": "east", "nameEn": "East", "nameZh": "东区", "timeZone": "Asia/Shanghai"}
    duty = [{"userId": str(desk.people["fay"]), "weekday": 0, "starts": "22:00", "ends": "06:00"}]
    for name, variables in (
        ("SaveTeam", {"input": team}),
        ("SetDuty", {"teamId": str(desk.team), "duties": duty}),
        ("SaveStaff", {"userId": str(desk.people["fay"]), "input": {"department": "IT"}}),
        ("SetStaffPosts", {"userId": str(desk.people["fay"]), "posts": [{"post": "finance"}]}),
    ):
        [refused] = (await act(fay, name, **variables))["errors"]
        assert refused["extensions"]["code"] == "NOT_ALLOWED", name
        assert "errors" not in await act(adi, name, **variables), name
    found = await data(fay, "Directory", filter={"post": "finance"})
    assert [one["name"] for one in found["nodes"]] == ["Fay"]
    teams = await data(fay, "Teams")
    [duty_row] = next(one for one in teams if one["id"] == str(desk.team))["duties"]
    assert (duty_row["starts"], duty_row["ends"], duty_row["name"]) == ("22:00", "06:00", "Fay")
    said = await data(fay, "WhoAnswers", kind="repair")
    assert said["teamBy"] == ["any"]


@pytest.mark.parametrize("role", (Role.ENGINEER, Role.CUSTOMER_CONTACT))
async def test_outsiders_see_no_desk(app: Any, desk: Desk, role: Role) -> None:
    """A customer who reads the queue reads every other customer's troubles."""
    order = str(await desk.order())
    async with desk.db.work(desk.org) as work:
        email = f"o-{role.value}-{desk.org.hex}@example.org"
        desk.people["out"] = await create_user(work, NewUser(email=email, name="Out", role=role))
    out = await graph(app, desk, "out")
    for name, variables in (
        ("Desk", {}),
        ("DeskOrder", {"orderId": order}),
        ("Teams", {}),
        ("RespondToOrder", {"orderId": order}),
        ("TakeOver", {"orderId": order, "epoch": 1, "reason": "x"}),
        ("HandOn", {"orderId": order, "epoch": 1, "reason": "x", "userId": str(desk.people["out"])}),
        ("MoveDeadline", {"orderId": order, "milestone": "arrival", "minutes": 1, "reason": "x"}),
        ("RestoreDeadline", {"orderId": order, "milestone": "arrival"}),
    ):
        answer = await act(out, name, **variables)
        assert answer["errors"][0]["extensions"]["code"] in ("NOT_ALLOWED", "FALLBACK_ONLY"), name
    # Their own to-dos are theirs: an engineer may be asked for a step, a customer for a survey.
    assert (await data(out, "MyTodos"))["nodes"] == []


async def test_a_neighbour_sees_and_does_nothing(app: Any, desk: Desk, db: Database) -> None:
    """Another organisation's supervisor with the right ids is a stranger all the same."""
    order = str(await desk.order())
    async with desk.db.work(desk.org) as work:
        [todo] = await todos.ask(work, [NewTodo(user_id=desk.people["sam"], kind="step", matter="m")])
    other = await Desk(db).open()
    sam = await graph(app, other, "sam")
    assert (await data(sam, "Desk"))["nodes"] == []
    for name, variables in (
        ("TakeOver", {"orderId": order, "epoch": 1, "reason": "x"}),
        ("RespondToOrder", {"orderId": order}),
        ("SetDuty", {"teamId": str(desk.team), "duties": []}),
        ("SaveStaff", {"userId": str(desk.people["ann"]), "input": {"department": "X"}}),
        ("FinishTodo", {"id": str(todo)}),
    ):
        answer = await act(sam, name, **variables)
        assert answer["errors"][0]["extensions"]["code"] == "NOT_FOUND", name
    [row] = await data(sam, "Presences", userIds=[str(desk.people["ann"])])
    assert row["state"] == "offline"


async def test_a_new_to_do_pokes_the_screens_that_are_open(app: Any, desk: Desk) -> None:
    """A supervisor's card must come up by itself: at three minutes nobody presses reload."""
    litestar, _ = app
    token = await token_of(desk.db, litestar.state.issuer, desk.org, desk.people["sam"])
    who = await authenticate(desk.db, litestar.state.issuer, token)
    ear = await ear_of(desk.db, who)
    with litestar.state.pokes.subscription(desk.org, ear.scopes) as mine:
        async with desk.db.work(desk.org) as work:
            await todos.ask(work, [NewTodo(user_id=desk.people["sam"], kind="step", matter="n")])
        async with asyncio.timeout(20):
            news = await mine.next()
    assert desk.people["sam"] in news.scope_ids

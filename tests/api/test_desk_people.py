"""Who has to do with an order: what notices, flows and deadlines ask of the desk; and the directory (A2)."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import pytest
from desks import Desk, desk_of, desks

from callout_orders.desk import queue, respond, todo_reading, todos
from callout_orders.desk.staff import directory, people, presence, teams
from callout_orders.desk.staff.directory import Post, Search, StaffGiven
from callout_orders.desk.staff.team_terms import DutyGiven, MemberGiven, TeamGiven
from callout_orders.desk.todos import NewTodo
from callout_store.errors import AlreadyExists, BadField, BadFields, LimitExceeded, NotFound, StaleRevision
from callout_store.ids import new_id
from callout_store.work import Database


@pytest.fixture(scope="module")
async def desk_db(database_url: str) -> AsyncIterator[Database]:
    async for db in desks(database_url):
        yield db


@pytest.fixture
async def desk(desk_db: Database) -> Desk:
    return await desk_of(desk_db).open()


async def owned(desk: Desk, owner: str, order: UUID) -> list[str]:
    names = {id_: name for name, id_ in desk.people.items()}
    async with desk.db.work(desk.org) as work:
        return [names.get(user, str(user)) for user in await people.holders(work, owner, order)]


async def test_the_four_around_an_order(desk: Desk) -> None:
    """A notice that misses one of the four is an order that somebody does not know of (C3)."""
    await desk.come("ann")
    order = await desk.order()
    engineer = desk.phones[0]
    await desk.visit(engineer, order)
    async with desk.db.work(desk.org) as work:
        seen = (await people.around(work, [order, new_id()]))[order]
    assert seen.initiator == desk.dispatcher.user_id
    assert seen.contact_id == desk.contact
    assert seen.handler == desk.people["ann"]
    assert set(seen.supervisor) == {desk.people["sam"], desk.people["sue"]}
    assert seen.next


async def test_a_thousand_orders_cost_no_more_statements(desk: Desk) -> None:
    """A storm of notices that asks for each order's people one by one would stall the worker."""
    orders = [await desk.order() for _ in range(5)]
    counts = []
    for ids in (orders[:1], orders):
        async with desk.db.work(desk.org) as work:
            asked = 0
            fetch = work.fetch

            async def counted(sql: str, *args: object, fetch: object = fetch) -> object:
                nonlocal asked
                asked += 1
                return await fetch(sql, *args)  # type: ignore[operator]

            work.fetch = counted  # type: ignore[method-assign, assignment]
            assert len(await people.around(work, ids)) == len(ids)
        counts.append(asked)
    assert counts[0] == counts[1] <= 4


async def test_owners_of_steps(desk: Desk) -> None:
    """A step whose owner leads to nobody is a to-do that nobody has."""
    await desk.come("ann")
    order = await desk.order()
    await desk.visit(desk.phones[0], order)
    async with desk.as_("adi") as work:
        await directory.set_posts(work, desk.people["gus"], [Post(post="warehouse")])
        await directory.set_posts(
            work, desk.people["fay"], [Post(post="regional_director", team_id=desk.team)]
        )
        await directory.set_posts(work, desk.people["ben"], [Post(post="regional_director")])
    assert await owned(desk, "handler", order) == ["ann"]
    assert await owned(desk, "role:supervisor", order) == sorted(
        ["sam", "sue"], key=lambda name: desk.people[name]
    )
    assert await owned(desk, "post:warehouse", order) == ["gus"]
    # Who holds it for this team comes before who holds it everywhere.
    assert await owned(desk, "post:regional_director", order) == ["fay"]
    assert await owned(desk, "initiator", order) == [str(desk.dispatcher.user_id)]
    assert await owned(desk, "engineer", order) == [str(desk.phones[0].actor.user_id)]
    # Nobody holds the post: the supervisors answer for it.
    assert set(await owned(desk, "post:finance", order)) == {"sam", "sue"}
    assert await owned(desk, "system", order) == []
    assert await owned(desk, "customer", order) == []


async def test_mean_response_time_is_counted_from_the_journal(desk: Desk) -> None:
    """The directory must show how fast people answer, not how fast the orders were dealt out (A2)."""
    await desk.come("ann")
    first = await desk.order()
    desk.passes(minutes=2)
    await desk.respond("ann", first)
    await desk.come("ann", "fay")
    second = await desk.order()
    await desk.passes_with("ann", "fay", minutes=12)
    await desk.turn()
    await desk.passes_with("fay", minutes=0.5)
    await desk.respond("fay", second)
    third = await desk.order()
    desk.passes(minutes=4)
    await desk.respond("ann", third)
    async with desk.db.work(desk.org) as work:
        page = await directory.directory(work, Search(name="ann"), days=7)
        [ann] = [one for one in page.items if one.user_id == desk.people["ann"]]
        times = await directory.response_times(work, [desk.people["fay"], desk.people["ben"]], days=7)
    assert (ann.response.answers, ann.response.mean_seconds) == (2, pytest.approx(180, abs=1))
    # Counted from when it came to her, not from when it came in.
    assert times[desk.people["fay"]].mean_seconds == pytest.approx(30, abs=1)
    assert times[desk.people["ben"]].mean_seconds is None


async def test_old_answers_do_not_count(desk: Desk) -> None:
    """Last year's pace says nothing of today's."""
    await desk.come("ann")
    order = await desk.order()
    await desk.respond("ann", order)
    desk.passes(days=8)
    async with desk.db.work(desk.org) as work:
        times = await directory.response_times(work, [desk.people["ann"]], days=7)
    assert times[desk.people["ann"]].answers == 0


async def test_the_directory_finds_by_kind_department_post_and_name(desk: Desk) -> None:
    """Who answers for batteries must be found without asking around."""
    async with desk.as_("adi") as work:
        await directory.save_staff(
            work,
            desk.people["ann"],
            StaffGiven(
                department="Charging",
                title="Agent",
                phone="13800138000",
                chat_ids={"wecom": "ann"},
                kinds=("repair",),
            ),
        )
        await directory.set_posts(work, desk.people["ben"], [Post(post="warehouse")])
    found = {}
    async with desk.db.work(desk.org) as work:
        for search in (
            Search(kind="repair"),
            Search(department="charging"),
            Search(name="AN"),
            Search(post="warehouse"),
        ):
            page = await directory.directory(work, search)
            found[search] = [one.name for one in page.items]
        nothing = await directory.directory(work, Search(name="%"))
        everybody = await directory.directory(work, Search(), limit=3)
        rest = await directory.directory(work, Search(), limit=200, after=everybody.end_cursor)
    assert list(found.values()) == [["Ann"], ["Ann"], ["Ann"], ["Ben"]]
    assert nothing.items == []
    [ann] = [one for one in [*everybody.items, *rest.items] if one.name == "Ann"]
    assert (ann.phone, ann.chat_ids, ann.teams) == ("+8613800138000", {"wecom": "ann"}, [desk.team])
    names = [one.user_id for one in [*everybody.items, *rest.items]]
    assert everybody.has_more
    assert len(names) == len(set(names))


async def test_who_answers_is_the_rule_of_intake(desk: Desk) -> None:
    """A directory that says otherwise than what happens is worse than none."""
    east = await desk.make_team("east", ("ben",), kinds=("production",))
    await desk.come("ann", "ben")
    order = await desk.order(kind="production")
    async with desk.db.work(desk.org) as work:
        said = await directory.who_answers(work, kind="production")
        night = await directory.who_answers(work, kind="repair", at=work.now + timedelta(hours=3))
    row = await desk.row(order)
    assert (said.team_id, said.team_by, said.online) == (east, ["kind"], [desk.people["ben"]])
    assert row.team_id == east
    assert [one.name for one in night.fallback] == ["Fay", "Gus"]
    assert said.fallback == []
    assert {one.name for one in said.supervisors} == {"Sam", "Sue", "Adi"}


async def test_everything_wrong_with_a_team_is_said_at_once(desk: Desk) -> None:
    """Whoever sets up ten teams must not be told of one fault at a time."""
    with pytest.raises(BadFields) as refused:
        await desk.make_team(
            "Bad Code", (), channels=("pigeon",), late_minutes=0, step_minutes=99, kinds=("X",)
        )
    assert {fault.path for fault in refused.value.faults} == {  # type: ignore[attr-defined]
        "code",
        "kinds.0",
        "channels.0",
        "lateMinutes",
        "stepMinutes",
    }
    with pytest.raises(BadFields) as wrong:
        async with desk.as_("adi") as work:
            await teams.set_duty(
                work,
                desk.team,
                [
                    DutyGiven(starts="9:00", ends="25:00", user_id=desk.people["fay"], weekday=0),
                    DutyGiven(starts="09:00", ends="10:00", weekday=7),
                    DutyGiven(starts="09:00", ends="10:00", user_id=desk.people["fay"]),
                ],
            )
    assert {fault.path for fault in wrong.value.faults} == {  # type: ignore[attr-defined]
        "duties.0.starts",
        "duties.0.ends",
        "duties.1.weekday",
        "duties.1.userId",
        "duties.2.weekday",
    }


async def test_teams_keep_to_their_house(desk: Desk, desk_db: Database) -> None:
    """A customer's account, or somebody of another company, on duty would see and take what is not theirs."""
    other = await desk_of(desk_db).open()
    stranger_on_duty = [DutyGiven(starts="09:00", ends="10:00", user_id=other.people["fay"], weekday=1)]
    with pytest.raises(BadField) as stranger:
        async with desk.as_("adi") as work:
            await teams.set_duty(work, desk.team, stranger_on_duty)
    assert stranger.value.path == "duties.0.userId"
    with pytest.raises(NotFound):
        await desk.on_duty(other.team, ("fay",))
    async with desk.db.work(desk.org) as work:
        assert [team.id for team in await teams.teams(work)] == [desk.team]
        page = await queue.desk(work)
        assert page.items == []


async def test_a_team_is_saved_by_one_at_a_time(desk: Desk) -> None:
    """Two admins who edit one team must not undo each other unseen; two teams of one code could not be told apart."""
    given = TeamGiven(
        code="care",
        name_en="Care",
        name_zh="客服",
        time_zone="Asia/Shanghai",
        members=(MemberGiven(user_id=desk.people["ann"]),),
        is_default=True,
    )
    async with desk.as_("adi") as work:
        await teams.save_team(work, given, team_id=desk.team, revision=1)
    with pytest.raises(StaleRevision):
        async with desk.as_("adi") as work:
            await teams.save_team(work, given, team_id=desk.team, revision=1)
    with pytest.raises(AlreadyExists):
        await desk.make_team("care", ())
    second = await desk.make_team("second", (), is_default=True)
    async with desk.db.work(desk.org) as work:
        defaults = [team.id for team in await teams.teams(work) if team.is_default]
    assert defaults == [second]


async def test_limits_are_named(desk: Desk) -> None:
    """A form that sends ten thousand rows is told how many there may be."""
    with pytest.raises(LimitExceeded) as refused:
        async with desk.as_("adi") as work:
            await teams.set_duty(
                work, desk.team, [DutyGiven(starts="09:00", ends="10:00", weekday=0, user_id=new_id())] * 401
            )
    assert refused.value.details["limit"] == 400
    with pytest.raises(BadField):
        async with desk.db.work(desk.org) as work:
            await queue.desk(work, limit=201)
    with pytest.raises(BadField):
        async with desk.db.work(desk.org) as work:
            await queue.desk(work, after="1~yesterday~x")


async def test_the_queue_has_the_first_due_first_and_pages_through(desk: Desk) -> None:
    """Whoever opens the desk must see what burns, and nothing twice or never while they page."""
    await desk.come("ann", "ben")
    made = []
    for n in range(6):
        desk.passes(seconds=20)
        made.append(await desk.order(description=f"Order {n}"))
    await desk.respond("ann", made[0])
    await desk.respond("ann", made[3])
    seen: list[UUID] = []
    after = None
    async with desk.db.work(desk.org) as work:
        while True:
            page = await queue.desk(work, after=after, limit=2)
            seen += [one.order_id for one in page.items]
            after = page.end_cursor
            if not page.has_more:
                break
        mine = await queue.desk(work, queue.DeskFilter(handler_id=desk.people["ann"]), limit=50)
        unanswered = await queue.desk(work, queue.DeskFilter(answered=False), limit=50)
    assert seen == [made[1], made[2], made[4], made[5], made[0], made[3]]
    assert {one.handler_name for one in mine.items} == {"Ann"}
    assert [one.remaining_seconds for one in unanswered.items] == sorted(
        one.remaining_seconds for one in unanswered.items
    )
    assert len(unanswered.items) == 4


async def test_answering_twice_moves_the_clock_once(desk: Desk) -> None:
    """The second answer is part of the talk and no first response."""
    await desk.come("ann")
    order = await desk.order()
    desk.passes(minutes=1)
    first = await desk.respond("ann", order, "Hello")
    desk.passes(minutes=1)
    second = await desk.respond("ben", order, "Me too")
    assert (first.first, second.first) == (True, False)
    assert second.responded_at == first.responded_at
    kinds = [kind for kind, _ in await desk.lines(order) if "respond" in kind or "answer" in kind]
    assert kinds == ["work_order.responded", "work_order.answered"]
    [(_, told)] = await desk.lines(order, "work_order.responded")
    assert (told["by"], told["text"], told["leftSeconds"]) == ("desk", "Hello", 840)


async def test_answering_what_nobody_had_makes_it_ones_own(desk: Desk) -> None:
    """Otherwise the fallback is called for an order that was answered long ago."""
    order = await desk.order()
    await desk.respond("ben", order)
    assert await desk.holder(order) == "ben"


async def test_to_dos_have_a_state_of_their_own(desk: Desk) -> None:
    """A to-do is settled once, by its owner, and shown in their language."""
    order = await desk.order()
    async with desk.db.work(desk.org) as work:
        [id_] = await todos.ask(
            work,
            [
                NewTodo(
                    user_id=desk.people["sam"],
                    kind="answer_order",
                    matter="m",
                    order_id=order,
                    data={"number": "WO-1"},
                )
            ],
        )
        assert await todos.ask(work, [NewTodo(user_id=desk.people["sam"], kind="step", matter="m")]) == []
    with pytest.raises(NotFound):
        async with desk.as_("sue") as work:
            await todos.acknowledge(work, id_, desk.people["sue"])
    async with desk.as_("sam") as work:
        assert await todos.acknowledge(work, id_, desk.people["sam"]) == "acknowledged"
        assert await todos.finish(work, id_, desk.people["sam"]) == "done"
        assert await todos.acknowledge(work, id_, desk.people["sam"]) == "done"
        page = await todo_reading.todos_of(work, desk.people["sam"], states=("done",))
    assert "WO-1" in page.items[0].text_zh
    assert page.items[0].state == "done"


async def test_presence_by_hand_outlasts_heartbeats(desk: Desk) -> None:
    """An open screen must not put somebody who went to lunch back on the list."""
    await desk.come("ann")
    await desk.say("ann", "away")
    await desk.come("ann")
    async with desk.db.work(desk.org) as work:
        [ann, ben] = await presence.presences_of(work, [desk.people["ann"], desk.people["ben"]])
    assert (ann.state, ann.by_hand, ben.state) == ("away", True, "offline")
    await desk.say("ann", "online")
    async with desk.db.work(desk.org) as work:
        [ann] = await presence.presences_of(work, [desk.people["ann"]])
    assert (ann.state, ann.by_hand) == ("online", False)
    with pytest.raises(BadField):
        await desk.say("ann", "asleep")


async def test_heartbeats_write_no_journal(desk: Desk) -> None:
    """Two lines a minute of everybody would bury what happened."""
    await desk.come("ann")
    before = await desk.value("select count(*) from journal")
    for _ in range(3):
        await desk.passes_with("ann", minutes=0.5)
    assert await desk.value("select count(*) from journal") == before
    desk.passes(minutes=2)
    await desk.turn()
    rows = await desk.fetch(
        "select data->>'to' as state from journal where kind = 'presence.changed' order by id"
    )
    assert [row["state"] for row in rows] == ["online", "offline"]


async def test_answers_need_no_team(desk_db: Database) -> None:
    """An organisation that set up no team still answers its orders."""
    desk = await desk_of(desk_db).open(duty=False, team=False)
    order = await desk.order()
    row = await desk.row(order)
    assert (row.epoch, row.handler_id) == (0, None)
    async with desk.as_("ann") as work:
        answer = await respond.respond(work, order, None)
    assert answer.first

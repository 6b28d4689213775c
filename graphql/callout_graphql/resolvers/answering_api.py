"""The agent's desk: the queue, answering, the fallback's three rights, teams and duty, the directory, to-dos."""

from datetime import datetime
from typing import Any, cast
from uuid import UUID

import strawberry

from callout_graphql.connections import PAGE_DEFAULT, PAGE_MAX, Connection, connection, cursor_id, page_size
from callout_graphql.edges import Info
from callout_graphql.resolvers.mutations_desk import there
from callout_graphql.types.answering import (
    Answering,
    DeskFilter,
    DeskOrder,
    DeskPage,
    DirectoryFilter,
    DutyInput,
    FirstResponse,
    Handed,
    MovedDeadline,
    PostInput,
    Presence,
    RightHolder,
    StaffEntry,
    StaffInput,
    Team,
    TeamInput,
    Todo,
)
from callout_orders.desk import queue, respond, todo_reading, todos
from callout_orders.desk.staff import directory, presence, teams
from callout_orders.desk.staff.team_terms import DutyGiven, MemberGiven, TeamGiven
from callout_orders.desk.unanswered import fallback, standing_in
from callout_store.errors import BadField, LimitExceeded
from callout_store.work import Work


@strawberry.type
class AnsweringQueries:
    """What may be asked about the desk."""

    @strawberry.field
    async def desk(
        self,
        info: Info,
        filter: DeskFilter | None = None,
        first: int = PAGE_DEFAULT,
        after: str | None = None,
    ) -> DeskPage:
        """The agent's desk: open orders that nobody answered, the first due first, then those that are answered. Linked
        duplicates stand with the order that they repeat."""
        given = filter or DeskFilter()
        values = {name: value for name, value in vars(given).items() if name != "mine"}
        if given.mine:
            values["handler_id"] = info.context.who.user_id
        wanted = queue.DeskFilter(
            **{**values, "priorities": tuple(given.priorities), "kinds": tuple(given.kinds)}
        )
        async with info.context.work() as work:
            page = await queue.desk(work, wanted, after=after, limit=page_size(first))
        rows: Any = page.items
        return DeskPage(nodes=rows, end_cursor=page.end_cursor, has_more=page.has_more, now=page.now)

    @strawberry.field
    async def desk_order(self, info: Info, order_id: UUID) -> DeskOrder | None:
        """One order as the desk sees it, whatever its state."""
        async with info.context.work() as work:
            return cast(DeskOrder | None, await queue.one(work, order_id))

    @strawberry.field
    async def right_holders(self, info: Info, order_id: UUID) -> list[RightHolder]:
        """Who may take this order over, hand it on and move its deadline now: those on duty, then supervisors."""
        async with info.context.work() as work:
            return cast(list[RightHolder], await standing_in.may_act_on(work, order_id))

    @strawberry.field
    async def teams(self, info: Info, active: bool | None = True, at: datetime | None = None) -> list[Team]:
        """Teams by code, with who is on duty at `at` (now)."""
        async with info.context.work() as work:
            return cast(list[Team], await teams.teams(work, active=active, at=at))

    @strawberry.field
    async def directory(
        self,
        info: Info,
        filter: DirectoryFilter | None = None,
        days: int = 30,
        first: int = PAGE_DEFAULT,
        after: str | None = None,
    ) -> Connection[StaffEntry]:
        """Who answers for what, by department and name; how fast they answered in the last `days` (1 to 366)."""
        given = filter or DirectoryFilter()
        search = directory.Search(
            kind=given.kind, department=given.department, name=given.name, post=given.post
        )
        async with info.context.work() as work:
            page = await directory.directory(work, search, days=days, after=after, limit=page_size(first))
        return connection(page)

    @strawberry.field
    async def who_answers(
        self,
        info: Info,
        kind: str,
        channel: str = "hotline",
        territory_id: UUID | None = None,
        at: datetime | None = None,
    ) -> Answering:
        """Who would get an order of this kind, channel and place, and who stands in at `at` (now)."""
        async with info.context.work() as work:
            found = await directory.who_answers(
                work, kind=kind, channel=channel, territory_id=territory_id, at=at
            )
        return cast(Answering, found)

    @strawberry.field
    async def presences(self, info: Info, user_ids: list[UUID]) -> list[Presence]:
        """Whether these users are at their desks, in order; 200 at most."""
        if len(user_ids) > PAGE_MAX:
            raise LimitExceeded(path="userIds", what="users in one call", limit=PAGE_MAX, given=len(user_ids))
        async with info.context.work() as work:
            return cast(list[Presence], await presence.presences_of(work, user_ids))

    @strawberry.field
    async def my_todos(
        self,
        info: Info,
        states: list[str] | None = None,
        order_id: UUID | None = None,
        first: int = PAGE_DEFAULT,
        after: str | None = None,
    ) -> Connection[Todo]:
        """What the caller has to do, newest first. `states`: open and acknowledged, where nothing else is said."""
        wanted = ("open", "acknowledged") if states is None else tuple(states)
        async with info.context.work() as work:
            page = await todo_reading.todos_of(
                work,
                info.context.who.user_id,
                states=wanted,
                order_id=order_id,
                after=cursor_id(after),
                limit=page_size(first),
            )
        return connection(page)


@strawberry.type
class AnsweringMutations:
    """What may be done at the desk."""

    @strawberry.mutation
    async def respond_to_order(self, info: Info, order_id: UUID, text: str | None = None) -> FirstResponse:
        """Answer whoever reported an order: the first response, by the desk. `text`: what was said to them."""
        return cast(FirstResponse, await info.context.run(lambda work: respond.respond(work, order_id, text)))

    @strawberry.mutation
    async def take_over(self, info: Info, order_id: UUID, epoch: int, reason: str) -> Handed:
        """Take an order from whoever has it, by force. For those on duty for its team now, and supervisors."""
        return cast(
            Handed,
            await info.context.run(
                lambda work: fallback.take_over(work, order_id, epoch=epoch, reason=reason)
            ),
        )

    @strawberry.mutation
    async def hand_on(
        self,
        info: Info,
        order_id: UUID,
        epoch: int,
        reason: str,
        user_id: UUID | None = None,
        team_id: UUID | None = None,
    ) -> Handed:
        """Give an order to somebody of a team, or to another team, in one step. For those on duty, and supervisors."""
        return cast(
            Handed,
            await info.context.run(
                lambda work: fallback.hand_on(
                    work, order_id, epoch=epoch, reason=reason, user_id=user_id, team_id=team_id
                )
            ),
        )

    @strawberry.mutation
    async def move_deadline(
        self,
        info: Info,
        order_id: UUID,
        milestone: str,
        minutes: int,
        reason: str,
        until: datetime | None = None,
    ) -> MovedDeadline:
        """Give a milestone (first_response, arrival, resolution) more working minutes until `until` (an hour from now); then
        the original deadline stands again. For those on duty, and supervisors."""
        return cast(
            MovedDeadline,
            await info.context.run(
                lambda work: fallback.move_deadline(
                    work, order_id, milestone=milestone, minutes=minutes, reason=reason, until=until
                )
            ),
        )

    @strawberry.mutation
    async def restore_deadline(self, info: Info, order_id: UUID, milestone: str) -> bool:
        """Put a moved deadline back before its time; false where none stands. For those on duty, and supervisors."""
        return await info.context.run(
            lambda work: fallback.restore_deadline(work, order_id, milestone=milestone)
        )

    @strawberry.mutation
    async def heartbeat(self, info: Info) -> Presence:
        """The caller's screen is open; to be said every 30 seconds."""
        who = info.context.who
        return cast(Presence, await info.context.run(lambda work: presence.beat(work, who.user_id)))

    @strawberry.mutation
    async def set_presence(self, info: Info, state: str) -> Presence:
        """The caller says where they are: online, away, offline. Away and offline stay until they say otherwise."""
        who = info.context.who
        return cast(
            Presence, await info.context.run(lambda work: presence.set_by_hand(work, who.user_id, state))
        )

    @strawberry.mutation
    async def acknowledge_todo(self, info: Info, id: UUID) -> Todo:
        """The caller has seen what they have to do."""
        who = info.context.who
        return await _todo(info, id, lambda work: todos.acknowledge(work, id, who.user_id))

    @strawberry.mutation
    async def finish_todo(self, info: Info, id: UUID) -> Todo:
        """The caller did it."""
        who = info.context.who
        return await _todo(info, id, lambda work: todos.finish(work, id, who.user_id))

    @strawberry.mutation
    async def save_team(
        self, info: Info, input: TeamInput, id: UUID | None = None, revision: int | None = None
    ) -> Team:
        """Make a team, or put this in place of one. Its duty stays."""
        given = TeamGiven(
            **{
                **vars(input),
                "kinds": tuple(input.kinds),
                "channels": tuple(input.channels),
                "territory_ids": tuple(input.territory_ids),
                "members": tuple(MemberGiven(**vars(member)) for member in input.members),
            }
        )
        return await _team(info, lambda work: teams.save_team(work, given, team_id=id, revision=revision))

    @strawberry.mutation
    async def set_duty(self, info: Info, team_id: UUID, duties: list[DutyInput]) -> Team:
        """Say who stands in for a team by local hours, in place of what was said before."""
        given = [DutyGiven(**vars(duty)) for duty in duties]

        async def act(work: Work) -> UUID:
            await teams.set_duty(work, team_id, given)
            return team_id

        return await _team(info, act)

    @strawberry.mutation
    async def save_staff(
        self, info: Info, user_id: UUID, input: StaffInput, revision: int | None = None
    ) -> StaffEntry:
        """Put this in place of somebody's entry of the directory."""
        chat_ids = {one.program: one.id for one in input.chat_ids}
        if len(chat_ids) < len(input.chat_ids):
            raise BadField(path="input.chatIds", why="a program comes twice")
        given = directory.StaffGiven(**{**vars(input), "chat_ids": chat_ids, "kinds": tuple(input.kinds)})
        return await _entry(info, user_id, lambda work: directory.save_staff(work, user_id, given, revision))

    @strawberry.mutation
    async def set_staff_posts(self, info: Info, user_id: UUID, posts: list[PostInput]) -> StaffEntry:
        """Say which posts (regional_director, warehouse, finance …) somebody holds, in place of what was said before."""
        given = [directory.Post(**vars(post)) for post in posts]
        return await _entry(info, user_id, lambda work: directory.set_posts(work, user_id, given))


async def _team(info: Info, act: Any) -> Team:
    async def run(work: Work) -> Any:
        id_ = await act(work)
        return (await teams.teams(work, ids=[id_], active=None))[0]

    return cast(Team, await info.context.run(run))


async def _entry(info: Info, user_id: UUID, act: Any) -> StaffEntry:
    async def run(work: Work) -> Any:
        await act(work)
        page = await directory.directory(work, directory.Search(user_ids=(user_id,)))
        return page.items[0]

    return cast(StaffEntry, await info.context.run(run))


async def _todo(info: Info, id_: UUID, act: Any) -> Todo:
    async def run(work: Work) -> Any:
        await act(work)
        return there(await todo_reading.todo(work, id_), "to-do")

    return cast(Todo, await info.context.run(run))

"""The directory (A2): who answers for what, how they are reached, and how fast they answer.

The mean response time is counted from the journal: from when an order came to somebody (by hand, by the fallback, or as it
came in) to their answer of it, where that was the order's first. One that nobody had counts from when it came in. Who answers
in another's place answered, and was not slow: the time before was not theirs.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_orders import checks
from callout_orders.desk import assign_rules, assignment
from callout_orders.desk.staff import people, presence, team_terms
from callout_orders.desk.unanswered import standing_in
from callout_store.errors import LimitExceeded, NotFound, StaleRevision
from callout_store.ids import new_id
from callout_store.journal import Entry, write
from callout_store.work import Work

PAGE_MAX: Final = 200
DAYS_MAX: Final = 366
POSTS_MAX: Final = 50
CHAT_IDS_MAX: Final = 20
_PROGRAM: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
CAME_TO: Final = (
    "work_order.handler_set",
    "work_order.turned_over",
    "work_order.taken_over",
    "work_order.handed_on",
)
"""Journal kinds that say to whom an order came, in `data.to`; `work_order.created` says so in `data.handlerId`."""


class StaffGiven(msgspec.Struct, frozen=True, kw_only=True):
    """A person's entry as it is saved, whole. `chat_ids`: chat program to the person's id there; `kinds`: of order."""

    department: str
    title: str = ""
    phone: str | None = None
    chat_ids: Mapping[str, str] = {}
    kinds: tuple[str, ...] = ()


class Post(msgspec.Struct, frozen=True, kw_only=True):
    """An office: everywhere, or for a territory, a team, or both."""

    post: str
    territory_id: UUID | None = None
    team_id: UUID | None = None


class ResponseTime(msgspec.Struct, frozen=True, kw_only=True):
    """How fast somebody answered in the last `days`: `mean_seconds` None where they answered nothing that was theirs."""

    days: int
    answers: int
    mean_seconds: float | None


class StaffView(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody in the directory; without an entry of theirs `department` is None."""

    user_id: UUID
    name: str
    email: str
    role: str
    department: str | None
    title: str
    phone: str | None
    chat_ids: dict[str, str]
    kinds: list[str]
    revision: int
    posts: list[Post]
    teams: list[UUID]
    presence: str
    response: ResponseTime


class Answering(msgspec.Struct, frozen=True, kw_only=True):
    """Who answers for orders of a kind in a place at a moment: the team and by what, its people, whoever is on duty."""

    team_id: UUID | None
    team_by: list[str]
    members: list[UUID]
    online: list[UUID]
    fallback: list[standing_in.Holder]
    supervisors: list[standing_in.Holder]


async def save_staff(work: Work, user_id: UUID, given: StaffGiven, revision: int | None = None) -> None:
    """Put this in place of a person's entry. Raises BadField(s), NotFound, StaleRevision."""
    gather = checks.Gather()
    department, title, phone = "", "", None
    with gather:
        department = checks.text("department", given.department, chars_max=80)
    with gather:
        title = checks.text("title", given.title, chars_max=80, blank=True)
    with gather:
        phone = checks.phone("phone", given.phone, region="CN")
    with gather:
        team_terms.codes("kinds", given.kinds)
    with gather:
        if len(given.chat_ids) > CHAT_IDS_MAX:
            raise LimitExceeded(
                what="chat ids of a user", limit=CHAT_IDS_MAX, given=len(given.chat_ids), path="chatIds"
            )
    for program, id_ in given.chat_ids.items():
        with gather:
            if not _PROGRAM.fullmatch(program):
                raise checks.FieldRefused("chatIds", "form_code")
            checks.text(f"chatIds.{program}", id_, chars_max=120)
    gather.settle()
    await _staff_user(work, user_id)
    before = await work.fetchval(
        "select revision from staff where org_id = callout_org() and user_id = $1 for update", user_id
    )
    if revision is not None and revision != (before or 0):
        raise StaleRevision(entity="user", current=before or 0, given=revision)
    await work.execute(
        """
        insert into staff (user_id, department, title, phone, chat_ids, kinds) values ($1, $2, $3, $4, $5::text::jsonb, $6)
        on conflict (org_id, user_id) do update set department = excluded.department, title = excluded.title,
            phone = excluded.phone, chat_ids = excluded.chat_ids, kinds = excluded.kinds, revision = staff.revision + 1
        """,
        user_id,
        department,
        title,
        phone,
        msgspec.json.encode({program: id_.strip() for program, id_ in given.chat_ids.items()}).decode(),
        list(dict.fromkeys(given.kinds)),
    )
    await _note(work, "staff.saved", user_id, {"department": department, "kinds": list(given.kinds)})


async def set_posts(work: Work, user_id: UUID, posts: Sequence[Post]) -> None:
    """Put these in place of the posts that somebody holds. Raises BadField(s), NotFound, LimitExceeded."""
    if len(posts) > POSTS_MAX:
        raise LimitExceeded(what="posts of a user", limit=POSTS_MAX, given=len(posts), path="posts")
    gather = checks.Gather()
    for i, one in enumerate(posts):
        with gather:
            team_terms.code(one.post, f"posts.{i}.post")
            if one in posts[:i]:
                raise checks.FieldRefused(f"posts.{i}", "twice")
    gather.settle()
    await _staff_user(work, user_id)
    for table, ids in (
        ("territory", {one.territory_id for one in posts if one.territory_id}),
        ("team", {one.team_id for one in posts if one.team_id}),
    ):
        known = await work.fetchval(
            f"select count(*) from {table} where org_id = callout_org() and id = any($1)", list(ids)
        )
        if known < len(ids):
            raise NotFound(entity=table, path="posts")
    await work.execute("delete from staff_post where org_id = callout_org() and user_id = $1", user_id)
    await work.execute(
        """
        insert into staff_post (id, user_id, post, territory_id, team_id)
        select i, $2, p, y, t from unnest($1::uuid[], $3::text[], $4::uuid[], $5::uuid[]) as x(i, p, y, t)
        """,
        [new_id() for _ in posts],
        user_id,
        [one.post for one in posts],
        [one.territory_id for one in posts],
        [one.team_id for one in posts],
    )
    await _note(work, "staff.posts_set", user_id, {"posts": [one.post for one in posts]})


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """Whom to look for; what is left out matters not. `name` is a part of a name or an address."""

    kind: str | None = None
    department: str | None = None
    name: str | None = None
    post: str | None = None
    user_ids: tuple[UUID, ...] | None = None


class StaffPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the directory, by name; `end_cursor` is how many come before the next one."""

    items: list[StaffView]
    end_cursor: str | None
    has_more: bool


async def directory(
    work: Work, search: Search, *, days: int = 30, after: str | None = None, limit: int = 50
) -> StaffPage:
    """Active users of the house who fit, by department and name; with their answers of the last `days` (1 to 366)."""
    checks.whole("days", days, low=1, high=DAYS_MAX)
    checks.whole("first", limit, low=1, high=PAGE_MAX)
    if after is not None and not re.fullmatch(r"[0-9]{1,6}", after):
        raise checks.FieldRefused("after", "range", low=0, high=999999)
    skip = int(after or 0)
    rows = await work.fetch(
        f"""
        select u.id as user_id, u.name, u.email, u.role, s.department, coalesce(s.title, '') as title,
               coalesce(s.phone, u.phone) as phone, coalesce(s.chat_ids, '{{}}')::text as chat_ids,
               coalesce(s.kinds, '{{}}') as kinds, coalesce(s.revision, 0) as revision
        from app_user u left join staff s on s.org_id = u.org_id and s.user_id = u.id
        where u.org_id = callout_org() and {people.OF_THE_HOUSE.format("u")}
          and ($1::text is null or $1 = any(s.kinds))
          and ($2::text is null or lower(s.department) = lower($2))
          and ($3::text is null or u.name ilike $3 or u.email ilike $3)
          and ($4::text is null or exists (
              select 1 from staff_post p where p.org_id = u.org_id and p.user_id = u.id and p.post = $4))
          and ($5::uuid[] is null or u.id = any($5))
        order by s.department nulls last, u.name, u.id offset $6 limit $7
        """,
        search.kind,
        search.department,
        None if search.name is None else "%" + re.sub(r"([\\%_])", r"\\\1", search.name.strip()) + "%",
        search.post,
        None if search.user_ids is None else list(search.user_ids),
        skip,
        limit + 1,
    )
    shown = rows[:limit]
    ids = [row["user_id"] for row in shown]
    posts = await work.fetch(
        "select user_id, post, territory_id, team_id from staff_post "
        "where org_id = callout_org() and user_id = any($1) order by post, id",
        ids,
    )
    teams = await work.fetch(
        "select user_id, team_id from team_member where org_id = callout_org() and user_id = any($1) order by team_id",
        ids,
    )
    there = {one.user_id: one.state for one in await presence.presences_of(work, ids)}
    times = await response_times(work, ids, days=days)
    items = [
        StaffView(
            **{
                **dict(row),
                "chat_ids": msgspec.json.decode(row["chat_ids"]),
                "posts": [
                    Post(post=one["post"], territory_id=one["territory_id"], team_id=one["team_id"])
                    for one in posts
                    if one["user_id"] == row["user_id"]
                ],
                "teams": [one["team_id"] for one in teams if one["user_id"] == row["user_id"]],
                "presence": there[row["user_id"]],
                "response": times[row["user_id"]],
            }
        )
        for row in shown
    ]
    return StaffPage(
        items=items,
        end_cursor=str(skip + len(items)) if items else None,
        has_more=len(rows) > limit,
    )


async def response_times(work: Work, user_ids: Sequence[UUID], *, days: int) -> dict[UUID, ResponseTime]:
    """How fast each of these users answered in the last `days`, counted from the journal in one statement."""
    rows = await work.fetch(
        """
        with answer as (
            select a.actor_id, a.order_id, o.responded_at as at,
                   case when a.data->>'handlerId' = a.actor_id::text then o.created_at end as open_since
            from journal a join work_order o on o.org_id = a.org_id and o.id = a.order_id
            where a.org_id = callout_org() and a.kind = 'work_order.responded' and a.at > $2 and a.actor_id = any($1)
              -- An earlier answer, told later by a phone that was offline, was the first in its place.
              and o.responded_at = coalesce((a.data->>'at')::timestamptz, a.at)
        )
        select actor_id as user_id, count(*) as answers,
               avg(extract(epoch from at - coalesce(came_at, open_since)))::float8 as mean_seconds
        from answer, lateral (
            select max(j.at) as came_at from journal j
            where j.org_id = callout_org() and j.order_id = answer.order_id and j.at <= answer.at
              and ((j.kind = any($3) and j.data->>'to' = answer.actor_id::text)
                   or (j.kind = 'work_order.created' and j.data->>'handlerId' = answer.actor_id::text))) came
        group by actor_id
        """,
        list(user_ids),
        work.now - timedelta(days=days),
        list(CAME_TO),
    )
    found = {row["user_id"]: (row["answers"], row["mean_seconds"]) for row in rows}
    times = {}
    for user in user_ids:
        answers, mean = found.get(user, (0, None))
        mean_seconds = None if mean is None else round(mean, 3)
        times[user] = ResponseTime(days=days, answers=answers, mean_seconds=mean_seconds)
    return times


async def who_answers(
    work: Work,
    *,
    kind: str,
    channel: str = "hotline",
    territory_id: UUID | None = None,
    at: datetime | None = None,
) -> Answering:
    """Who would get such an order, by the same rule as at intake, and who stands in at `at`."""
    moment = at if at is None else checks.instant("at", at, now=work.now, ahead_s=DAYS_MAX * 86_400.0)
    choice = assign_rules.choose_team(
        await assignment.team_rules(work), kind=kind, channel=channel, territory_id=territory_id
    )
    members: list[assign_rules.Member] = []
    if choice.team_id is not None:
        members = (await assignment.members_of(work, [choice.team_id])).get(choice.team_id, [])
    holders = await standing_in.may_act(work, choice.team_id, at=moment)
    return Answering(
        team_id=choice.team_id,
        team_by=[by.value for by in choice.by],
        members=[member.user_id for member in sorted(members, key=lambda one: (one.load, one.user_id))],
        online=[member.user_id for member in members if member.online],
        fallback=[one for one in holders if one.by == "fallback"],
        supervisors=[one for one in holders if one.by == "supervisor"],
    )


async def _staff_user(work: Work, user_id: UUID) -> None:
    if user_id not in await people.staff(work, [user_id]):
        raise NotFound(entity="user", path="userId")


async def _note(work: Work, kind: str, user_id: UUID, data: dict[str, Any]) -> None:
    await write(work, Entry(kind=kind, entity="user", entity_id=user_id, data=data))

"""Who has to do with an order: initiator, handler, next responsible and supervisor, and who an owner of a step is.

Everything is asked for in sets: one statement about the orders, one about the people, and one to dispatch about the
engineers, for any number of orders.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_people.principals import Role
from callout_store.work import Work

PEOPLE_MAX: Final = 20
"""So many people of one role or post are told at most; an organisation of hundreds would drown otherwise."""

OF_THE_HOUSE: Final = "{0}.active and {0}.role not in ('customer_contact', 'integration')"
"""Whether a row of `app_user`, by its name in the statement, is somebody of the house who may sign in."""

ByOrders = Callable[[Work, Sequence[UUID]], Awaitable[Mapping[UUID, UUID]]]
Owners = Callable[[Work, Sequence[UUID]], Awaitable[Mapping[UUID, str]]]


class Around(msgspec.Struct, frozen=True, kw_only=True):
    """The people around an order, as ids of users who may sign in.

    `initiator` is who took or sent it in, where that is a user; else the customer's contact or what the reporter left.
    `next` is who has to act now: the owner of the flow's step, else the engineer of the visit, else the handler, else the
    dispatchers. `supervisor`: the leads of its team, else supervisors, else admins.
    """

    order_id: UUID
    initiator: UUID | None = None
    contact_id: UUID | None = None
    reporter_name: str | None = None
    reporter_phone: str | None = None
    reporter_email: str | None = None
    locale: str = "en"
    handler: UUID | None = None
    next: tuple[UUID, ...] = ()
    supervisor: tuple[UUID, ...] = ()


class _Told:
    """What others know; they say so once at start-up."""

    engineers: ByOrders | None = None
    owners: Owners | None = None


def know_engineers(read: ByOrders) -> None:
    """Dispatch's answer to "which user is the engineer of these orders' visits"; registered by the roof."""
    _Told.engineers = read


def know_owners(read: Owners) -> None:
    """The flow's answer to "who has to act on these orders now", as an owner of `kinds.terms.Step`. The flow reads this
    module, so that it cannot be asked directly."""
    _Told.owners = read


async def staff(work: Work, user_ids: Sequence[UUID]) -> set[UUID]:
    """Which of these users are of the house and may sign in: no customer's account stands in a team or has a post."""
    rows = await work.fetch(
        f"select id from app_user u where org_id = callout_org() and id = any($1) and {OF_THE_HOUSE.format('u')}",
        list(user_ids),
    )
    return {row["id"] for row in rows}


async def around(work: Work, order_ids: Sequence[UUID]) -> dict[UUID, Around]:
    """The people around each of these orders; orders that are not there are left out."""
    orders = await _orders(work, order_ids)
    owners = await _Told.owners(work, list(orders)) if _Told.owners is not None and orders else {}
    found = await _People.load(work, orders, [*set(owners.values()), "role:dispatcher"])
    made: dict[UUID, Around] = {}
    for id_, order in orders.items():
        following = found.holders(owners[id_], order) if id_ in owners else ()
        following = following or _one(found.engineers.get(id_)) or _one(order["handler_id"])
        made[id_] = Around(
            order_id=id_,
            initiator=order["created_by"] or order["contact_user"],
            contact_id=order["contact_id"],
            reporter_name=order["reporter_name"],
            reporter_phone=order["reporter_phone"],
            reporter_email=order["reporter_email"],
            locale=order["locale"],
            handler=order["handler_id"],
            next=following or found.of_role("dispatcher"),
            supervisor=found.supervisors(order),
        )
    return made


async def holders(work: Work, owner: str, order_id: UUID) -> list[UUID]:
    """The users who are `owner` (as in `kinds.terms.Step.owner`) of an order; see `holders_of`."""
    return (await holders_of(work, [(owner, order_id)]))[0]


async def holders_of(work: Work, pairs: Sequence[tuple[str, UUID]]) -> list[list[UUID]]:
    """The users of each pair of owner and order, in order.

    A post that is held for the order's team or territory comes before one that is held everywhere. Where nobody is found
    the supervisors answer for it; nobody is asked for `system`, nor for a customer who has no account.
    """
    orders = await _orders(work, [order_id for _, order_id in pairs])
    owners = {owner for owner, _ in pairs}
    found = _People([], {})
    # Where the orders name whoever is meant, nobody else has to be looked for.
    if not all(found.holders(owner, orders[id_]) for owner, id_ in pairs if id_ in orders):
        found = await _People.load(work, orders, owners, engineers="engineer" in owners)
    answers: list[list[UUID]] = []
    for owner, order_id in pairs:
        order = orders.get(order_id)
        if order is None or owner == "system":
            answers.append([])
            continue
        users = found.holders(owner, order)
        if not users and owner != "customer":
            users = found.supervisors(order)
        answers.append(list(users))
    return answers


async def supervisors_of(work: Work, order_ids: Sequence[UUID]) -> dict[UUID, tuple[UUID, ...]]:
    """The supervisors of each of these orders: leads of its team, else supervisors, else admins."""
    orders = await _orders(work, order_ids)
    found = await _People.load(work, orders, (), engineers=False)
    return {id_: found.supervisors(order) for id_, order in orders.items()}


async def _orders(work: Work, ids: Iterable[UUID]) -> dict[UUID, Any]:
    wanted = list(dict.fromkeys(ids))
    if not wanted:
        return {}
    rows = await work.fetch(
        """
        select o.id, i.id as created_by, h.id as handler_id, o.team_id, o.contact_id, o.reporter_name, o.reporter_phone,
               o.reporter_email, o.locale, s.territory_id, u.id as contact_user
        from work_order o
        join site s on s.org_id = o.org_id and s.id = o.site_id
        left join contact c on c.org_id = o.org_id and c.id = o.contact_id
        left join app_user i on i.org_id = o.org_id and i.id = o.created_by and i.active
        left join app_user h on h.org_id = o.org_id and h.id = o.handler_id and h.active
        left join app_user u on u.org_id = o.org_id and u.id = c.user_id and u.active
        where o.org_id = callout_org() and o.id = any($1)
        """,
        wanted,
    )
    return {row["id"]: row for row in rows}


class _People:
    """What was found about roles, posts, leads and engineers, for the orders in question."""

    def __init__(self, rows: Sequence[Any], engineers: Mapping[UUID, UUID]) -> None:
        self.engineers = engineers
        self._roles: dict[str, list[UUID]] = {}
        self._leads: dict[UUID, list[UUID]] = {}
        self._posts: dict[str, list[Any]] = {}
        for row in rows:
            if row["source"] == "role":
                self._roles.setdefault(row["name"], []).append(row["user_id"])
            elif row["source"] == "lead":
                self._leads.setdefault(row["team_id"], []).append(row["user_id"])
            else:
                self._posts.setdefault(row["name"], []).append(row)

    @classmethod
    async def load(
        cls, work: Work, orders: Mapping[UUID, Any], owners: Iterable[str], *, engineers: bool = True
    ) -> "_People":
        given = list(owners)
        if not orders:
            return cls([], {})
        sent: Mapping[UUID, UUID] = {}
        if engineers and _Told.engineers is not None:
            sent = await _Told.engineers(work, list(orders))
        roles = {owner.removeprefix("role:") for owner in given if owner.startswith("role:")}
        rows = await work.fetch(
            """
            select 'role' as source, u.role as name, u.id as user_id, null::uuid as territory_id, null::uuid as team_id
            from app_user u where u.org_id = callout_org() and u.active and u.role = any($1)
            union all
            select 'lead', m.part, u.id, null, m.team_id
            from team_member m join app_user u on u.org_id = m.org_id and u.id = m.user_id and u.active
            where m.org_id = callout_org() and m.part = 'lead' and m.team_id = any($2)
            union all
            select 'post', p.post, u.id, p.territory_id, p.team_id
            from staff_post p join app_user u on u.org_id = p.org_id and u.id = p.user_id and u.active
            where p.org_id = callout_org() and p.post = any($3)
            order by 1, 2, 3
            """,
            [*roles, Role.SUPERVISOR.value, Role.ADMIN.value],
            list({order["team_id"] for order in orders.values()} - {None}),
            [owner.removeprefix("post:") for owner in given if owner.startswith("post:")],
        )
        return cls(rows, sent)

    def of_role(self, role: str) -> tuple[UUID, ...]:
        return tuple(self._roles.get(role, ()))[:PEOPLE_MAX]

    def supervisors(self, order: Any) -> tuple[UUID, ...]:
        leads = tuple(self._leads.get(order["team_id"], ()))
        return leads or self.of_role(Role.SUPERVISOR) or self.of_role(Role.ADMIN)

    def holders(self, owner: str, order: Any) -> tuple[UUID, ...]:
        """Whoever is meant, without the supervisors who stand in for nobody."""
        kind, _, name = owner.partition(":")
        match kind:
            case "role":
                return self.of_role(name)
            case "post":
                return self._of_post(name, order)
            case "engineer":
                return _one(self.engineers.get(order["id"]))
            case "handler":
                return _one(order["handler_id"])
            case "initiator":
                return _one(order["created_by"] or order["contact_user"])
            case "customer":
                return _one(order["contact_user"])
            case _:
                return ()

    def _of_post(self, name: str, order: Any) -> tuple[UUID, ...]:
        """Those who hold the post closest by: of the team, then of the territory, then everywhere."""
        closest: dict[int, list[UUID]] = {}
        for row in self._posts.get(name, ()):
            if row["team_id"] not in (None, order["team_id"]) or row["territory_id"] not in (
                None,
                order["territory_id"],
            ):
                continue
            distance = 2 * (row["team_id"] is None) + (row["territory_id"] is None)
            closest.setdefault(distance, []).append(row["user_id"])
        return tuple(dict.fromkeys(closest[min(closest)]))[:PEOPLE_MAX] if closest else ()


def _one(user: UUID | None) -> tuple[UUID, ...]:
    return () if user is None else (user,)

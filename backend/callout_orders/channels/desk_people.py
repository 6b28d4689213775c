"""Whom the desk asks, where there is no order yet whose people could be asked."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from callout_orders.desk import todos
from callout_people.principals import Role
from callout_store.work import Work

PEOPLE_MAX: Final = 20
ORDER: Final = (Role.DISPATCHER, Role.SUPERVISOR, Role.ADMIN)


async def desk(work: Work) -> list[UUID]:
    """The dispatchers, else the supervisors, else the admins; at most `PEOPLE_MAX`."""
    rows = await work.fetch(
        "select id, role from app_user where org_id = callout_org() and active and role = any($1::text[]) order by id",
        [role.value for role in ORDER],
    )
    for role in ORDER:
        found = [row["id"] for row in rows if row["role"] == role.value]
        if found:
            return found[:PEOPLE_MAX]
    return []


async def ask(
    work: Work,
    kind: str,
    matter: str,
    *,
    order_id: UUID | None = None,
    data: Mapping[str, Any] | None = None,
    urgent: bool = False,
    due_at: datetime | None = None,
    of: Sequence[UUID] | None = None,
) -> None:
    """Give everybody of the desk, or those of `of`, the same to-do; who settles the matter ends it for all (`todos.end`)."""
    await todos.ask(
        work,
        [
            todos.NewTodo(
                user_id=user,
                kind=kind,
                matter=matter,
                order_id=order_id,
                data=data or {},
                urgent=urgent,
                due_at=due_at,
            )
            for user in (of if of is not None else await desk(work))
        ],
    )

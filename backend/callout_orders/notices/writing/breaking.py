"""An organisation's own template that cannot be filled in: the built-in one says it, and who may mend it is asked to.

A template is tried when it is saved; what breaks later is one that some order's values do not suit, or that gets too long.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final

import msgspec

from callout_orders.desk import todos
from callout_orders.desk.todos import NewTodo
from callout_orders.notices.writing import templates, texts, versions
from callout_orders.notices.writing.templates import BadTemplate, Text
from callout_people.principals import RIGHTS, Right
from callout_store.work import Work

TODO: Final = "notice.template_broke"
PEOPLE_MAX: Final = 20


class Broken(msgspec.Struct, frozen=True, kw_only=True):
    """Which template, and why."""

    medium: str
    kind: str
    locale: str
    reason: str


def filled(
    saved: versions.Chosen, medium: str, kind: str, locale: str, values: Mapping[str, Any]
) -> tuple[Text, Broken | None]:
    """The words, by the template in use or else the built-in one: a bad template keeps nobody from hearing of it."""
    try:
        return templates.render(versions.text_of(saved, medium, kind, locale), medium, values), None
    except BadTemplate as fault:
        own = templates.render(texts.built_in(medium, kind, locale), medium, values)
        return own, Broken(medium=medium, kind=kind, locale=locale, reason=str(fault)[:200])


async def tell(work: Work, broken: Collection[Broken]) -> None:
    """Ask those who manage templates to mend these, each version once."""
    if not broken:
        return
    people = await work.fetch(
        """
        select id from app_user where org_id = callout_org() and active and role = any($1::text[])
        order by role, id limit $2
        """,
        [role.value for role in RIGHTS[Right.POLICY_MANAGE]],
        PEOPLE_MAX,
    )
    used = await versions.numbers(work)
    asked = {}
    for one in broken:
        kind = one.kind if (one.medium, one.kind, one.locale) in used else versions.ANY
        version = used.get((one.medium, kind, one.locale), 0)
        asked[versions.matter(one.medium, kind, one.locale, version)] = one
    await todos.ask(
        work,
        [
            NewTodo(user_id=row["id"], kind=TODO, matter=matter, data=msgspec.structs.asdict(one))
            for matter, one in asked.items()
            for row in people
        ],
    )

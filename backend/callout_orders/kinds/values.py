"""The values of an order's own fields: what they are, and setting them while the order runs."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_orders.checks import FieldRefused, Gather
from callout_orders.kinds import fields, versions
from callout_orders.kinds.terms import Kind
from callout_orders.terms import OrderState
from callout_store.errors import NotFound, StaleRevision, WrongState
from callout_store.journal import Entry, write
from callout_store.work import Work

KIND: Final = "work_order.fields_set"


class OrderValues(msgspec.Struct, frozen=True, kw_only=True):
    """An order's values, by the version of its kind that it runs under."""

    order_id: UUID
    code: str
    version: int
    values: dict[str, Any]


async def by_order_ids(work: Work, ids: Sequence[UUID]) -> list[OrderValues | None]:
    """The values of orders, in the order of `ids`."""
    rows = await work.fetch(
        """
        select id, kind, kind_version, fields::text as fields from work_order
        where org_id = callout_org() and id = any($1)
        """,
        list(ids),
    )
    found = {
        row["id"]: OrderValues(
            order_id=row["id"],
            code=row["kind"],
            version=row["kind_version"],
            values=msgspec.json.decode(row["fields"]),
        )
        for row in rows
    }
    return [found.get(id_) for id_ in ids]


async def set_fields(
    work: Work, order_id: UUID, given: Mapping[str, Any], *, revision: int | None = None
) -> int:
    """Fill in fields of an order (null takes a value away); its revision. What is left out stays; the same again
    changes nothing. Journals `work_order.fields_set` with what each was and is.

    Raises FieldRefused or FieldsRefused (paths `fields.<code>`), NotFound, StaleRevision, and WrongState for an order that
    was called off or archived.
    """
    row = await work.fetchrow(
        """
        select kind, kind_version, fields::text as fields, state, archived_at, revision from work_order
        where org_id = callout_org() and id = $1 for no key update
        """,
        order_id,
    )
    if row is None:
        raise NotFound(entity="work order", path="orderId")
    if revision is not None and revision != row["revision"]:
        raise StaleRevision(entity="work order", current=row["revision"], given=revision)
    if row["state"] == OrderState.CANCELED or row["archived_at"] is not None:
        state = "archived" if row["archived_at"] is not None else row["state"]
        raise WrongState(entity="work order", state=state, needed="an order that is not over")
    key = (row["kind"], row["kind_version"])
    kind = (await versions.kinds_of(work, [key]))[key]
    before = msgspec.json.decode(row["fields"], type=dict[str, Any])
    after = _merged(kind, before, given)
    changed = {
        code: {"from": before.get(code), "to": after.get(code)}
        for code in dict.fromkeys((*before, *after))
        if before.get(code) != after.get(code)
    }
    if not changed:
        return int(row["revision"])
    await work.execute(
        """
        update work_order set fields = $2::text::jsonb, revision = revision + 1
        where org_id = callout_org() and id = $1
        """,
        order_id,
        msgspec.json.encode(after).decode(),
    )
    await write(
        work,
        Entry(
            kind=KIND,
            entity="work_order",
            entity_id=order_id,
            order_id=order_id,
            data={"fields": list(changed), "changes": changed},
        ),
    )
    work.touch("work_order", order_id)
    return int(row["revision"]) + 1


def _merged(kind: Kind, before: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """What was there with what is given over it; a field that the kind always asks for cannot be taken away."""
    gather = Gather()
    checked: dict[str, Any] = {}
    with gather:
        checked = fields.checked(kind, given, required=False)
    for field in kind.fields:
        with gather:
            if field.required and field.code in given and field.code not in checked:
                blank = given[field.code] is None or not str(given[field.code]).strip()
                if blank:
                    raise FieldRefused(f"fields.{field.code}", "missing")
    gather.settle()
    kept = {code: value for code, value in before.items() if code not in given}
    merged = {**kept, **checked}
    return {field.code: merged[field.code] for field in kind.fields if field.code in merged}

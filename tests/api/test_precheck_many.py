"""A sheet of requests taken in together is what the same requests are one after the other, only quicker."""

import random
from typing import Any
from uuid import UUID

import pytest
from prechecks import Desk, make_desk

from callout_orders.precheck import many, taking
from callout_orders.precheck.terms import Checked, Request, Taken
from callout_store.errors import Refusal
from callout_store.work import Database, Work

ROUNDS = 6
ROWS = 24
TEXTS = (
    "the pump leaks and the floor is wet",
    "the pump leaks, the floor is wet!",
    "no light in the hall",
    "充电桩无法启动,屏幕不亮",
    "充电桩无法启动,屏幕也不亮",
)


def request(roll: random.Random, desk: Desk) -> Request:
    """One of the few that a small village makes: they share telephones, addresses, machines and references."""
    phone = roll.choice(["13800138000", "13900000001", "13900000002", "13900000003", "12", None])
    values: dict[str, Any] = {
        "channel": "hotline",
        "kind": roll.choice(["general", "general", "repair", "no_such_kind"]),
        "description": roll.choice(TEXTS),
        "contact_phone": phone,
        "contact_name": roll.choice(["Eve", "Ned", "x" * 300, None]),
        "contact_email": roll.choice([None, "eve@example.org", "no address"]),
        "address": roll.choice(
            [None, "1 Long Road", "1 long road", "2 Long Road", "杭州市西湖区文三路138号"]
        ),
        "customer_number": roll.choice([None, None, None, "C-1", "C-404"]),
        "site_id": roll.choice([None, None, None, desk.site_id]),
        "serial": roll.choice([None, None, "CP-2024-AB000001"]),
        "references": roll.choice([(), (("crm", f"R-{roll.randrange(8)}"),)]),
        "link_duplicates": roll.choice([None, False]),
    }
    if values["site_id"] is not None:
        values["contact_phone"] = "13800138000"
    return Request(**values)


def said(answer: Any, names: dict[UUID, str]) -> Any:
    """An answer without what is another's in every organisation: ids and numbers, by their first appearance."""

    def name(id_: UUID | None) -> str | None:
        return None if id_ is None else names.setdefault(id_, f"#{len(names)}")

    if isinstance(answer, Taken):
        return (
            "taken",
            answer.existing,
            name(answer.id),
            name(answer.customer_id),
            name(answer.site_id),
            name(answer.contact_id),
            name(answer.duplicate_of_id),
            answer.kind,
            answer.tags,
            answer.makes,
        )
    if isinstance(answer, Checked):
        return answer.ok, [(one.path, one.reason) for one in answer.faults], answer.makes
    assert isinstance(answer, Refusal), repr(answer)
    return type(answer).__name__, answer.path, answer.extensions().get("errors")


async def one_by_one(work: Work, act: Any, requests: list[Request]) -> list[Any]:
    found = []
    for one in requests:
        try:
            async with work.savepoint():
                found.append(await act(work, one))
        except Refusal as refusal:
            found.append(refusal)
    return found


@pytest.mark.parametrize(
    "given",
    (
        None,
        # A row waits for a contact that is made before it, and then gives that contact's customer a second site.
        1205334504,
    ),
)
async def test_together_is_one_by_one(db: Database, seed: int, given: int | None) -> None:
    """A row that finds another customer, a second order or another refusal when it comes in a sheet: nobody would ever see
    why."""
    seed = seed if given is None else given
    for n in range(ROUNDS):
        answers: list[list[Any]] = []
        for together in (False, True):
            roll = random.Random(f"{seed}:{n}")
            desk = await make_desk(db)
            requests = [request(roll, desk) for _ in range(ROWS)]
            names = {desk.customer_id: "C", desk.site_id: "S", desk.contact_id: "K"}
            async with db.work(desk.org_id) as work:
                if together:
                    checked: list[Any] = list(await many.check_many(work, requests))
                    taken: list[Any] = list(await many.take_many(work, requests))
                else:
                    checked = await one_by_one(work, taking.check, requests)
                    taken = await one_by_one(work, taking.take, requests)
                kept = [
                    one
                    for one, what in zip(requests, taken, strict=True)
                    if one.references and isinstance(what, Taken)
                ]
                again = await many.take_many(work, kept)
                orders = await work.fetchval("select count(*) from work_order")
            assert all(isinstance(one, Taken) and one.existing for one in again)
            answers.append([said(one, names) for one in (*checked, *taken)] + [orders])
        assert answers[0] == answers[1], f"seed {seed}, round {n}"


async def test_a_row_that_breaks_leaves_the_others(db: Database) -> None:
    """One row with a character that no database stores must not cost a sheet of two hundred."""
    desk = await make_desk(db)
    good = [
        Request(
            channel="hotline",
            kind="general",
            description=f"the lamp number {n} flickers",
            contact_name=f"Caller {n}",
            contact_phone=f"1390000{n:04d}",
        )
        for n in range(9)
    ]
    bad = Request(
        channel="hotline",
        kind="general",
        description="it broke",
        contact_phone="13900009999",
        customer_number="C\x00",
    )
    async with db.work(desk.org_id) as work:
        answers = await many.take_many(work, [*good[:4], bad, *good[4:]])
        count = await work.fetchval("select count(*) from work_order")
    assert [isinstance(one, Taken) for one in answers] == [True] * 4 + [False] + [True] * 5
    assert count == 9

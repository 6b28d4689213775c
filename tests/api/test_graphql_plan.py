"""The fast way through queries answers what graphql-core answers, to the letter."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from worlds import World

from callout_backend.wiring import add_hooks
from callout_dispatch import reading as dispatch
from callout_graphql.context import Context, Services
from callout_graphql.execution import Engine, GraphQLRequest
from callout_graphql.operations import OPERATIONS
from callout_graphql.plan import Plan, plan_of
from callout_graphql.schema import schema
from callout_people.principals import Principal, Role
from callout_people.tokens import TokenIssuer
from callout_store.ids import new_id
from callout_store.work import Database


@dataclass
class Both:
    """The same schema by both ways."""

    world: World
    fast: Engine
    plain: Engine

    def context(self, role: Role = Role.DISPATCHER) -> Context:
        actor = self.world.phones[0].actor if role is Role.ENGINEER else self.world.dispatcher
        assert actor.user_id is not None
        who = Principal(
            org_id=self.world.org,
            user_id=actor.user_id,
            role=role,
            session_id=new_id(),
            device_id=actor.device_id,
        )
        return Context(Services(db=self.world.db, issuer=TokenIssuer("x" * 40)), who, request_id="r")

    async def answers(self, query: str, variables: Any = None, role: Role = Role.DISPATCHER) -> list[Any]:
        """Both bodies as lists of pairs, so that the order of keys is compared too."""
        request = GraphQLRequest(query=query, variables=variables)
        bodies = [(await engine.run(request, self.context(role))).body for engine in (self.fast, self.plain)]
        return [json.loads(msgspec.json.encode(body), object_pairs_hook=list) for body in bodies]

    def planned(self, query: str) -> Plan | None:
        prepared = self.fast.documents.prepare(query, may_introspect=True)
        return plan_of(prepared, prepared.operation(None), self.fast.schema)


def has_errors(body: Any) -> bool:
    return "errors" in dict(body)


@pytest.fixture(scope="module")
async def both(db: Database) -> Both:
    add_hooks(db)
    world = await World(db).build()
    phone = world.phones[0]
    for _ in range(3):
        visit = await world.visit(phone)
        part = {"partId": str(world.part), "quantity": 1}
        await phone.push(
            phone.command("visit.arrive", visit), phone.command("visit.replace_part", visit, part)
        )
    await world.order(contact_id=None, asset_id=None)
    return Both(world, Engine(schema()), Engine(schema(), plans=False))


async def variables_of(both: Both) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "start": (now - timedelta(days=1)).isoformat(),
        "end": (now + timedelta(days=3)).isoformat(),
        "number": "WO-000001",
        "orderId": str(await both.world.value("select id from work_order order by id limit 1")),
        "state": None,
    }


@pytest.mark.parametrize("name", ("viewer", "board", "orders", "visits", "order_detail"))
@pytest.mark.parametrize("role", (Role.DISPATCHER, Role.ENGINEER))
async def test_our_own_operations_are_answered_alike(both: Both, name: str, role: Role) -> None:
    """A client must not be able to tell which way its query went, refusals of an engineer's included."""
    fast, plain = await both.answers(OPERATIONS[name], await variables_of(both), role)
    assert fast == plain
    assert has_errors(fast) == (role is Role.ENGINEER and name in ("board", "order_detail"))
    assert both.planned(OPERATIONS[name]) is not None


async def test_a_pull_goes_the_fast_way(both: Both) -> None:
    """The page of every phone, many times an hour; its documents go out as they lie in the database."""
    query = "query($c: String) { pull(cursor: $c) { more epoch total count documents } }"
    assert both.planned(query) is not None
    fast, plain = await both.answers(query, None, Role.ENGINEER)
    assert fast == plain
    assert len(dict(dict(dict(fast)["data"])["pull"])["documents"]) > 10


@pytest.mark.parametrize(
    "query",
    (
        # Aliases, the same field twice with other selections, and fragments in fragments are merged.
        """{ a: orders(first: 1) { nodes { x: number number site { id } ...F } }
             b: orders(first: 2) { hasMore nodes { site { name } } }
             viewer { __typename role ... { role name } } }
           fragment F on WorkOrder { site { customer { name } ...G } skills { skill } }
           fragment G on Site { address customer { id } }""",
        # Rows that lead nowhere, and lists that are empty.
        "{ orders(first: 1) { nodes { contact { name } asset { serial site { name } } visits { id } } } }",
        "{ visits(first: 200) { nodes { signatures { id } events { kind flags data } } } }",
        "query($n: Int! = 2, $f: OrderFilter) { orders(first: $n, filter: $f) { nodes { number } } }",
        "{ skills { code name } engineers { nodes { name online skills { skill level } stock { part { code } } } } }",
        "{ __typename }",
    ),
)
async def test_shapes_are_completed_alike(both: Both, query: str) -> None:
    """Merging, order of keys, nulls and empty lists are where two ways would part."""
    assert both.planned(query) is not None
    fast, plain = await both.answers(query)
    assert fast == plain
    assert not has_errors(fast)


@pytest.mark.parametrize(
    "query",
    (
        "{ viewer { name } orders(first: 201) { hasMore } }",
        '{ order { id } ok: order(number: "WO-000001") { id } }',
        "{ users { nodes { id role } } deadLetters { id } }",
        '{ orders(after: "nonsense") { nodes { id } } }',
    ),
)
async def test_refusals_are_told_alike(both: Both, query: str) -> None:
    """Which field was refused, and what became of its neighbours, must not depend on the way."""
    fast, plain = await both.answers(query)
    assert fast == plain
    assert has_errors(fast)


@pytest.mark.parametrize(
    ("query", "variables"),
    (
        ("query($y: Boolean!) { viewer { name @include(if: $y) role } }", {"y": False}),
        ("{ __schema { queryType { name } } }", None),
        (
            'mutation { a: createPart(input: {code: "P-8", name: "A"}) { code } '
            'b: createPart(input: {code: "P-9", name: "B"}) { code } }',
            None,
        ),
    ),
)
async def test_what_plans_do_not_know_goes_the_other_way(both: Both, query: str, variables: Any) -> None:
    """Directives decide anew at each call, and a mutation must never run twice."""
    assert both.planned(query) is None
    reply = await both.fast.run(GraphQLRequest(query=query, variables=variables), both.context())
    assert "errors" not in reply.body


PUSH = """
mutation($i: PushInput!) { push(input: $i) { answers { index id status code path firstStatus } __typename } }
"""


async def test_a_push_goes_the_fast_way_and_once(both: Both) -> None:
    """The answer of a phone's batch: a hundred small objects that graphql-core would complete one by one."""
    assert both.planned(PUSH) is not None
    phone = both.world.phones[0]
    visit = await both.world.visit(phone)
    commands = [phone.command("visit.note", visit, {"text": "x"}), 5]
    variables = {"i": {"sentAt": "2026-01-01T00:00:00Z", "commands": commands}}
    fast, plain = await both.answers(PUSH, variables, Role.ENGINEER)
    assert [a["status"] for a in answers(fast)] == ["applied", "quarantined"]
    assert [(a["status"], a["firstStatus"]) for a in answers(plain)] == [
        ("duplicate", "applied"),
        ("duplicate", "quarantined"),
    ]
    assert [list(a) for a in answers(fast)] == [list(a) for a in answers(plain)]


async def test_a_refused_push_is_told_alike(both: Both) -> None:
    """A mutation is not run again to learn what went wrong, and its refusal must read the same all the same."""
    variables = {"i": {"sentAt": "2026-01-01T00:00:00Z", "commands": [1] * 201}}
    fast, plain = await both.answers(PUSH, variables, Role.ENGINEER)
    assert fast == plain
    assert dict(dict(dict(fast)["errors"][0])["extensions"])["code"] == "LIMIT_EXCEEDED"


def answers(body: Any) -> list[dict[str, Any]]:
    return [dict(a) for a in dict(dict(dict(body)["data"])["push"])["answers"]]


async def test_a_null_where_none_may_be_is_a_fault_both_ways(
    both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client's generated code crashes on a null in a field that the schema promises."""

    async def skills(_: Any) -> list[Any]:
        return [dispatch.SkillView(code=None, name_en="a", name_zh="b")]  # type: ignore[arg-type]

    monkeypatch.setattr(dispatch, "skills", skills)
    fast, plain = await both.answers("{ skills { code } }")
    assert fast == plain
    assert dict(dict(dict(fast)["errors"][0])["extensions"])["code"] == "INTERNAL"

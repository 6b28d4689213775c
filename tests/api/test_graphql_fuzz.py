"""Random walks over the schema: every query and mutation with ordinary, odd and extreme arguments.

Whatever a caller sends, the answer is data or a refusal with a code; never a fault of ours. The walk is seeded: a
failure prints the call, and CALLOUT_TEST_SEED repeats the run.
"""

import random
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from graph import Graph, application, someone, token_of
from graphql import (
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLObjectType,
    get_named_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
)
from worlds import STROKES, World

from callout_backend.settings import Settings
from callout_contracts.commands import PAYLOADS
from callout_graphql.schema import engine
from callout_people.principals import Role
from callout_store.work import Database

SECONDS_MAX = 8.0
ROUNDS_MAX = 60
DEPTH_MAX = 3

TEXTS = (
    "", " ", "a", "P0", "P1", "repair", "app", "web_form", "standard", "piece", "en", "zh", "open", "new", "sewer",
    "engineer", "SEAL-1", "C-1", "WO-000001", "+1 415 555 2671", "a@example.org", "%_\\", "'; select 1; --", "{why}",
    "\u200b", "漏水", "😀" * 50, "\r\n\t", "\x7f", "a\x00b", "x" * 5000, "-1", "null", "NaN", "../../etc", "<b>",
)  # fmt: skip
FITTING_TEXTS: dict[str, tuple[str, ...]] = {
    "priority": ("P0", "P1", "P2"), "priorities": ("P0", "P1", "P2"), "kind": ("repair", "service"),
    "kinds": ("repair", "service"), "channel": ("app", "hotline"), "channels": ("app", "hotline"),
    "tier": ("standard", "gold"), "states": ("new", "scheduled", "dispatched", "completed"), "skill": ("sewer",),
    "locale": ("en", "zh"), "phone": ("+1 415 555 2671", "138 0013 8000"), "phoneRegion": ("CN", "US"),
    "email": ("a@example.org",), "state": ("open", "dismissed"), "role": ("engineer", "admin"), "unit": ("piece",),
    "code": ("SEAL-1",), "reason": ("because",), "note": ("seen",),
}  # fmt: skip
FITTING_INTEGERS = {
    "durationMinutes": 60,
    "geofenceRadiusM": 150,
    "first": 20,
    "level": 2,
    "quantity": 1,
    "limit": 50,
}
INTEGERS = (0, 1, -1, 2, 5, 50, 60, 150, 200, 201, 1440, 2**31 - 1, -(2**31))
FLOATS = (0.0, -0.0, 1.5, 37.7, -122.4, 90.0, 90.1, -180.0, 1e-320, 1e308, -1e308)
LONGS = (0, 1, -1, 2**53, 2**63 - 1, -(2**63) + 1, 2**63)
INSTANTS = (
    "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-14:00",
    "1900-01-01T00:00:00+14:00", "2199-12-31T23:59:59-14:00", "1970-01-01T00:00:00Z", "2026-02-29T00:00:00Z",
    "2026-03-02", "2026-03-02T08:00:00", "tomorrow", "",
)  # fmt: skip


class Walk:
    """Makes calls; knows the ids that lead somewhere."""

    def __init__(self, rng: random.Random, ids: dict[str, list[str]]) -> None:
        self.rng, self.by_name = rng, ids
        self.ids = [id_ for some in ids.values() for id_ in some]

    def call(self, root: str, name: str, field: GraphQLField) -> tuple[str, dict[str, Any]]:
        """A document that calls one root field with everything below it, and its variables."""
        variables: dict[str, Any] = {}
        declared, given = [], []
        for argument, spec in field.args.items():
            required = is_non_null_type(spec.type)
            if required or self.rng.random() < 0.7:
                variables[argument] = self.value(spec.type, "id:" + name if argument == "id" else argument)
                declared.append(f"${argument}: {spec.type}")
                given.append(f"{argument}: ${argument}")
        head = f"({', '.join(declared)})" if declared else ""
        arguments = f"({', '.join(given)})" if given else ""
        return f"{root}{head} {{ {name}{arguments}{self.below(field, 0)} }}", variables

    def below(self, field: GraphQLField, depth: int) -> str:
        """A selection of what can be read without arguments."""
        named = get_named_type(field.type)
        if not isinstance(named, GraphQLObjectType):
            return ""
        parts = [
            name + self.below(inner, depth + 1)
            for name, inner in named.fields.items()
            if is_leaf_type(get_named_type(inner.type)) or (depth < DEPTH_MAX and self.rng.random() < 0.5)
        ]
        return " { __typename " + " ".join(parts) + " }"

    def value(self, type_: Any, name: str) -> Any:
        if is_non_null_type(type_):
            return self.value(type_.of_type, name)
        if self.rng.random() < 0.04:
            return None
        if is_list_type(type_):
            return [self.value(type_.of_type, name) for _ in range(self.rng.choice((0, 1, 1, 2, 5)))]
        if isinstance(type_, GraphQLInputObjectType):
            return {
                inner: self.value(part.type, inner)
                for inner, part in type_.fields.items()
                if is_non_null_type(part.type) or self.rng.random() < 0.6
            }
        return self.leaf(str(type_), name)

    def leaf(self, type_: str, name: str) -> Any:
        rng = self.rng
        match type_:
            case "UUID":
                fitting = self.by_name.get(name, self.ids)
                return rng.choice(rng.choices((fitting, self.ids, (str(uuid4()), "x", "")), (8, 1, 1))[0])
            case "Int" if rng.random() < 0.8:
                return FITTING_INTEGERS.get(name, rng.randint(1, 5))
            case "Int":
                return rng.choice(INTEGERS)
            case "Long":
                return rng.choice(LONGS)
            case "Float":
                return rng.choice((*FLOATS, rng.uniform(-200, 200)))
            case "Boolean":
                return rng.random() < 0.5
            case "DateTime":
                return self.instant()
            case "JSON":
                return self.command()
        if rng.random() < 0.75:
            return rng.choice(FITTING_TEXTS.get(name, (f"{name} {rng.randrange(1000)}",)))
        return rng.choice((*TEXTS, *self.ids))

    def instant(self) -> str:
        if self.rng.random() < 0.25:
            return self.rng.choice(INSTANTS)
        return (datetime.now(UTC) + timedelta(minutes=self.rng.randint(-3000, 3000))).isoformat()

    def command(self) -> Any:
        """A command of a phone, of which some parts are spoiled."""
        rng = self.rng
        degrees = rng.choice(((37.7793, -122.4193), (rng.choice(FLOATS), rng.choice(FLOATS))))
        command: dict[str, Any] = {
            "id": rng.choice((str(uuid4()), rng.choice(self.ids))),
            "sequence": rng.randint(1, 10**6),
            "schemaVersion": 1,
            "kind": rng.choice(tuple(PAYLOADS)),
            "visitId": rng.choice(self.by_name["visitId"] if rng.random() < 0.8 else self.ids),
            "deviceTime": self.instant(),
            "location": {"lat": degrees[0], "lng": degrees[1], "accuracyM": abs(rng.choice(FLOATS))},
            "payload": {
                "text": rng.choice(TEXTS),
                "finding": rng.choice(TEXTS),
                "partId": rng.choice(self.by_name["partId"] if rng.random() < 0.8 else self.ids),
                "quantity": rng.choice(INTEGERS),
                "signerName": rng.choice(TEXTS),
                "decision": "accept",
                "summary": "{}",
                "strokes": rng.choice((STROKES, [], [[[1e308, -1e308, 0]]])),
            },
        }
        if rng.random() < 0.9:
            command["payload"] = {
                k: v for k, v in command["payload"].items() if k in FITTING[command["kind"]]
            }
        for _ in range(rng.choice((0, 0, 0, 1, 2))):
            command[rng.choice(tuple(command))] = rng.choice(
                (None, 0, -1, 2**63, 1e308, "", "a\x00", [], {}, [[]])
            )
        return command if rng.random() < 0.95 else rng.choice((None, 1, "x", [], {}))


FITTING = {
    kind: {"visit.note": ("text",), "visit.diagnose": ("finding",), "visit.replace_part": ("partId", "quantity"),
           "visit.sign": ("signerName", "decision", "summary", "strokes")}.get(kind, ())
    for kind in PAYLOADS
}  # fmt: skip


@pytest.fixture(scope="module")
async def callers(settings: Settings, db: Database) -> AsyncIterator[tuple[World, dict[str, Graph]]]:
    """A world, and its admin (as supervisor and dispatcher in one: all rights) and a phone, signed in."""
    world = await World(db).build()
    async with application(settings, db) as (app, client):
        phone = world.phones[0].actor
        assert phone.user_id is not None
        assert world.dispatcher.user_id is not None
        people = {
            "dispatcher": (world.dispatcher.user_id, None),
            "admin": (await someone(world, Role.ADMIN), None),
            "phone": (phone.user_id, phone.device_id),
        }
        yield (
            world,
            {
                name: Graph(client, await token_of(db, app.state.issuer, world.org, user, device))
                for name, (user, device) in people.items()
            },
        )


async def test_no_arguments_make_a_fault(callers: tuple[World, dict[str, Graph]], seed: int) -> None:
    """A fault wakes somebody at night and hides from the caller what is wrong; a mutation may have half happened."""
    world, people = callers
    orders = [await world.order() for _ in range(12)]
    visits = [await world.visit(phone, order) for phone, order in zip(world.phones, orders, strict=False)]
    engineers = [str(phone.engineer_id) for phone in world.phones]
    ids = {
        "orderId": [str(order) for order in orders], "visitId": [str(visit) for visit in visits],
        "engineerId": engineers, "customerId": [str(world.customer)], "contactId": [str(world.contact)],
        "siteId": [str(world.site)], "assetId": [str(world.asset)], "partId": [str(world.part)],
        "userId": [str(world.phones[1].actor.user_id)], "deviceId": [str(world.phones[1].device_id)],
    }  # fmt: skip
    ids["orderIds"] = ids["orderId"]
    for names, kind in (
        (("order", "cancelWorkOrder", "closeWorkOrder", "changePriority"), "orderId"),
        (("visit", "reassignVisit", "moveVisit", "dispatchVisit", "cancelVisit"), "visitId"),
        (("engineer",), "engineerId"), (("customer",), "customerId"), (("site",), "siteId"),
        (("revokeDevice",), "deviceId"),
    ):  # fmt: skip
        ids |= {f"id:{name}": ids[kind] for name in names}
    rng = random.Random(f"{seed}:graphql-fuzz")
    print(f"seed {seed}")
    walk, schema = Walk(rng, ids), engine().schema
    assert schema.query_type is not None
    assert schema.mutation_type is not None
    roots = [("query", name, field) for name, field in schema.query_type.fields.items()]
    roots += [("mutation", name, field) for name, field in schema.mutation_type.fields.items()]
    until, calls, codes = time.monotonic() + SECONDS_MAX, 0, set[str]()
    done: dict[str, bool] = {}
    for turn in range(ROUNDS_MAX):
        rng.shuffle(roots)
        for root, name, field in roots:
            if time.monotonic() > until and turn > 0:
                break
            document, variables = walk.call(root, name, field)
            who = (
                "phone"
                if name in ("push", "pull")
                else rng.choice(("dispatcher", "dispatcher", "admin", "phone"))
            )
            answer = await people[who].send(document, variables)
            body = answer.json()
            calls += 1
            done[name] = done.get(name, False) or (
                bool((body.get("data") or {}).get(name)) and "errors" not in body
            )
            found = {error["extensions"]["code"] for error in body.get("errors", ())}
            pushed = ((body.get("data") or {}).get("push") or {}).get("answers", ())
            found |= {one["code"] for one in pushed if one["code"]}
            codes |= found
            told = f"as {who}: {document}\n{variables}\n{answer.text[:2000]}"
            assert answer.status_code < 500, told
            assert not found & {
                "INTERNAL",
                "COMMAND_FAILED",
                "GRAPHQL_VALIDATION_FAILED",
                "NOT_AUTHENTICATED",
            }, told
    print(
        f"{calls} calls, codes: {', '.join(sorted(codes))}; never done: {[n for n, ok in done.items() if not ok]}"
    )
    assert {"BAD_FIELD", "NOT_FOUND", "VARIABLES_INVALID"} <= codes

"""Articles, forms and the parts that an order needs: written by the office, held to their rules."""

from typing import Any

import asyncpg
import pytest
from worlds import World

from callout_contracts import limits
from callout_dispatch import assign
from callout_orders import customers, forms, intake, order_parts, orders
from callout_orders.forms import NewForm
from callout_orders.knowledge import articles
from callout_orders.knowledge.articles import ArticleText
from callout_store.errors import BadField, LimitExceeded, NotFound, Refusal, StaleRevision, WrongState
from callout_store.ids import new_id
from callout_store.work import Database

SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["pressure"],
    "additionalProperties": False,
    "properties": {
        "pressure": {"$ref": "#/$defs/bar"},
        "answers": {"type": "array", "items": {"enum": ["yes", "no"]}, "maxItems": 3},
        "when": {"type": "string", "format": "date"},
    },
    "$defs": {"bar": {"type": "number", "minimum": 0, "maximum": 16}},
}


@pytest.fixture(scope="module")
async def world(db: Database) -> World:
    return await World(db).build(phones=1)


def form(code: str = "pump_check", schema: Any = None, **more: Any) -> NewForm:
    return NewForm(
        code=code, title_en="Pump", title_zh="水泵", schema=SCHEMA if schema is None else schema, **more
    )


async def save(world: World, given: NewForm) -> Any:
    return await world.db.run(world.org, lambda work: forms.save_form(work, given), actor=world.dispatcher)


async def test_an_article_is_written_changed_and_retired(world: World) -> None:
    """An office that cannot tell its own change from a colleague's overwrites it; one that cannot retire an article
    sends engineers old advice."""
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        id_ = await articles.save_article(
            work, ArticleText(title=" Seal ", body="Turn left", kind="repair", model="P-200")
        )
        assert work.touched.rows["article"] == {id_}
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        changed = ArticleText(title="Seal", body="Turn right", kind="repair", model="P-200")
        await articles.save_article(work, changed, id_=id_, revision=1)
        with pytest.raises(StaleRevision):
            await articles.save_article(work, ArticleText(title="Seal", body="?"), id_=id_, revision=1)
        # The same once more is no change.
        await articles.save_article(work, changed, id_=id_)
        (found,) = await articles.articles_by_ids(work, [id_])
    assert found is not None
    assert (found.body, found.revision, found.active) == ("Turn right", 2, True)
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        await articles.retire_article(work, id_, 2)
        await articles.retire_article(work, id_)
        assert (await articles.articles_page(work, model="P-200")).items == []
        (found,) = (await articles.articles_page(work, active=None, search="RIGHT")).items
        assert (found.active, found.revision) == (False, 3)
    kinds = await world.fetch("select kind from journal where entity_id = $1 order by id", id_)
    assert [row["kind"] for row in kinds] == ["article.created", "article.changed", "article.retired"]


@pytest.mark.parametrize(
    ("more", "path"),
    (
        ({"title": " "}, "title"),
        ({"body": "x" * (limits.ARTICLE_CHARS_MAX + 1)}, "body"),
        ({"body": "a\0b"}, "body"),
        ({"locale": "de"}, "locale"),
        ({"kind": "magic"}, "kind"),
        ({"fault_code": "x" * 41}, "faultCode"),
        ({"territory_id": new_id()}, "territoryId"),
    ),
)
async def test_an_article_names_its_bad_field(world: World, more: dict[str, Any], path: str) -> None:
    """Without the field's name the office cannot mend what it typed."""
    with pytest.raises(Refusal) as caught:
        async with world.db.work(world.org) as work:
            await articles.save_article(work, ArticleText(**{"title": "T", "body": "B", **more}))
    assert caught.value.path == path


async def test_an_unknown_article_is_not_made(world: World) -> None:
    """A mistyped id must not become a new article under that id."""
    with pytest.raises(NotFound):
        async with world.db.work(world.org) as work:
            await articles.save_article(work, ArticleText(title="T", body="B"), id_=new_id())


async def test_a_form_gets_versions_and_the_older_one_is_retired(world: World) -> None:
    """A version that changed under the phone would make what was filled in unreadable."""
    first = await save(world, form("versions"))
    assert await save(world, form("versions")) == first
    second = await save(world, form("versions", {**SCHEMA, "required": []}))
    async with world.db.work(world.org) as work:
        found = await forms.forms_by_ids(work, [first, second])
    assert [(f.version, f.active) for f in found if f is not None] == [(1, False), (2, True)]
    assert found[0] is not None
    assert list(found[0].json_schema) == list(SCHEMA), "phones show the questions in the order of the keys"
    lines = await world.fetch(
        "select data::text from journal where kind = 'form.saved' and entity_id = $1", second
    )
    assert '"version": 2' in lines[0][0]


async def test_two_who_save_one_form_at_once_make_two_versions(world: World) -> None:
    """One of two saves that both read version 1 would fail on the other's row, or be lost."""
    import asyncio

    made = await asyncio.gather(*(save(world, form("race", {**SCHEMA, "title": str(n)})) for n in range(4)))
    rows = await world.fetch("select version, active from form where code = 'race' order by version")
    assert len(set(made)) == 4
    assert [tuple(row) for row in rows] == [(1, False), (2, False), (3, False), (4, True)]


def _nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = {"not": schema}
    return schema


def _doubling(levels: int) -> dict[str, Any]:
    defs = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(levels)}
    return {"$defs": {**defs, f"d{levels}": {}}, "$ref": "#/$defs/d0"}


@pytest.mark.parametrize(
    ("schema", "refusal", "path"),
    (
        ([], BadField, "schema"),
        ({"type": "nonsense"}, BadField, "schema.type"),
        ({"properties": {"a": {"pattern": "("}}}, BadField, "schema.properties.a.pattern"),
        # Look-ahead would need the engine whose time may explode.
        ({"pattern": "(?=a)b"}, BadField, "schema.pattern"),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, BadField, "schema.$schema"),
        ({"$ref": "https://example.org/form.json"}, BadField, "schema.$ref"),
        ({"properties": {"a": {"$ref": "file:///etc/hostname"}}}, BadField, "schema.properties.a.$ref"),
        ({"$ref": "#/$defs/nowhere"}, BadField, "schema.$ref"),
        ({"$ref": 7}, BadField, "schema.$ref"),
        # By the rules of JSON pointers this leads into `a`, and round in a circle, whatever else bears its name.
        (
            {"$defs": {"a": {"not": {"$ref": "#/$defs/a/not"}}, "a/not": {}}, "$ref": "#/$defs/a"},
            BadField,
            "schema.$defs.a.not.$ref",
        ),
        ({"$defs": {"a~1b": {}, "a/b": {}}, "$ref": "#/$defs/a~1b"}, BadField, "schema.$ref"),
        ({"$defs": {"%61": {}, "a": {}}, "$ref": "#/$defs/%61"}, BadField, "schema.$ref"),
        ({"pattern": "(a{1000}){1000}"}, BadField, "schema.pattern"),
        ({"patternProperties": {f"^{n}": {} for n in range(101)}}, LimitExceeded, "schema"),
        ({"anyOf": [{"pattern": str(n)} for n in range(101)]}, LimitExceeded, "schema"),
        ({"$id": "https://example.org/a"}, BadField, "schema.$id"),
        ({"$dynamicRef": "#x"}, BadField, "schema.$dynamicRef"),
        ({"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}, BadField, "schema.$defs.a.$ref"),
        ({"$ref": "#"}, BadField, "schema.$ref"),
        (_nested(limits.FORM_SCHEMA_DEPTH_MAX + 1), LimitExceeded, "schema"),
        # Twenty definitions that each ask twice for the next: a million checks of one value.
        (_doubling(20), LimitExceeded, "schema"),
        ({"description": "x" * limits.FORM_SCHEMA_BYTES_MAX}, LimitExceeded, "schema"),
        ({"description": "a\0b"}, BadField, "schema"),
    ),
)
async def test_a_schema_that_may_not_be_is_refused_by_name(
    world: World, schema: Any, refusal: type[Refusal], path: str
) -> None:
    """A schema that fetches, loops or explodes would stop the pushes of every phone that fills it in."""
    with pytest.raises(refusal) as caught:
        await save(world, form("refused", schema))
    assert caught.value.path == path
    assert await world.value("select count(*) from form where code = 'refused'") == 0
    if isinstance(caught.value, BadField):
        assert caught.value.message("zh") != caught.value.message("en")


async def test_names_that_look_like_keywords_are_names(world: World) -> None:
    """A question named `$id`, or an allowed answer that looks like a reference, is no reference."""
    await save(world, form("odd", {"properties": {"$id": {"const": {"$ref": "https://example.org"}}}}))


async def test_filled_in_forms_are_held_to_their_schema(world: World) -> None:
    """What does not fit must come back with its place, or the dispatcher cannot mend it; what fits must not."""
    good, old = await save(world, form("filled")), await save(world, form("older"))
    await save(world, form("older", {**SCHEMA, "required": []}))
    ids = [new_id() for _ in range(8)]
    filled: dict[Any, tuple[Any, Any]] = {
        ids[0]: (good, {"pressure": 3.5, "answers": ["yes"], "when": "2026-02-01"}),
        ids[1]: (good, {"answers": []}),
        ids[2]: (good, {"pressure": 3, "answers": ["yes", "maybe"]}),
        ids[3]: (good, {"pressure": 99}),
        ids[4]: (new_id(), {}),
        ids[5]: (good, {"pressure": 1, "note": "x" * limits.FORM_BYTES_MAX}),
        # A phone that was away fills in the version it has.
        ids[6]: (old, {"pressure": 1}),
        ids[7]: (good, {"pressure": 1, "when": "yesterday"}),
    }
    for _ in range(2):  # the second time from the compiled ones
        async with world.db.work(world.org) as work:
            found = await forms.check(work, filled)
        assert {ids.index(id_): (code, path) for id_, (code, path, _) in found.items()} == {
            1: ("PAYLOAD_INVALID", "payload.values"),
            2: ("PAYLOAD_INVALID", "payload.values.answers.1"),
            3: ("PAYLOAD_INVALID", "payload.values.pressure"),
            4: ("FORM_UNKNOWN", "payload.formId"),
            5: ("PAYLOAD_INVALID", "payload.values"),
            7: ("PAYLOAD_INVALID", "payload.values.when"),
        }
        assert "maximum" in found[ids[3]][2]


async def test_a_form_of_another_organisation_is_unknown(world: World, db: Database) -> None:
    """A compiled schema that is shared between organisations would tell one what another asks on site."""
    ours = await save(world, form("ours"))
    id_ = new_id()
    async with world.db.work(world.org) as work:
        assert await forms.check(work, {id_: (ours, {"pressure": 1})}) == {}
    other = await World(db).build(phones=0)
    async with db.work(other.org) as work:
        assert (await forms.check(work, {id_: (ours, {"pressure": 1})}))[id_][0] == "FORM_UNKNOWN"


async def test_the_parts_of_an_order_are_replaced_whole(world: World) -> None:
    """Left-over parts of an earlier guess send the engineer out with the wrong van load."""
    order = await world.order()
    async with world.db.work(world.org) as work:
        second = await customers.create_part(work, customers.NewPart(code="HOSE-1", name="Hose"))
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        assert await order_parts.set_order_parts(work, order, [("SEAL-1", 2), (second, 1)], revision=1) == 2
        assert work.touched.rows["part"] == {world.part, second}
        assert await order_parts.set_order_parts(work, order, [(world.part, 2), ("HOSE-1", 1)]) == 2
    async with world.db.work(world.org, actor=world.dispatcher) as work:
        assert await order_parts.set_order_parts(work, order, [("HOSE-1", 3)]) == 3
        assert work.touched.rows["part"] == {world.part, second}
        with pytest.raises(StaleRevision):
            await order_parts.set_order_parts(work, order, [], revision=2)
        ((needed,), nothing) = await order_parts.parts_by_order_ids(work, [order, new_id()])
    assert (needed.part_id, needed.quantity, nothing) == (second, 3, [])
    assert await world.value("select count(*) from journal where kind = 'work_order.parts_set'") == 2


@pytest.mark.parametrize(
    ("parts", "refusal", "path"),
    (
        ([("NO-SUCH", 1)], NotFound, "parts.0"),
        ([(new_id(), 1)], NotFound, "parts.0"),
        ([("a\0b", 1)], NotFound, "parts.0"),
        ([("SEAL-1", 0)], BadField, "parts.0.quantity"),
        ([("SEAL-1", 10_001)], BadField, "parts.0.quantity"),
        ([("SEAL-1", 1), ("SEAL-1", 2)], BadField, "parts.1"),
        ([("SEAL-1", 1)] * (limits.ORDER_PARTS_MAX + 1), LimitExceeded, None),
    ),
)
async def test_parts_that_cannot_be_needed_are_refused(
    world: World, parts: Any, refusal: type[Refusal], path: str | None
) -> None:
    """Nothing of a list with one bad line may stay, or half a van load is promised."""
    order = await world.order()
    with pytest.raises(refusal) as caught:
        async with world.db.work(world.org) as work:
            await order_parts.set_order_parts(work, order, parts)
    assert caught.value.path == path


async def test_an_order_that_is_over_needs_no_parts(world: World) -> None:
    """A canceled order whose parts change would come back to the phones."""
    order = await world.order()
    async with world.db.work(world.org) as work:
        await orders.cancel_order(work, order, "test")
    with pytest.raises(WrongState):
        async with world.db.work(world.org) as work:
            await order_parts.set_order_parts(work, order, [("SEAL-1", 1)])


async def test_an_order_comes_with_its_parts_and_the_pick_asks_for_them(world: World) -> None:
    """Sent out by a pick that did not look into the vans, the engineer stands there without the seal."""
    order = await world.order(parts=(("SEAL-1", 400),))
    async with world.db.work(world.org) as work:
        proposal = await assign.propose(work, order)
        asked_for_none = await assign.propose(work, order, parts={})
    reasons = [str(note.code) for one in proposal.result.ranked for note in one.notes]
    reasons += [str(reason.code) for one in proposal.result.out for reason in one.reasons]
    assert any("part" in reason.lower() for reason in reasons)
    assert not any(
        "part" in str(note.code).lower() for one in asked_for_none.result.ranked for note in one.notes
    )
    with pytest.raises(NotFound) as caught:
        await world.order(parts=(("NO-SUCH", 1),))
    assert caught.value.path == "parts.0"


async def test_a_batch_of_orders_names_the_part_that_is_missing(world: World) -> None:
    """An import of thousands that fails without a place cannot be mended."""

    def order(code: str) -> intake.NewOrder:
        return intake.NewOrder(
            customer_id=world.customer,
            site_id=world.site,
            priority="P2",
            kind="repair",
            description="x",
            channel="api",
            parts=((code, 1),),
        )

    with pytest.raises(NotFound) as caught:
        async with world.db.work(world.org) as work:
            await intake.create_orders(work, [order("SEAL-1"), order("NONE")])
    assert caught.value.path == "orders.1.parts.0"


async def test_tenants_cannot_read_each_other_without_the_services(world: World, db: Database) -> None:
    """Row-level security is the last net under every query of these tables."""
    await save(world, form("hidden"))
    other = await World(db).build(phones=0)
    assert await other.value("select count(*) from form") == 0
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await other.value(
            "insert into form (org_id, id, code, version, title_en, title_zh, json_schema, created_at) "
            "values ($1, $2, 'a', 1, '', '', '{}', now()) returning id",
            world.org,
            new_id(),
        )

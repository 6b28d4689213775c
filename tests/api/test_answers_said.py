"""What customers say about answers, against whatever happened meanwhile: to the order, to the article, to the link."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
from graph import Graph, application, someone, token_of
from worlds import World

from callout_backend.settings import Settings
from callout_backend.wiring import add_hooks
from callout_dispatch import merging
from callout_graphql.operations.knowledge import KNOWLEDGE
from callout_graphql.resolvers import knowledge_api
from callout_orders import checks, orders
from callout_orders.channels.conversations import offering
from callout_orders.desk import respond
from callout_orders.flow.ending import reopening
from callout_orders.intake import NewOrder, create_orders
from callout_orders.knowledge import articles, decisions, links, offers
from callout_orders.knowledge.articles import ArticleText
from callout_orders.knowledge.links import Decision
from callout_people.principals import Role
from callout_store.errors import AnswerLinkUsed, LimitExceeded, NotFound, Refusal, WrongState
from callout_store.work import Database

SOLVED, NOT = Decision(decision="solved"), Decision(decision="did_not_help")


@pytest.fixture
async def world(db: Database) -> World:
    add_hooks(db)
    return await World(db).build(phones=1)


@pytest.fixture
async def client(settings: Settings, db: Database) -> AsyncIterator[tuple[Any, httpx.AsyncClient]]:
    async with application(settings, db) as both:
        yield both


async def act(world: World, do: Any) -> Any:
    return await world.db.run(world.org, do, actor=world.dispatcher)


async def save(world: World, title: str = "Reset the charger", body: str = "Hold it.", **more: Any) -> UUID:
    id_ = more.pop("id_", None)
    text = ArticleText(title=title, body=body, **{"for_customers": True, **more})
    saved: UUID = await act(world, lambda work: articles.save_article(work, text, id_=id_))
    return saved


async def asked(world: World, *article_ids: UUID, **more: Any) -> UUID:
    order_id = await world.order(**{"priority": "P2", "kind": "service", "description": "Reset?", **more})
    await act(world, lambda work: offers.offer(work, order_id, article_ids))
    return order_id


async def link(world: World, order_id: UUID) -> str:
    token: str = await act(world, lambda work: links.create_link(work, order_id))
    return token


async def say(world: World, token: str, given: Decision) -> Any:
    return await act(world, lambda work: links.decide(work, token, given))


async def look(world: World, token: str) -> links.Answers:
    async with world.db.work(world.org) as work:
        return await links.look(work, token)


async def offered(world: World, order_id: UUID) -> dict[tuple[UUID, int], str]:
    async with world.db.work(world.org) as work:
        [found] = await offers.by_order_ids(work, [order_id])
    return {(one.article_id, one.article_revision): one.state for one in found}


async def stands(world: World, order_id: UUID) -> tuple[str, str]:
    (row,) = await world.fetch("select state, priority from work_order where id = $1", order_id)
    return row["state"], row["priority"]


async def lines(world: World, order_id: UUID, kind: str) -> int:
    return int(
        await world.value("select count(*) from journal where order_id = $1 and kind = $2", order_id, kind)
    )


# ------------------------------------------------------------------------------------------------ the order went on


async def test_what_was_opened_again_can_be_solved_again(world: World) -> None:
    """ "Solved" of last week is not "solved" of today: the order would stay open while everybody is thanked."""
    first, second = await save(world), await save(world, "Change the fuse")
    order_id = await asked(world, first)
    await say(world, await link(world, order_id), SOLVED)
    await act(world, lambda work: reopening.reopen(work, order_id, "dark again"))
    await act(world, lambda work: offers.offer(work, order_id, [second]))
    token = await link(world, order_id)
    assert (await look(world, token)).state == "open"
    assert await say(world, token, SOLVED) == "solved"
    assert (await stands(world, order_id))[0] == "closed"
    assert await offered(world, order_id) == {(first, 1): "solved", (second, 1): "solved"}
    assert await lines(world, order_id, "work_order.solved_by_answer") == 2


async def test_the_page_of_an_order_that_is_open_again_thanks_nobody(world: World) -> None:
    """ "Your order is closed" would send somebody away whose order waits for an engineer."""
    order_id = await asked(world, await save(world))
    token = await link(world, order_id)
    await say(world, token, SOLVED)
    assert (await look(world, token)).state == "solved"
    await act(world, lambda work: reopening.reopen(work, order_id, "dark again"))
    assert (await look(world, token)).state == "did_not_help"


async def test_a_merged_or_canceled_order_takes_no_word(world: World) -> None:
    """The link of an order that was put into another one must close neither of them."""
    article_id = await save(world)
    into, merged, gone = [await asked(world, article_id) for _ in range(3)]
    tokens = [await link(world, one) for one in (merged, gone)]
    await act(world, lambda work: merging.merge_orders(work, into, merged))
    await act(world, lambda work: orders.cancel_order(work, gone, "mistake"))
    for token in tokens:
        assert (await look(world, token)).state == "over"
        for given in (SOLVED, NOT):
            with pytest.raises(AnswerLinkUsed):
                await say(world, token, given)
    assert await stands(world, into) == ("new", "P2")
    assert (await stands(world, gone))[0] == "canceled"


async def test_a_question_that_an_agent_has_taken_is_still_the_customers_to_decide(world: World) -> None:
    """Who answers is the handler; whether it helped is for the customer to say. Neither forgets the other."""
    article_id = await save(world)
    helped, not_helped = [await asked(world, article_id) for _ in range(2)]
    for order_id in (helped, not_helped):
        await act(world, lambda work, id_=order_id: respond.respond(work, id_, "I look into it."))
    at = "select responded_at, handler_id from work_order where id = $1"
    before = [(await world.fetch(at, one))[0] for one in (helped, not_helped)]
    await say(world, await link(world, helped), SOLVED)
    await say(world, await link(world, not_helped), NOT)
    assert [await stands(world, one) for one in (helped, not_helped)] == [("closed", "P2"), ("new", "P1")]
    assert [(await world.fetch(at, one))[0] for one in (helped, not_helped)] == before
    assert await lines(world, helped, "work_order.responded") == 1


# ------------------------------------------------------------------------------------------------ two words


@pytest.mark.parametrize("page", (SOLVED, NOT))
async def test_by_page_and_by_chat_at_once_one_word_counts(world: World, page: Decision) -> None:
    """A house of two: one taps "solved", the other writes that it is not. Closed and sent for would be both wrong."""
    article_id = await save(world)
    for _ in range(5):
        order_id = await asked(world, article_id)
        token = await link(world, order_id)
        await asyncio.gather(
            *(say(world, token, page) for _ in range(3)),
            *(
                act(
                    world,
                    lambda work, id_=order_id: offering.answered(work, id_, page.decision != "solved"),
                )
                for _ in range(3)
            ),
            return_exceptions=True,
        )
        solved = await lines(world, order_id, "work_order.solved_by_answer")
        not_helped = await lines(world, order_id, "work_order.answer_did_not_help")
        assert (solved, not_helped) in ((1, 0), (0, 1))
        assert await stands(world, order_id) == (("closed", "P2") if solved else ("new", "P1"))


async def test_a_customer_says_it_once_and_the_desk_may_know_better(world: World) -> None:
    """After "it did not help" somebody may be on the phone already; what closes the order then is the desk's word."""
    article_id = await save(world)
    order_id = await asked(world, article_id)
    token, other = await link(world, order_id), await link(world, order_id)
    await say(world, token, NOT)
    for again in (token, other):
        with pytest.raises(AnswerLinkUsed):
            await say(world, again, SOLVED)
    assert not await act(world, lambda work: offering.answered(work, order_id, True))
    assert await stands(world, order_id) == ("new", "P1")
    for _ in range(2):
        await act(world, lambda work: decisions.solved(work, order_id))
    assert (await stands(world, order_id))[0] == "closed"
    assert await offered(world, order_id) == {(article_id, 1): "solved"}
    assert await lines(world, order_id, "work_order.closed") == 1
    with pytest.raises(WrongState):
        await act(world, lambda work: decisions.did_not_help(work, order_id))


async def test_a_customer_who_signed_in_is_no_desk(world: World, client: Any) -> None:
    """Their word would count as the house's, and could be turned round at will."""
    app, http = client
    article_id = await save(world)
    order_id = await asked(world, article_id)
    who = await someone(world, Role.CUSTOMER_CONTACT)
    async with world.db.work(world.org) as work:
        await work.execute("update contact set user_id = $1 where id = $2", who, world.contact)
    graph = Graph(http, await token_of(world.db, app.state.issuer, world.org, who))
    given = {"orderId": str(order_id)}
    told = (await graph.send(KNOWLEDGE, given, operationName="AnswersDidNotHelp")).json()
    assert told["data"]["answersDidNotHelp"]["priority"] == "P1"
    turned = (await graph.send(KNOWLEDGE, given, operationName="AnswerSolved")).json()
    assert turned["errors"][0]["extensions"]["code"] == "WRONG_STATE"
    via = await world.value("select decided_via from answer_offer where order_id = $1", order_id)
    assert via == "link"


async def test_a_link_that_was_used_asks_nothing_more(world: World) -> None:
    """Its buttons would be refused; what was offered since has come with a link of its own."""
    order_id = await asked(world, await save(world))
    token = await link(world, order_id)
    await say(world, token, NOT)
    second = await save(world, "Change the fuse")
    await act(world, lambda work: offers.offer(work, order_id, [second]))
    assert (await look(world, token)).state == "did_not_help"
    with pytest.raises(AnswerLinkUsed):
        await say(world, token, SOLVED)
    fresh = await link(world, order_id)
    assert (await look(world, fresh)).state == "open"
    await say(world, fresh, SOLVED)
    assert (await stands(world, order_id))[0] == "closed"


async def test_no_way_of_looking_decides(world: World, client: Any) -> None:
    """Scanners, previews and whoever the mail is forwarded to look at every address, with whatever is written behind it."""
    order_id = await asked(world, await save(world))
    address = f"/a/{await link(world, order_id)}"
    _, http = client
    for query in ("", "?decision=solved", "?lang=zh&decision=did_not_help"):
        assert (await http.get(address + query)).status_code == 200
    for method in ("HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"):
        await http.request(method, address, params={"decision": "solved"})
    assert (await http.post(address + "?decision=solved")).status_code in (400, 422)
    assert await stands(world, order_id) == ("new", "P2")
    assert set((await offered(world, order_id)).values()) == {"offered"}


# ------------------------------------------------------------------------------------------------ the article went on


async def test_withdrawn_advice_is_not_read_any_more(world: World, client: Any) -> None:
    """ "Open the cover" was withdrawn for a reason; but whoever did it yesterday may still say that it helped."""
    _, http = client
    bad, good = await save(world, body="Open the cover."), await save(world, "Change the fuse")
    order_id = await asked(world, bad, good)
    address = f"/a/{await link(world, order_id)}"
    async with world.db.work(world.org) as work:
        [before] = await offers.by_order_ids(work, [order_id])
    await act(world, lambda work: articles.retire_article(work, bad))
    page = (await http.get(address)).text
    assert "Open the cover." not in page
    assert "Change the fuse" in page
    await save(world, "Change the fuse", id_=good, for_customers=False)
    page = (await http.get(address)).text
    assert "Change the fuse" not in page
    assert "has been withdrawn" in page
    tried = next(one for one in before if one.article_id == bad)
    done = await http.post(address, json={"decision": "solved", "offerId": str(tried.id)})
    assert done.status_code == 200
    assert await offered(world, order_id) == {(bad, 1): "solved", (good, 1): "passed"}
    assert "Open the cover." not in (await http.get(address)).text
    async with world.db.work(world.org) as work:
        [after] = await offers.by_order_ids(work, [order_id])
    assert [one.withdrawn for one in after] == [True, True]


async def test_a_later_revision_takes_the_place_of_the_one_before(world: World, client: Any) -> None:
    """Two texts of one article, one of them wrong: which is the customer to follow? Counted is what they had tried."""
    _, http = client
    article_id = await save(world, body="Hold it for five seconds.")
    order_id = await asked(world, article_id)
    async with world.db.work(world.org) as work:
        [[old]] = await offers.by_order_ids(work, [order_id])
    await save(world, body="Hold it for ten seconds.", id_=article_id)
    for _ in range(2):
        await act(world, lambda work: offers.offer(work, order_id, [article_id]))
    address = f"/a/{await link(world, order_id)}"
    page = (await http.get(address)).text
    assert "ten seconds" in page
    assert "five seconds" not in page
    assert await offered(world, order_id) == {(article_id, 1): "passed", (article_id, 2): "offered"}
    # The form that was open since the morning.
    done = await http.post(address, json={"decision": "solved", "offerId": str(old.id)})
    assert done.status_code == 200
    assert await offered(world, order_id) == {(article_id, 1): "solved", (article_id, 2): "passed"}


async def test_an_answer_of_another_order_solves_nothing(world: World) -> None:
    """An id that was guessed or copied must not write one order's answer into another's story."""
    article_id = await save(world)
    mine, other = [await asked(world, article_id) for _ in range(2)]
    async with world.db.work(world.org) as work:
        [[foreign]] = await offers.by_order_ids(work, [other])
    token = await link(world, mine)
    with pytest.raises(NotFound):
        await say(world, token, Decision(decision="solved", offer_id=foreign.id))
    assert await stands(world, mine) == ("new", "P2")
    await say(world, token, SOLVED)
    assert (await stands(world, other))[0] == "new"


async def test_the_twenty_latest_links_of_an_order_are_good(world: World) -> None:
    """Somebody who asks for a link again and again must not fill the table with rights that last two weeks."""
    order_id = await asked(world, await save(world))
    tokens = [await link(world, order_id) for _ in range(links.OPEN_MAX + 2)]
    states = []
    for token in tokens:
        try:
            states.append((await look(world, token)).state)
        except Refusal as refusal:
            states.append(refusal.code)
    assert states == ["ANSWER_LINK_EXPIRED"] * 2 + ["open"] * links.OPEN_MAX


# ------------------------------------------------------------------------------------------------ thousands


async def surge(world: World, count: int) -> list[UUID]:
    rows = [
        NewOrder(
            customer_id=world.customer, site_id=world.site, contact_id=world.contact, asset_id=world.asset,
            priority="P1", kind="repair", description="dark", channel="hotline", error_code="E07",
        )
        for _ in range(count)
    ]  # fmt: skip
    return [one.id for one in await act(world, lambda work: create_orders(work, rows))]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement that is sent."""
    all_: list[str] = []

    def counted(name: str) -> Any:
        ordinary = getattr(asyncpg.Connection, name)

        async def send(self: Any, sql: str, *args: Any, **more: Any) -> Any:
            all_.append(" ".join(sql.split()))
            return await ordinary(self, sql, *args, **more)

        return send

    for name in ("fetch", "fetchrow", "fetchval", "execute"):
        monkeypatch.setattr(asyncpg.Connection, name, counted(name))
    return all_


async def test_a_surge_is_closed_by_as_many_statements_as_three_orders(world: World, sent: list[str]) -> None:
    """Five thousand orders of one fault are one click; a statement for each would lock the desk for minutes."""
    article_id = await save(world, fault_code="E07")
    counts = []
    for count in (3, 200):
        ids = await surge(world, count)
        sent.clear()
        closed, left = await act(
            world, lambda work, ids=ids: decisions.resolve_by_answer(work, ids, article_id)
        )
        counts.append(len([one for one in sent if not one.startswith("set local")]))
        assert (closed, left) == (ids, {})
    assert counts[0] == counts[1]
    assert await world.value("select count(*) from answer_offer where state = 'solved'") == 203
    armed = "select count(*) from timer where key like 'sla:%' and state = 'armed'"
    assert await world.value(armed) == 0
    # Told to whoever sees to it by a few messages that name the orders, not by one statement each.
    assert await world.value("select count(*) from journal where kind = 'work_order.answers_offered'") == 0


async def test_a_surge_is_closed_in_pieces_and_what_took_too_long_is_named(
    world: World, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One transaction over 5,000 orders outlives the door's patience: all would be undone, whenever it is tried."""
    app, http = client
    monkeypatch.setattr(knowledge_api, "BULK_CHUNK", 2)
    article_id = await save(world, fault_code="E07")
    ids = await surge(world, 5)
    who = await someone(world, Role.SUPERVISOR)
    graph = Graph(http, await token_of(world.db, app.state.issuer, world.org, who))

    async def resolve() -> Any:
        given = {"orderIds": [str(one) for one in (*ids, ids[0])], "articleId": str(article_id)}
        answer = (await graph.send(KNOWLEDGE, given, operationName="ResolveByAnswer")).json()
        return answer["data"]["resolveByAnswer"]

    monkeypatch.setattr(knowledge_api, "BULK_SECONDS", -1.0)
    first = await resolve()
    assert first["closed"] == [str(one) for one in ids[:2]]
    assert first["left"] == [{"orderId": str(one), "state": "later"} for one in ids[2:]]
    assert [(await stands(world, one))[0] for one in ids] == ["closed"] * 2 + ["new"] * 3
    monkeypatch.setattr(knowledge_api, "BULK_SECONDS", 600.0)
    again = await resolve()
    assert again["closed"] == [str(one) for one in ids[2:]]
    assert [one["state"] for one in again["left"]] == ["closed"] * 2


async def test_a_bulk_call_names_its_limit_and_closes_nothing_beyond(world: World) -> None:
    """Half of a call that was too large would be the worst of both."""
    article_id = await save(world, fault_code="E07")
    [one] = await surge(world, 1)
    many = [one, *(UUID(int=n) for n in range(decisions.BULK_MAX))]
    with pytest.raises(LimitExceeded) as refused:
        await act(world, lambda work: decisions.resolve_by_answer(work, many, article_id))
    assert refused.value.details["limit"] == decisions.BULK_MAX
    assert (await stands(world, one))[0] == "new"
    # The same order twice in a call is one order.
    closed, left = await act(world, lambda work: decisions.resolve_by_answer(work, [one, one], article_id))
    assert (closed, left) == ([one], {})
    assert await lines(world, one, "work_order.closed") == 1


async def test_what_the_house_closed_in_bulk_thanks_no_customer_for_saying_so(
    world: World, client: Any
) -> None:
    """They said nothing. What they need is the answer, and how to come back where it does not help."""
    _, http = client
    article_id = await save(world, body="Firmware 2.1 mends it.", fault_code="E07")
    [order_id] = await surge(world, 1)
    await act(world, lambda work: offers.offer(work, order_id, [article_id]))
    token = await link(world, order_id)
    await act(world, lambda work: decisions.resolve_by_answer(work, [order_id], article_id))
    assert (await look(world, token)).state == "over"
    page = (await http.get(f"/a/{token}")).text
    assert "Firmware 2.1 mends it." in page
    assert "<form" not in page
    assert "glad that it helped" not in page


async def test_offering_to_all_goes_on_where_it_ended(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """With more open orders than fit into one call, those beyond would never be offered anything."""
    monkeypatch.setattr(checks, "BATCH_MAX", 2)
    article_id = await save(world, fault_code="E07")
    ids = await surge(world, 2) + await surge(world, 1)
    counts = [await act(world, lambda work: offers.offer_to_all(work, article_id)) for _ in range(3)]
    assert counts == [2, 1, 0]
    for one in ids:
        assert await offered(world, one) == {(article_id, 1): "offered"}


async def test_two_bulk_calls_at_once_close_each_order_once(world: World) -> None:
    """Two supervisors press the same button: each order has one end, and neither call fails for the other."""
    article_id = await save(world, fault_code="E07")
    ids = await surge(world, 20)
    done = await asyncio.gather(
        *(
            act(world, lambda work, some=some: decisions.resolve_by_answer(work, some, article_id))
            for some in (ids, ids[::-1])
        )
    )
    assert sorted(one for closed, _ in done for one in closed) == sorted(ids)
    for one in ids:
        assert await lines(world, one, "work_order.closed") == 1

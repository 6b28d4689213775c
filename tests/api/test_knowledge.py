"""Answers: versions of articles, the search in both languages, offers and what became of them, the customer's page."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
from graph import Graph, application, someone, token_of
from worlds import World

from callout_backend.jobs.handlers import offer_answers
from callout_backend.settings import Settings
from callout_backend.wiring import add_hooks
from callout_graphql.operations.content import CONTENT
from callout_graphql.operations.knowledge import KNOWLEDGE
from callout_orders import orders
from callout_orders.knowledge import articles, decisions, links, offers, search
from callout_orders.knowledge.articles import ArticleText
from callout_people.principals import Role
from callout_store import outbox
from callout_store.errors import AnswerLinkInvalid, AnswerLinkUsed, NotFound, WrongState
from callout_store.work import Database


@pytest.fixture
async def world(db: Database) -> World:
    return await World(db).build(phones=1)


@pytest.fixture
async def hooked(database_url: str) -> AsyncIterator[Database]:
    """A database with the product's hooks."""
    db = Database(database_url)
    add_hooks(db)
    await db.start()
    yield db
    await db.stop()


async def act(world: World, do: Any) -> Any:
    return await world.db.run(world.org, do, actor=world.dispatcher)


async def article(world: World, title: str, body: str = "…", **more: Any) -> UUID:
    text = ArticleText(title=title, body=body, **{"for_customers": True, **more})
    id_ = await act(world, lambda work: articles.save_article(work, text))
    assert isinstance(id_, UUID)
    return id_


async def found(world: World, text: str, **more: Any) -> list[UUID]:
    async with world.db.work(world.org) as work:
        return [one.article_id for one in await search.suggest(work, text, **more)]


async def offered(world: World, order_id: UUID) -> list[offers.Offer]:
    async with world.db.work(world.org) as work:
        return (await offers.by_order_ids(work, [order_id]))[0]


async def question(world: World, description: str = "How do I reset the charger?", **more: Any) -> UUID:
    return await world.order(**{"priority": "P2", "description": description, "kind": "service", **more})


async def answered(world: World) -> tuple[UUID, UUID]:
    """An article and a question for which it was offered."""
    article_id = await article(world, "Reset the charger", "Hold the button for ten seconds.")
    order_id = await question(world)
    await act(world, lambda work: offers.offer(work, order_id))
    return article_id, order_id


# ------------------------------------------------------------------------------------------------ articles, search


async def test_every_revision_is_kept_as_it_read(world: World) -> None:
    """ "You told me to open the cover": what was said on that day is what counts."""
    id_ = await article(world, "Reset", "Hold for five seconds.")
    changed = ArticleText(
        title="Reset", body="Hold for ten seconds.", workaround="Unplug", for_customers=True
    )
    await act(world, lambda work: articles.save_article(work, changed, id_=id_))
    await act(world, lambda work: articles.save_article(work, changed, id_=id_))
    await act(world, lambda work: articles.retire_article(work, id_))
    async with world.db.work(world.org) as work:
        kept = await articles.versions_of(work, id_)
        assert [(one.revision, one.body, one.active) for one in kept] == [
            (3, "Hold for ten seconds.", False),
            (2, "Hold for ten seconds.", True),
            (1, "Hold for five seconds.", True),
        ]
        assert (await articles.versions_of(work, id_, after=2))[0].revision == 1
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with world.db.work(world.org) as work:
            await work.execute("update article_version set body = '' where article_id = $1", id_)


async def test_the_search_finds_by_words_of_both_languages(world: World) -> None:
    """A customer writes as they speak; were Chinese not cut into words, nothing would ever match."""
    zh = await article(world, "充电桩无法充电怎么办", "请检查急停按钮是否按下,然后重启充电桩。", locale="zh")
    en = await article(
        world, "Charger does not start", "Check the emergency stop, then restart.", locale="en"
    )
    other = await article(world, "Invoice and payment", "Invoices are sent by mail.")
    assert await found(world, "我的充电桩今天早上突然充不了电,无法充电", locale="zh") == [zh]
    assert await found(world, "My chargers do not START any more") == [en]
    assert await found(world, "When will I get the invoice?") == [other]
    assert await found(world, "zebra") == []
    assert await found(world, "") == []
    await act(world, lambda work: articles.retire_article(work, en))
    assert en not in await found(world, "Charger does not start")


async def test_a_word_in_the_title_says_more_than_one_in_the_text(world: World) -> None:
    """ "Card reader reacts slowly" would stand before the article about the very fault, because it names it in passing."""
    passing = await article(
        world, "Card reader is slow", "Clean the slot. It may vibrate, drip and overheat too."
    )
    about = await article(world, "Card reader vibrates", "Tighten the two screws.")
    assert passing < about
    assert await found(world, "the card reader vibrates") == [about, passing]


async def test_what_shares_a_common_word_alone_is_no_answer(world: World) -> None:
    """Whoever asks about a burning smell must not be offered how to pay, because both speak of a machine."""
    smell = await article(
        world, "Burning smell from the coffee machine", "Switch the machine off and unplug it."
    )
    for n in range(8):
        await article(world, f"Paying at the machine {n}", "Put a card into the machine.")
    assert await found(world, "there is a burning smell coming out of the coffee machine") == [smell]


async def test_articles_of_before_the_search_are_found_once_the_sweep_ran(world: World) -> None:
    """An organisation that updates has articles already; none of them may be lost to the search."""
    id_ = await article(world, "Reset the charger")
    async with world.db.work(world.org) as work:
        await work.execute("delete from article_word")
        await work.execute("update article set indexed = false")
    assert await found(world, "reset") == []
    assert await act(world, articles.index_some) == 1
    assert await act(world, articles.index_some) == 0
    assert await found(world, "reset") == [id_]


async def test_what_it_is_about_comes_before_words(world: World) -> None:
    """The very error code says more than any sentence; another model's article would send people to the wrong screw."""
    plain = await article(world, "Charger stops with an error", "Restart the charger.")
    code = await article(world, "Board fault", "Wait for the new firmware.", fault_code="E07")
    other = await article(world, "Charger stops with an error on P-900", "Restart.", model="P-900")
    assert await found(world, "charger stops with an error", error_code="e07", model="P-200") == [code, plain]
    assert other in await found(world, "charger stops with an error")
    assert await found(world, "nothing in common", error_code="E07") == [code]
    assert code not in await found(world, "board fault", error_code="E08")


async def test_what_helped_others_comes_first(world: World) -> None:
    """Of two that read alike, the one that solved it for ten people is the answer."""
    first, second = await article(world, "Reset the charger"), await article(world, "Reset the charger")
    last = max(first, second, key=str)
    for _ in range(3):
        order_id = await question(world, "x")
        await act(world, lambda work, order_id=order_id: offers.offer(work, order_id, [last]))
        await act(world, lambda work, order_id=order_id: decisions.solved(work, order_id))
    assert (await found(world, "reset the charger"))[0] == last


async def test_many_questions_take_as_many_statements_as_one(world: World) -> None:
    """A morning's import of questions must not ask the database once for each."""
    id_ = await article(world, "Reset the charger")
    asked: list[str] = []
    async with world.db.work(world.org) as work:
        fetch = work.fetch

        async def counted(sql: str, *args: Any) -> Any:
            asked.append(sql)
            return await fetch(sql, *args)

        work.fetch = counted  # type: ignore[method-assign]
        some = [
            search.Question(text="reset"),
            search.Question(text="zebra"),
            search.Question(text="the charger"),
        ]
        answers = await search.suggest_many(work, some * 50)
    assert len(asked) == 2
    assert [[one.article_id for one in few] for few in answers[:3]] == [[id_], [], [id_]]


# ------------------------------------------------------------------------------------------------ offers


async def test_a_question_gets_answers_by_itself_and_a_fault_does_not(hooked: Database) -> None:
    """R2: only P2 goes to the knowledge base first; a fault must not wait for somebody to read."""
    world = await World(hooked).build(phones=0)
    id_ = await article(world, "Reset the charger", "Hold the button.")
    inner = await article(world, "Reset the charger (internal)", for_customers=False)
    asked, fault = await question(world), await question(world, priority="P1")
    owed = await outbox.claim(world.db, channels=[offers.CHANNEL], limit=5_000)
    mine = [item for item in owed if item.org_id == world.org]
    assert [item.payload["orderIds"] for item in mine] == [[str(asked)]]
    for _ in range(2):
        await offer_answers(world.db, mine[0])
    (one,) = await offered(world, asked)
    assert (one.article_id, one.state, one.article_revision) == (id_, "offered", 1)
    assert inner != one.article_id
    assert await offered(world, fault) == []
    assert (
        await world.value(
            "select count(*) from journal where kind = 'work_order.answers_offered' and order_id = $1", asked
        )
        == 1
    )


async def test_a_question_without_an_answer_is_a_persons(world: World) -> None:
    """Its flow would wait a day for a customer who was never asked anything."""
    order_id = await question(world, "something that nobody ever wrote down")
    for _ in range(2):
        assert await act(world, lambda work: offers.offer_new(work, [order_id])) == 0
    assert (
        await world.value(
            "select count(*) from journal where kind = 'work_order.no_answer_found' and order_id = $1",
            order_id,
        )
        == 1
    )


async def test_an_offer_keeps_what_it_showed(world: World) -> None:
    """The customer tried what they read, not what somebody wrote later."""
    article_id, order_id = await answered(world)
    changed = ArticleText(title="Reset the charger", body="Never do that.", for_customers=True)
    await act(world, lambda work: articles.save_article(work, changed, id_=article_id))
    (one,) = await offered(world, order_id)
    assert one.body == "Hold the button for ten seconds."


async def test_solved_it_closes_the_order_and_its_clocks(world: World) -> None:
    """An order that the customer solved must not alarm anybody an hour later."""
    article_id, order_id = await answered(world)
    (one,) = await act(world, lambda work: decisions.solved(work, order_id))
    assert (one.state, one.decided_via, one.article_id) == ("solved", "desk", article_id)
    again = await act(world, lambda work: decisions.solved(work, order_id))
    assert again == [one]
    (row,) = await world.fetch(
        "select state, closed_at, resolved_at, responded_at from work_order where id = $1", order_id
    )
    assert row["state"] == "closed"
    assert row["closed_at"] == row["resolved_at"] == row["responded_at"]
    assert (
        await world.value(
            "select count(*) from timer where key like 'sla:' || $1 || ':%' and state = 'armed'",
            str(order_id),
        )
        == 0
    )
    kinds = [
        row["kind"] for row in await world.fetch("select kind from journal where order_id = $1", order_id)
    ]
    for kind in ("work_order.solved_by_answer", "work_order.closed", "work_order.responded"):
        assert kinds.count(kind) == 1


async def test_did_not_help_makes_it_a_malfunction(world: World) -> None:
    """R2: whoever was not helped by an article must come to a person, with the promise of one."""
    _, order_id = await answered(world)
    (one,) = await act(world, lambda work: decisions.did_not_help(work, order_id, reason="still dark"))
    assert one.state == "did_not_help"
    await act(world, lambda work: decisions.did_not_help(work, order_id))
    (row,) = await world.fetch("select state, priority from work_order where id = $1", order_id)
    assert (row["state"], row["priority"]) == ("new", "P1")
    kinds = [
        row["kind"] for row in await world.fetch("select kind from journal where order_id = $1", order_id)
    ]
    assert kinds.count("work_order.answer_did_not_help") == kinds.count("work_order.priority_changed") == 1


async def test_an_order_with_somebody_on_the_way_is_not_closed_by_an_answer(world: World) -> None:
    """The engineer would stand before a closed order."""
    _, order_id = await answered(world)
    await world.visit(world.phones[0], order_id)
    with pytest.raises(WrongState):
        await act(world, lambda work: decisions.solved(work, order_id))
    (one,) = await offered(world, order_id)
    assert one.state == "offered"


async def test_a_canned_answer_reaches_every_open_order_of_its_code_and_closes_them(world: World) -> None:
    """T3: the surge of E07, a hundred orders with one cause, cleared by one answer."""
    id_ = await article(
        world, "E07", "Firmware 2.1 mends it.", fault_code="E07", workaround="Charge at pile 2."
    )
    open_ = [await question(world, "dark", error_code=code, priority="P1") for code in ("E07", "e07", "E07")]
    other = await question(world, "dark", error_code="E08", priority="P1")
    gone = await question(world, "dark", error_code="E07", priority="P1")
    await act(world, lambda work: orders.cancel_order(work, gone, "mistake"))
    assert await act(world, lambda work: offers.offer_to_all(work, id_)) == 3
    assert await act(world, lambda work: offers.offer_to_all(work, id_)) == 0
    assert [len(await offered(world, one)) for one in (*open_, other, gone)] == [1, 1, 1, 0, 0]
    await world.visit(world.phones[0], open_[2])
    nobody = UUID(int=7)
    closed, left = await act(
        world, lambda work: decisions.resolve_by_answer(work, [*open_, other, gone, nobody], id_)
    )
    assert closed == [*open_[:2], other]
    assert left == {open_[2]: "scheduled", gone: "canceled", nobody: "missing"}
    (one,) = await offered(world, other)
    assert (one.state, one.decided_via) == ("solved", "bulk")


async def test_an_answer_of_another_organisation_is_none(world: World, db: Database) -> None:
    """What one house knows is not another's to read."""
    other = await World(db).build(phones=0)
    id_ = await article(other, "Reset the charger")
    order_id = await question(world)
    assert await found(world, "reset the charger") == []
    with pytest.raises(NotFound):
        await act(world, lambda work: offers.offer(work, order_id, [id_]))


# ------------------------------------------------------------------------------------------------ the customer's page


@pytest.fixture
async def client(settings: Settings, db: Database) -> AsyncIterator[tuple[Any, httpx.AsyncClient]]:
    async with application(settings, db) as both:
        yield both


async def link(world: World, order_id: UUID, locale: str = "en") -> str:
    token = await act(world, lambda work: links.create_link(work, order_id, locale))
    return f"/a/{token}"


async def test_the_page_shows_answers_and_looking_changes_nothing(world: World, client: Any) -> None:
    """A mail scanner that opens the link must not close the order."""
    _, order_id = await answered(world)
    address = await link(world, order_id)
    _, http = client
    for _ in range(2):
        page = await http.get(address)
        assert page.status_code == 200
    assert "Hold the button for ten seconds." in page.text
    assert "This solved it" in page.text
    assert "已解决" in (await http.get(address + "?lang=zh")).text
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert page.headers["Cache-Control"] == "no-store"
    assert "https://" not in page.text
    assert await world.value("select state from work_order where id = $1", order_id) == "new"


async def test_solved_by_the_form_once(world: World, client: Any) -> None:
    """Of a double tap the second must not be a fault, and of two links only one decides."""
    _, order_id = await answered(world)
    address, other = await link(world, order_id, "zh"), await link(world, order_id)
    _, http = client
    (one,) = await offered(world, order_id)
    done = await http.post(address + "?lang=zh", data={"decision": "solved", "offerId": str(one.id)})
    assert done.status_code == 200
    assert "感谢您的反馈" in done.text
    assert await world.value("select state from work_order where id = $1", order_id) == "closed"
    for each in (address, other):
        assert (await http.post(each, data={"decision": "did_not_help"})).status_code == 410
        shown = await http.get(each)
        assert shown.status_code == 200
        assert "<form" not in shown.text
    assert (await offered(world, order_id))[0].decided_via == "link"


async def test_a_hundred_at_once_decide_once(world: World, client: Any) -> None:
    """Two decisions on one order would close it and send somebody."""
    _, order_id = await answered(world)
    address = await link(world, order_id)
    _, http = client
    answers = await asyncio.gather(
        *(http.post(address, json={"decision": ("solved", "did_not_help")[n % 2]}) for n in range(30))
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [410] * 29
    assert answers[0].headers["content-type"].startswith("application/")


async def test_bad_links_and_bad_bodies(world: World, client: Any) -> None:
    """A guessed or old address shows nothing, and a broken body decides nothing."""
    _, order_id = await answered(world)
    address = await link(world, order_id)
    _, http = client
    for wrong in ("/a/x", f"/a/{'A' * 22}.{'B' * 43}", address[:-1] + ("A" if address[-1] != "A" else "B")):
        assert (await http.get(wrong)).status_code == 404
        assert (await http.post(wrong, json={"decision": "solved"})).status_code == 404
    assert (await http.post(address, json={"decision": "maybe"})).json()["path"] == "decision"
    assert (await http.post(address, json=[1])).status_code in (400, 422)
    long = {"decision": "did_not_help", "reason": "x" * 30_000}
    assert (await http.post(address, json=long)).status_code == 413
    assert (await http.post(address, data=long)).status_code == 413
    assert (await http.post(address, data=long | {"reason": "x" * 1_001})).status_code == 422
    missing = await http.post(address, json={"decision": "solved", "offerId": str(UUID(int=1))})
    assert missing.status_code == 404
    # What was refused used nothing up.
    assert (await http.post(address, json={"decision": "did_not_help", "reason": "dark"})).status_code == 200
    token = address.removeprefix("/a/")
    with pytest.raises(AnswerLinkUsed):
        await act(world, lambda work: links.decide(work, token, links.Decision(decision="solved")))
    with pytest.raises(AnswerLinkInvalid):
        links.organisation_of("nonsense")
    async with world.db.work(world.org) as work:
        await work.execute("update answer_link set expires_at = now() - interval '1 s'")
    assert (await http.get(address)).status_code == 410


async def test_a_link_needs_an_answer(world: World) -> None:
    """A customer would open an empty page."""
    order_id = await question(world)
    with pytest.raises(NotFound):
        await link(world, order_id)


# ------------------------------------------------------------------------------------------------ GraphQL


async def run(graph: Graph, name: str, **variables: Any) -> Any:
    answer = (await graph.send(KNOWLEDGE, variables, operationName=name)).json()
    assert "errors" not in answer, answer["errors"]
    (value,) = answer["data"].values()
    return value


async def test_the_desk_suggests_offers_and_resolves(world: World, client: Any) -> None:
    """All of it through the one door that screens use, and not for those who may not."""
    app, http = client
    who = await someone(world, Role.DISPATCHER)
    desk = Graph(http, await token_of(world.db, app.state.issuer, world.org, who))
    id_ = str(await article(world, "Reset the charger", "Hold.", fault_code="E07"))
    (one,) = await run(desk, "SuggestAnswers", text="how to reset", errorCode="E07")
    assert one["articleId"] == id_
    assert "error_code" in one["why"]
    order_id = str(await question(world, error_code="E07"))
    assert (await run(desk, "OfferAnswers", orderId=order_id))["answers"][0]["state"] == "offered"
    assert (await run(desk, "CreateAnswerLink", orderId=order_id))["url"].partition("/a/")[2]
    assert (await run(desk, "AnswersDidNotHelp", orderId=order_id))["priority"] == "P1"
    second = str(await question(world, error_code="E07"))
    assert await run(desk, "OfferAnswerToAll", articleId=id_) == 1
    assert (await run(desk, "AnswerSolved", orderId=second))["state"] == "closed"
    done = await run(desk, "ResolveByAnswer", orderIds=[order_id, second], articleId=id_)
    assert done == {"closed": [order_id], "left": [{"orderId": second, "state": "closed"}]}
    answers = (await run(desk, "OrderAnswers", orderId=second))["answers"]
    assert [one["state"] for one in answers] == ["solved"]
    assert [row["revision"] for row in await run(desk, "ArticleVersions", id=id_)] == [1]
    engineer = Graph(
        http, await token_of(world.db, app.state.issuer, world.org, world.phones[0].actor.user_id)
    )
    refused = (await engineer.send(KNOWLEDGE, {"orderId": second}, operationName="AnswerSolved")).json()
    assert refused["errors"][0]["extensions"]["code"] == "NOT_ALLOWED"


async def test_the_desk_makes_a_standing_answer_and_ends_it(world: World, client: Any) -> None:
    """T3 by the door that screens use; and an engineer must not send mail to every customer of a surge."""
    app, http = client
    who = await someone(world, Role.SUPERVISOR)
    desk = Graph(http, await token_of(world.db, app.state.issuer, world.org, who))
    id_ = str(await article(world, "E07", "Hold.", fault_code="E07"))
    made = await run(desk, "SetStandingAnswer", articleId=id_, on=True)
    assert (made["faultCode"], made["standingBy"]) == ("E07", str(who))
    assert made["standingSince"] is not None
    listed = (await desk.send(CONTENT, {"standing": True}, operationName="Articles")).json()["data"]
    assert [one["id"] for one in listed["articles"]["nodes"]] == [id_]
    others = (await desk.send(CONTENT, {"standing": False}, operationName="Articles")).json()["data"]
    assert others["articles"]["nodes"] == []
    ended = await run(desk, "SetStandingAnswer", articleId=id_, on=False)
    assert ended["standingSince"] is None
    engineer = Graph(
        http, await token_of(world.db, app.state.issuer, world.org, world.phones[0].actor.user_id)
    )
    given = {"articleId": id_, "on": True}
    refused = (await engineer.send(KNOWLEDGE, given, operationName="SetStandingAnswer")).json()
    assert refused["errors"][0]["extensions"]["code"] == "NOT_ALLOWED"


async def test_a_customers_contact_decides_about_their_own_order_alone(world: World, client: Any) -> None:
    """A customer who signed in sees the answers there; another customer's order is none of theirs."""
    app, http = client
    _, order_id = await answered(world)
    who = await someone(world, Role.CUSTOMER_CONTACT)
    graph = Graph(http, await token_of(world.db, app.state.issuer, world.org, who))
    refused = (await graph.send(KNOWLEDGE, {"orderId": str(order_id)}, operationName="AnswerSolved")).json()
    assert refused["errors"][0]["extensions"]["code"] == "NOT_FOUND"
    async with world.db.work(world.org) as work:
        await work.execute("update contact set user_id = $1 where id = $2", who, world.contact)
    answers = (await run(graph, "OrderAnswers", orderId=str(order_id)))["answers"]
    assert [one["state"] for one in answers] == ["offered"]
    done = await run(graph, "AnswerSolved", orderId=str(order_id), offerId=answers[0]["id"])
    assert done["state"] == "closed"

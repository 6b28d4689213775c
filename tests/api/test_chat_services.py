"""The worker's half of chat accounts: answers and files, with services that answer errors inside of a 200, or not at all."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from chat_desk import COMPLETE, Desk, picture
from chat_service import ChatService
from worlds import World

from callout_backend.jobs import channels as channel_jobs
from callout_backend.settings import Settings
from callout_orders.channels import files
from callout_orders.channels.conversations import conversation, desk_drafts
from callout_orders.channels.terms import Media
from callout_store import outbox
from callout_store.work import Database
from callout_sync.blobs import Storage


@pytest.fixture
async def service() -> AsyncIterator[ChatService]:
    async with ChatService() as made:
        yield made


@pytest.fixture
async def desk(
    db: Database, service: ChatService, settings: Settings, request: pytest.FixtureRequest
) -> AsyncIterator[Desk]:
    kind = getattr(request, "param", "wecom")
    made = Desk(await World(db).build(phones=1), service, Storage(settings.storage_place), kind)
    yield await made.build()
    await made.services.close()


SENDS = {
    "wecom": "/cgi-bin/message/send",
    "wechat": "/cgi-bin/message/custom/send",
    "dingtalk": "/v1.0/robot/oToMessages/batchSend",
}


@pytest.mark.parametrize("desk", tuple(SENDS), indirect=True)
async def test_answers_are_sent_by_each_service_s_own_call(desk: Desk) -> None:
    """Customers of two of the three services would never hear from us."""
    await desk.says("help")
    await desk.work("intake.handle", "intake.answer")
    assert desk.service.paths()[1:] == [SENDS[desk.kind]]
    body = desk.service.asked[1][2]
    assert "LiLei" in str(body)
    assert [row["state"] for row in await desk.sent()] == ["sent"]


@pytest.mark.parametrize("desk", ("dingtalk",), indirect=True)
async def test_a_robot_answers_where_it_was_asked_and_nowhere_else(desk: Desk) -> None:
    """The sign of a robot's call does not cover the address in it: a forged one would have our answers sent to anybody."""
    later = 4_000_000_000_000
    await desk.says("help", reply={"session": f"{desk.service.url}/session", "until": later}, id_="own")
    await desk.says("help", reply={"session": "http://evil.example/steal", "until": later}, id_="evil")
    await desk.says("help", reply={"session": f"{desk.service.url}/session", "until": 1}, id_="over")
    await desk.work("intake.handle", "intake.answer")
    paths = [path for path in desk.service.paths() if not path.endswith("accessToken")]
    assert sorted(paths) == sorted(["/session", SENDS["dingtalk"], SENDS["dingtalk"]])


async def test_an_error_inside_of_a_200_is_not_a_success(desk: Desk) -> None:
    """Answers that the service throttled would be counted as read."""
    desk.service.codes.extend([45009, 42001])
    await desk.says("help")
    await desk.work("intake.handle", "intake.answer")
    assert [row["state"] for row in await desk.sent()] == ["owed"]
    await desk.due("intake.answer")
    await desk.work("intake.answer")  # the token is of the past
    await desk.due("intake.answer")
    await desk.work("intake.answer")
    assert [row["state"] for row in await desk.sent()] == ["sent"]
    assert desk.service.tokens == 2


async def test_a_user_who_left_is_seen_by_a_person(desk: Desk) -> None:
    """It would be tried for ever, and nobody would telephone."""
    desk.service.codes.append(60111)
    await desk.says("help")
    await desk.work("intake.handle", "intake.answer")
    assert [row["state"] for row in await desk.sent()] == ["failed"]
    assert await desk.world.value("select count(*) from todo where kind = 'intake.answer_failed'") == 1


async def test_a_picture_is_fetched_and_belongs_to_the_order(desk: Desk) -> None:
    """The picture of the fault would stay with the service, which forgets it after three days."""
    desk.service.media["media-1"] = (picture(), "image/jpeg")
    await desk.says(COMPLETE)
    await desk.says("", Media(media_type="image/jpeg", source={"mediaId": "media-1"}), id_="m2")
    await desk.work("intake.handle", "intake.media")
    (file,) = await desk.files()
    order = await desk.world.value("select id from work_order")
    assert (file["state"], file["media_type"], file["order_id"]) == ("stored", "image/jpeg", order)
    assert await desk.world.value("select state from blob") == "received"  # a clean version is owed


@pytest.mark.parametrize("desk", ("dingtalk",), indirect=True)
async def test_a_robot_s_file_is_fetched_in_two_steps(desk: Desk) -> None:
    """DingTalk gives an address for a code, and the file at the address."""
    desk.service.media["file"] = (b"%PDF-1.7 x", "application/pdf")
    await desk.says("", Media(media_type="application/octet-stream", source={"downloadCode": "c"}))
    await desk.work("intake.handle", "intake.media")
    (file,) = await desk.files()
    assert (file["state"], file["media_type"]) == ("stored", "application/pdf")


@pytest.mark.parametrize(
    ("data", "code"),
    (
        (b"<svg onload=alert(1)>", "FILE_TYPE_REFUSED"),
        (b"\xff\xd8\xff cut", "PICTURE_UNREADABLE"),
        (b"", "FILE_EMPTY"),
    ),
)
async def test_what_is_no_picture_is_refused_whatever_it_is_called(
    desk: Desk, data: bytes, code: str
) -> None:
    """A page with a script would be shown to an agent as a customer's picture."""
    desk.service.media["media-1"] = (data, "image/jpeg")
    await desk.says("", Media(media_type="image/jpeg", source={"mediaId": "media-1"}))
    await desk.work("intake.handle", "intake.media")
    (file,) = await desk.files()
    assert (file["state"], file["code"]) == ("refused", code)


async def test_a_service_that_is_down_for_a_day_costs_no_picture(desk: Desk) -> None:
    """A night's outage would lose every picture that was sent in it, or keep the orders themselves waiting."""
    desk.service.media["media-1"] = (picture(), "image/jpeg")
    desk.service.down = True
    await desk.says(COMPLETE)
    await desk.says("", Media(media_type="image/jpeg", source={"mediaId": "media-1"}), id_="m2")
    await desk.work("intake.handle", "intake.media")
    assert (
        await desk.world.value("select count(*) from work_order") == 1
    )  # the order did not wait for the picture
    waits: list[float] = []
    for _ in range(20):
        waits.append(
            await desk.world.value(
                "select extract(epoch from run_at - now())::float8 from outbox where channel = 'intake.media'"
            )
        )
        await desk.due("intake.media")
        await desk.work("intake.media")
    assert sum(waits) > 12 * 3600
    assert max(waits) <= channel_jobs.FETCH_PAUSE_S_MAX + 1
    (file,) = await desk.files()
    assert file["state"] == "awaited"
    desk.service.down = False
    await desk.due("intake.media")
    await desk.work("intake.media")
    (file,) = await desk.files()
    assert file["state"] == "stored"


async def test_a_picture_that_never_comes_is_seen_by_a_person_who_may_try_again(desk: Desk) -> None:
    """An order would claim to have a picture, and nobody would ask for it once more."""
    await desk.says("", Media(media_type="image/jpeg", source={"mediaId": "gone"}))
    await desk.work("intake.handle", "intake.media")
    (file,) = await desk.files()
    assert (file["state"], file["code"]) == ("failed", "FILE_NOT_FETCHED")
    assert await desk.world.value("select count(*) from todo where kind = 'intake.file_failed'") == 1
    desk.service.media["gone"] = (picture(), "image/jpeg")
    async with desk.world.db.work(desk.world.org) as work:
        assert await files.fetch_again(work, file["id"])
    await desk.work("intake.media")
    assert [one["state"] for one in await desk.files()] == ["stored"]


async def test_a_message_that_cannot_be_handled_is_seen_by_a_person(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be tried until it is a dead letter, and its sender would hear nothing."""

    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(conversation.drafts, "handle", broken)
    monkeypatch.setattr(outbox, "ATTEMPTS_MAX", 2)
    message = await desk.says(COMPLETE)
    await desk.work("intake.handle")
    await desk.due("intake.handle")
    await desk.work("intake.handle")
    assert await desk.world.value("select state from intake_message where id = $1", message) == "failed"
    assert await desk.world.value("select count(*) from todo where kind = 'intake.message_failed'") == 1


async def test_who_falls_silent_is_seen_by_a_person(desk: Desk) -> None:
    """A half-told request would lie there for ever, and the customer would think that somebody is coming."""
    await desk.says("The pump in the cellar is very loud")
    await desk.work("intake.handle")
    assert await desk.world.value("select state from intake_draft") == "open"
    await desk.world.value("update timer set due_at = now() where channel = 'intake.patience' returning 1")
    await desk.work("intake.patience")
    draft = (await desk.world.fetch("select id, state, reason from intake_draft"))[0]
    assert (draft["state"], draft["reason"]) == ("desk", "unanswered")
    todo = await desk.world.fetch("select user_id, data ->> 'draftId' as draft from todo")
    assert [tuple(row) for row in todo] == [(desk.world.dispatcher.user_id, str(draft["id"]))]
    # What comes later reaches the person, and is not asked about over their head.
    await desk.says("hello?", id_="m2")
    await desk.work("intake.handle")
    assert len(await desk.sent()) == 2


async def test_who_goes_on_in_time_is_not_shown(desk: Desk) -> None:
    """The desk would be asked to do what is done already."""
    await desk.says("The pump in the cellar is very loud")
    await desk.work("intake.handle")
    await desk.says("Serial: SN-1\nPhone: +1 415 555 2671", id_="m2")
    await desk.work("intake.handle")
    assert await desk.world.value("select state from intake_draft") == "completed"
    assert await desk.world.value("select state from timer where channel = 'intake.patience'") == "canceled"


async def test_who_writes_on_after_an_answer_is_seen_again(desk: Desk) -> None:
    """The agent has answered and closed the to-do; the customer's reply would stand in a list that nobody opens."""
    await desk.says("agent")
    await desk.work("intake.handle")
    draft = await desk.world.value("select id from intake_draft")

    async def todos() -> list[Any]:
        rows = await desk.world.fetch("select kind, state from todo where kind like 'intake.%' order by id")
        return [tuple(row) for row in rows]

    await desk.says("my pump leaks", id_="m2")
    await desk.work("intake.handle")
    assert await todos() == [("intake.agent_wanted", "open")]
    async with desk.world.db.work(desk.world.org, actor=desk.world.dispatcher) as work:
        await desk_drafts.answer(work, draft, "Which pump?")
    await desk.says("the one in the cellar", id_="m3")
    await desk.says("agent", id_="m4")
    await desk.work("intake.handle")
    assert await todos() == [("intake.agent_wanted", "done"), ("intake.wrote", "open")]
    async with desk.world.db.work(desk.world.org, actor=desk.world.dispatcher) as work:
        await desk_drafts.answer(work, draft, "I see.")
    await desk.says("agent", id_="m5")
    await desk.work("intake.handle")
    async with desk.world.db.work(desk.world.org, actor=desk.world.dispatcher) as work:
        await desk_drafts.close(work, draft, "settled by telephone")
    assert await todos() == [
        ("intake.agent_wanted", "done"),
        ("intake.wrote", "done"),
        ("intake.agent_wanted", "canceled"),
    ]


async def test_who_sent_a_file_that_is_not_taken_is_told(desk: Desk) -> None:
    """A customer would wait for an answer to a report that nobody ever sees."""
    desk.service.media["media-1"] = (b"PK report", "application/zip")
    await desk.says("", Media(media_type="application/zip", name="report.zip", source={"mediaId": "media-1"}))
    await desk.work("intake.handle", "intake.media")
    await desk.work("intake.media")
    told = await desk.world.fetch(
        "select content ->> 'text' as text from intake_message where direction = 'out' order by id"
    )
    assert ["report.zip" in row["text"] for row in told] == [False, True]


async def test_a_sender_without_end_makes_no_row_without_end(desk: Desk) -> None:
    """Every message would be written again with all that came before it: ten thousand would fill the disk."""
    await desk.says("agent")
    for n in range(12):
        await desk.says("x" * 3999, id_=f"x{n}")
        # One look may end early on a busy machine.
        await desk.work("intake.handle")
    while await desk.world.value("select count(*) from intake_message where state = 'received'"):
        await desk.work("intake.handle")
    assert await desk.world.value("select octet_length(facts::text) from intake_draft") < 20_000
    assert await desk.world.value("select count(*) from intake_message where state = 'handled'") == 13

"""The worker's half of chat accounts: answers and files, with services that answer errors inside of a 200, or not at all."""

import io
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from chat_calls import CORP, KEY, TOKEN
from chat_service import ChatService
from PIL import Image
from worlds import World

from callout_backend.jobs import channels as channel_jobs
from callout_backend.jobs.chat_services import ChatServices
from callout_backend.jobs.drain import drain
from callout_backend.settings import Settings
from callout_orders.channels import accounts, files, inbox
from callout_orders.channels.accounts import ChannelInput
from callout_orders.channels.conversations import conversation
from callout_orders.channels.terms import Inbound, Media
from callout_store import outbox
from callout_store.work import Database
from callout_sync.blobs import Storage

COMPLETE = "The pump leaks in the cellar, please call Ann at +1 415 555 2671\nSerial: SN-1"


def picture() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(out, "JPEG")
    return out.getvalue()


class Desk:
    """An organisation, its account at a service, and the worker's handlers."""

    def __init__(self, world: World, service: ChatService, storage: Storage, kind: str) -> None:
        self.world, self.service, self.storage, self.kind = world, service, storage, kind
        self.services = ChatServices(private_allowed=True, timeout_s=5)

    async def build(self, **changes: Any) -> "Desk":
        own = {
            "wecom": {"corpId": CORP, "agentId": 7},
            "wechat": {"appId": CORP, "mode": "plain"},
            "dingtalk": {"appKey": CORP, "robotCode": "robot-1"},
        }[self.kind]
        async with self.world.db.work(self.world.org, actor=self.world.dispatcher) as work:
            id_ = await accounts.save(
                work,
                ChannelInput(
                    code=self.kind,
                    kind=self.kind,
                    name=self.kind,
                    locale="en",
                    default_kind="service",
                    settings={**own, "apiBase": self.service.url},
                    secrets={"token": TOKEN, "aesKey": KEY, "appSecret": "SECapp"},
                    **changes,
                ),
            )
            found = await accounts.account(work, id_)
        assert found is not None
        self.account = found
        return self

    async def says(self, text: str = "", *media: Media, id_: str = "m1", **more: Any) -> UUID:
        kind = "text" if text else "image"
        inbound = Inbound(external_id=id_, peer="LiLei", kind=kind, text=text, media=media, **more)
        async with self.world.db.work(self.world.org) as work:
            return (await inbox.record(work, self.account, inbound, raw=b"x", size_bytes=1)).id

    async def work(self, *channels: str) -> None:
        made = channel_jobs.make_handlers(self.storage, self.services, "http://t")
        await drain(self.world.db, {name: made[name] for name in channels}, only=True)

    async def due(self, channel: str) -> None:
        """What waits for a later try is due now."""
        async with self.world.db.system_work() as work:
            await work.execute(
                "update outbox set run_at = now() where channel = $1 and state = 'ready'", channel
            )

    async def sent(self) -> list[Any]:
        return await self.world.fetch(
            "select state, reason from intake_message where direction = 'out' order by id"
        )

    async def files(self) -> list[Any]:
        return await self.world.fetch(
            "select id, state, code, media_type, order_id from intake_file order by id"
        )


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

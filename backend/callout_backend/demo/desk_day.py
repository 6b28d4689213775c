"""The service desk's hours: requests by every channel, and what becomes of them.

What lies behind the desk when somebody signs in happened in the last two hours, by a clock that is led by hand; what the
doors brought, and what waits with its countdown running, is of this very moment.
"""

import asyncio
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from PIL import Image

from callout_backend.demo import intake
from callout_backend.demo.desk_calls import Calls
from callout_backend.demo.desk_doors import Doors, open_doors
from callout_backend.demo.desk_setup import SHEET
from callout_backend.demo.desk_sheet import as_csv
from callout_backend.demo.evening import wake_steps
from callout_backend.demo.names import PARTS
from callout_backend.demo.sf311 import Request as CityRequest
from callout_orders.desk import respond
from callout_orders.flow import deadlines, reading
from callout_orders.flow.ending import survey, survey_answers
from callout_orders.flow.parts import requisitions
from callout_orders.knowledge import links
from callout_store import timers
from callout_store.clock import SystemClock
from callout_store.ids import new_secret
from callout_store.work import Actor

THANKS: Final = {
    "en": "Thank you, we have it and look into it today.",
    "zh": "您好,已收到,今天内安排处理。",
}
CUSTOMER: Final = Actor(role="customer")


class DeskDay(Calls):
    """The story."""

    async def play(self, week: Sequence[CityRequest], places: intake.Places) -> list[UUID]:
        """Everything; `week` are the city's orders that come in as a sheet. The orders of the desk's own."""
        begins = datetime.now(UTC)
        timers.rest(deadlines.CHANNEL)
        try:
            earlier = await self._earlier(begins)
        finally:
            self.db.clock = SystemClock()
            await wake_steps(self.db, self.staff)
        await intake.arm_again(self.db, self.staff, earlier)
        await self._parts()
        async with open_doors(self.settings, self.db, self.staff.slug, self.world) as doors:
            await self._come("maya", "agent", "duty")
            await self._web(doors)
            await self._chat(doors)
            await self._letters(doors)
            await self._system(doors)
            await self._sheet(doors, week, places)
            await self._settle()
        await self._answer()
        await self._turned_over()
        await self._waiting()
        await self._settle()
        return earlier

    # ------------------------------------------------------------------------------------------- parts

    async def _parts(self) -> None:
        """What engineers missed yesterday is bought: asked for, ordered, in stock, and the second visit offered."""
        async with self.db.work(self.staff.org_id) as work:
            page = await reading.requisitions_page(work, states=("requested",))
        given = sorted(page.items, key=lambda one: one.number)
        codes = [part[0] for parts in PARTS.values() for part in parts]
        for n, one in enumerate(given):
            if n == len(given) - 1 and n > 0:
                self.counts["parts asked for"] += 1
                break
            async with self.db.work(self.staff.org_id, actor=self.world.actor("purchasing")) as work:
                await requisitions.set_lines(work, one.id, [(codes[n % len(codes)], 1 + n % 2)])
                await requisitions.approve(work, one.id)
                await requisitions.order(
                    work, one.id, supplier="Bay Parts 湾区备件", supplier_ref=f"BP-{4711 + n}"
                )
            self.counts["parts ordered"] += 1
            if n == 0 or n < len(given) - 2:
                async with self.db.work(self.staff.org_id, actor=self.world.actor("warehouse")) as work:
                    await requisitions.receive(work, one.id, self.world.depot_id, delivery=f"D-{n + 1:03d}")
                self.counts["parts in stock"] += 1

    # ------------------------------------------------------------------------------------------- the doors

    async def _web(self, doors: Doors) -> None:
        """Refused for want of a picture, sent again with it; a question that an answer solved, and one that it did not."""
        serial = self.world.machines[3].serial
        said = {
            "kind": "repair",
            "description": "The display flickers now and then, I cannot reproduce it",
            "contactName": "Ann Becker",
            "contactPhone": "+1 415 555 0190",
            "serial": serial,
        }
        await self.attempt("by web form", doors.form("en", **said))
        key = new_secret(24)
        file_id = await doors.picture(key, _picture())
        await self.attempt("by web form", doors.form("en", key=key, files=[file_id], **said))
        asked = {**said, "errorCode": "E12"}
        for n, text, helps in (
            (4, "E12 on the display, my card is not recognised", True),
            (5, "E07 is shown on the display, what does that mean?", False),
        ):
            asked = {
                **said,
                "kind": "service",
                "description": text,
                "serial": self.world.machines[n].serial,
                "errorCode": text[:3],
            }
            await self.attempt("by web form", doors.form("en", **asked))
            await self._settle()
            order_id = await self._order_of(self.world.machines[n].serial)
            async with self.db.work(self.staff.org_id, actor=CUSTOMER) as work:
                token = await links.create_link(work, order_id, "en")
            decision = "solved" if helps else "did_not_help"
            what = "solved by an answer" if helps else "answer did not help, now P1"
            await self.attempt(
                what, doors.decide(token, decision, "" if helps else "The button is out already")
            )
            if helps:
                await self._content(order_id)

    async def _content(self, order_id: UUID) -> None:
        """Whom an answer helped says so in the survey; then the order is archived."""
        async with self.db.work(self.staff.org_id, actor=CUSTOMER) as work:
            survey_id = await work.fetchval(
                "select id from survey where org_id = callout_org() and order_id = $1 and answered_at is null",
                order_id,
            )
            if survey_id is None:
                return
            given = survey_answers.Answer(score=5, comment="No visit needed, great.")
            await survey_answers.answer(work, await survey.link(work, survey_id), given)
        self.counts["surveys answered"] += 1

    async def _chat(self, doors: Doors) -> None:
        """A whole request in one message, and a conversation that is completed message by message."""
        pile = self.world.machines[1].serial
        whole = f"日落停车场的充电桩插上后跳闸,有焦味\n序列号:{pile}\n电话:13800138000"
        await self.attempt("by chat", doors.wecom("WangFang", whole))
        for text in (
            "你们好,我们停车场的充电桩无法启动",
            "13800138000",
            f"序列号:{self.world.machines[4].serial}",
        ):
            await self.attempt("chat messages", doors.wecom("LiLei", text))
            await self._settle()

    async def _letters(self, doors: Doors) -> None:
        await self.attempt(
            "by mail",
            doors.mail(
                "Ann Becker <ann@bay-charging.example>",
                "Charging pile hums loudly",
                f"Good morning,\n\nthe pile in the Mission Car Park hums loudly since Friday.\n"
                f"Serial: {self.world.machines[5].serial}\nPhone: +1 415 555 0190\n\nAnn Becker",
            ),
        )
        await self._settle()

    async def _system(self, doors: Doors) -> None:
        """The city's own system sends an order twice, because the first answer was lost."""
        order = {
            "description": "Parking meter takes no coins, LOW BATT is shown",
            "kind": "service",
            "priority": "P2",
            "customerNumber": "C-9001",
            "serial": self.world.machines[0].serial,
            "contactPhone": "+1 415 555 0190",
            "errorCode": "M21",
            "references": [{"system": "city-crm", "reference": "CRM-2081"}],
        }
        made = await doors.api("POST", "/v1/orders", json=order)
        again = await doors.api("POST", "/v1/orders", json=order)
        self.counts["by public API"] += 1
        self.counts["sent twice, taken once"] += made["id"] == again["id"] and again["existing"]

    async def _sheet(self, doors: Doors, week: Sequence[CityRequest], places: intake.Places) -> None:
        """A week of the city's orders as a sheet: looked at first, then taken in; one row has two faults."""
        if not week:
            return
        async with self.db.work(self.staff.org_id) as work:
            rows = await work.fetch(
                "select id, serial from asset where org_id = callout_org() and id = any($1)",
                [places.assets[places.sites[intake.site_of(one)], one.skill] for one in week],
            )
        serials = {row["id"]: row["serial"] for row in rows}
        data = as_csv(week, lambda one: serials[places.assets[places.sites[intake.site_of(one)], one.skill]])
        begun = await doors.api(
            "POST",
            "/v1/imports",
            params={"dryRun": "true", "template": SHEET, "fileName": "311-week.csv"},
            content=data,
            headers={"Content-Type": "text/csv"},
        )
        looked = await self._import_done(doors, begun["id"])
        self.counts["rows refused by a dry run"] += looked["rowsFailed"]
        await doors.api("POST", f"/v1/imports/{begun['id']}/start")
        done = await self._import_done(doors, begun["id"])
        self.counts["by sheet"] += done["rowsOk"]

    async def _import_done(self, doors: Doors, id_: str) -> dict[str, Any]:
        while True:
            await self._settle()
            told = await doors.api("GET", f"/v1/imports/{id_}")
            if told["state"] not in ("queued", "running"):
                return told
            await asyncio.sleep(0.05)

    async def _answer(self) -> None:
        """The agents answer what came by chat, mail, another system and in the sheet."""
        async with self.db.work(self.staff.org_id) as work:
            rows = await work.fetch(
                """
                select o.id, o.channel, o.locale, o.handler_id from work_order o
                where o.org_id = callout_org() and o.state = 'new' and o.responded_at is null and o.team_id is not null
                  and o.duplicate_of_id is null and (o.channel in ('chat', 'email', 'api') or exists (
                      select from import_row r where r.org_id = o.org_id and r.order_id = o.id))
                order by o.id
                """
            )
        for part in ("maya", "agent"):
            async with self.db.work(self.staff.org_id, actor=self.world.actor(part)) as work:
                for row in rows:
                    if row["handler_id"] == self.world.people[part]:
                        await respond.respond(work, row["id"], THANKS[row["locale"]])
                        self.counts["answered by agents"] += 1

    async def _order_of(self, serial: str) -> UUID:
        async with self.db.work(self.staff.org_id) as work:
            found: UUID = await work.fetchval(
                "select id from work_order where org_id = callout_org() and serial = $1 order by id desc limit 1",
                serial,
            )
        return found


def _picture() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (160, 120), "darkorange").save(out, "PNG")
    return out.getvalue()

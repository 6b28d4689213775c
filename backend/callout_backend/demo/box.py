"""What somebody needs to look around after the demo: logins, phones to enrol, links of customers."""

from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_backend.demo.world import EMAIL_DOMAIN
from callout_backend.house import DEMO_FILE, read_demo
from callout_backend.settings import Settings
from callout_backend.texts import say
from callout_dispatch.arrivals import tracking
from callout_graphql.reading import sign_off_summary
from callout_orders import signoff
from callout_orders.flow.ending import survey
from callout_orders.flow.events import LABELS
from callout_orders.kinds.draw import svg
from callout_orders.kinds.library import built_in
from callout_people import api_keys
from callout_people.principals import SCOPES
from callout_people.users import user_by_email
from callout_store.errors import LimitExceeded
from callout_store.work import Database, Work
from callout_sync import devices

PASSWORD: Final = "callout-demo"
"""Of every login of the demo. The data is public and invented; whoever serves it to others changes the passwords."""


DESK_LOGINS: Final = (
    ("agent", "Desk agent", "客服专员"),
    ("director", "Regional director", "大区总监"),
    ("purchasing", "Purchaser", "采购专员"),
)
SYSTEM: Final = "Newcomer's system"
"""The name of the key in the box."""


async def write_down(settings: Settings, db: Database, told: dict[str, Any]) -> None:
    """Write the file that `callout run` reads its box from. Enrolment codes live 15 minutes: they are made anew."""
    org_id, slug = UUID(told["organisation"]["id"]), told["organisation"]["slug"]
    logins = [
        {
            "who": {"en": f"Dispatcher of {slug}", "zh": f"{slug} 的调度员"},
            "login": f"dispatcher@{EMAIL_DOMAIN}",
            "password": PASSWORD,
        },
        {
            "who": {"en": f"Supervisor of {slug}", "zh": f"{slug} 的主管"},
            "login": f"supervisor@{EMAIL_DOMAIN}",
            "password": PASSWORD,
        },
    ]
    for part, en, zh in DESK_LOGINS:
        who = {"en": f"{en} of {slug}", "zh": f"{slug} 的{zh}"}
        logins.append({"who": who, "login": f"{part}@{EMAIL_DOMAIN}", "password": PASSWORD})
    links: list[dict[str, Any]] = []
    async with db.work(org_id) as work:
        for number in (1, 2):
            email = f"e{number:02d}@{EMAIL_DOMAIN}"
            user = await user_by_email(work, email)
            if user is None:
                continue
            who = {"en": f"Engineer {user.name}", "zh": f"工程师 {user.name}"}
            logins.append({"who": who, "login": email, "password": PASSWORD})
            payload = await _enrolment(work, settings, user.id)
            if payload is not None:
                name = {
                    "en": f"Enrol a phone ({user.name}, 15 min)",
                    "zh": f"注册手机({user.name},15 分钟内)",
                }
                links.append({"name": name, "url": payload})
        link = await _unused_link(work, settings)
        track = await _track_link(work, settings, told.get("track_orders", []))
        survey_link = await _survey_link(work, settings)
        key = await _api_key(work, settings, slug)
    if link is not None:
        links.append({"name": {"en": "A customer signs", "zh": "客户签收"}, "url": link})
    if track is not None:
        name = {"en": "A customer sees the engineer's way", "zh": "客户查看工程师到达情况"}
        links.append({"name": name, "url": track})
    if survey_link is not None:
        links.append({"name": {"en": "A customer says how it was", "zh": "客户评价服务"}, "url": survey_link})
    links += [{"name": name, "url": f"{settings.base_url}{path}"} for path, name in _desk_doors(slug)]
    links.append({"name": {"en": "A key for it (X-Api-Key)", "zh": "接口密钥(X-Api-Key)"}, "url": key})
    drawing = _drawing(settings)
    links.append(
        {"name": {"en": "How a repair goes, drawn", "zh": "维修流程图"}, "url": drawing.absolute().as_uri()}
    )
    name = {
        "en": "Every message that would have been sent (sign in as the supervisor)",
        "zh": "查看所有待发消息(以主管身份登录)",
    }
    links.append({"name": name, "url": f"{settings.base_url}/sink?org={slug}"})
    file = settings.data / DEMO_FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    box = {"organisation": slug, "logins": logins, "links": links, "apiKey": key}
    file.write_bytes(msgspec.json.format(msgspec.json.encode(box), indent=2) + b"\n")


async def _enrolment(work: Work, settings: Settings, user_id: UUID) -> str | None:
    try:
        made = await devices.create_enrolment_code(work, user_id)
    except LimitExceeded:
        return None
    return devices.enrolment_payload(server=settings.base_url, org_id=work.org_id, code=made.code)


async def _unused_link(work: Work, settings: Settings) -> str | None:
    visit_id = await work.fetchval(
        "select id from visit where org_id = callout_org() and state = 'completed' and signed_at is null "
        "order by id limit 1"
    )
    if visit_id is None:
        return None
    order_id, summary = await sign_off_summary(work, visit_id)
    ttl = timedelta(days=settings.signoff_days)
    token = await signoff.create_link(work, visit_id, order_id, summary, ttl=ttl)
    return f"{settings.base_url}/s/{token}"


async def _track_link(work: Work, settings: Settings, looked: list[str]) -> str | None:
    """A link that has something to show: of an order whose visit is still to come or under way, best one looked at before."""
    order_id = await work.fetchval(
        """
        select order_id from visit where org_id = callout_org() and plan <> 'canceled' and ended_at is null
        order by order_id = any($1::uuid[]) desc, travelling_at is not null desc, scheduled_start desc, id limit 1
        """,
        [UUID(id_) for id_ in looked],
    )
    if order_id is None:
        return None
    return f"{settings.base_url}/t/{await tracking.create_link(work, order_id)}"


async def _survey_link(work: Work, settings: Settings) -> str | None:
    """Of a survey that nobody has answered yet."""
    survey_id = await work.fetchval(
        "select id from survey where org_id = callout_org() and answered_at is null and expired_at is null "
        "and expires_at > $1 order by id limit 1",
        work.now,
    )
    return None if survey_id is None else f"{settings.base_url}/q/{await survey.link(work, survey_id)}"


async def _api_key(work: Work, settings: Settings, slug: str) -> str:
    """The key of the box of the last time as long as it is good; its text is known there alone. Else another one."""
    before = read_demo(settings.data / DEMO_FILE)
    known = next((one for one in await api_keys.listed(work) if one.name == SYSTEM), None)
    text = str(before.get("apiKey", ""))
    if known is None:
        made = await api_keys.create(work, name=SYSTEM, scopes=sorted(SCOPES))
    elif before.get("organisation") == slug and text.partition(".")[2].startswith(known.prefix):
        return text
    else:
        made = await api_keys.rotate(work, known.id, overlap_hours=0)
    return made.text


def _desk_doors(slug: str) -> tuple[tuple[str, dict[str, str]], ...]:
    """The service desk's pages."""
    return (
        (
            f"/desk?org={slug}",
            {"en": "The agents' desk (sign in as the agent)", "zh": "客服工作台(以客服专员身份登录)"},
        ),
        (f"/hotline?org={slug}", {"en": "A hotline call is taken down", "zh": "热线来电登记"}),
        (f"/r/{slug}", {"en": "A customer asks by the web form", "zh": "客户网页报修"}),
        ("/v1/docs", {"en": "The API for other systems", "zh": "面向其他系统的开放接口"}),
    )


def _drawing(settings: Settings) -> Path:
    """The flow of a repair as SVG, in the data folder."""
    file = settings.data / "demo" / "repair.svg"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(svg(built_in()["repair"], say.locale(), events=LABELS), "utf-8")
    return file

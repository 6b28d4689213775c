"""What somebody needs to look around after the demo: logins, phones to enrol, links of customers."""

from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_backend.demo.world import EMAIL_DOMAIN
from callout_backend.house import DEMO_FILE
from callout_backend.settings import Settings
from callout_dispatch.arrivals import tracking
from callout_graphql.reading import sign_off_summary
from callout_orders import signoff
from callout_people.users import user_by_email
from callout_store.errors import LimitExceeded
from callout_store.work import Database, Work
from callout_sync import devices

PASSWORD: Final = "callout-demo"
"""Of every login of the demo. The data is public and invented; whoever serves it to others changes the passwords."""


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
    if link is not None:
        links.append({"name": {"en": "A customer signs", "zh": "客户签收"}, "url": link})
    if track is not None:
        name = {"en": "A customer sees the engineer's way", "zh": "客户查看工程师到达情况"}
        links.append({"name": name, "url": track})
    name = {
        "en": "Every message that would have been sent (sign in as the supervisor)",
        "zh": "查看所有待发消息(以主管身份登录)",
    }
    links.append({"name": name, "url": f"{settings.base_url}/sink"})
    file = settings.data / DEMO_FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    box = {"organisation": slug, "logins": logins, "links": links}
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

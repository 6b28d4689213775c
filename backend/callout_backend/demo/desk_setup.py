"""The demo's service desk before anybody calls: its people with posts, teams and duty, its words, its doors, its customer."""

from typing import Final
from uuid import UUID

import msgspec

from callout_backend.demo.desk_words import ARTICLES, INTRO, KEYWORDS, PRODUCTS
from callout_backend.demo.names import fictional_phone
from callout_backend.demo.world import CITY_ZONE, EMAIL_DOMAIN, Staff
from callout_dispatch import depots
from callout_orders import customers
from callout_orders.channels import accounts
from callout_orders.channels.accounts import ChannelInput
from callout_orders.desk.staff import directory, teams
from callout_orders.desk.staff.directory import Post, StaffGiven
from callout_orders.desk.staff.team_terms import DutyGiven, MemberGiven, TeamGiven
from callout_orders.imports import templates
from callout_orders.knowledge import articles
from callout_orders.precheck import keywords, products, settings
from callout_people import api_keys, users
from callout_people.principals import SCOPES, Role
from callout_people.users import NewUser
from callout_store.ids import new_secret
from callout_store.work import Actor, Database, Work

WECOM_CORP: Final = "ww-golden-gate-demo"
AES_KEY_CHARS: Final = 43
SHEET: Final = "Golden Gate 311"
"""The name of the import's template."""


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody of the desk, as they stand in the directory."""

    part: str
    name: str
    role: Role
    locale: str
    department: tuple[str, str]
    title: tuple[str, str]
    post: str | None = None


PEOPLE: Final = (
    Person(
        part="agent",
        name="林夏",
        role=Role.DISPATCHER,
        locale="zh",
        department=("Service desk", "客服中心"),
        title=("Agent", "客服专员"),
    ),
    Person(
        part="maya",
        name="Maya Torres",
        role=Role.DISPATCHER,
        locale="en",
        department=("Service desk", "客服中心"),
        title=("Agent", "客服专员"),
    ),
    Person(
        part="duty",
        name="周默",
        role=Role.DISPATCHER,
        locale="zh",
        department=("Service desk", "客服中心"),
        title=("On duty for others", "值班兜底"),
    ),
    Person(
        part="director",
        name="Helen Vance",
        role=Role.SUPERVISOR,
        locale="en",
        department=("Region West", "西部大区"),
        title=("Regional director", "大区总监"),
        post="regional_director",
    ),
    Person(
        part="purchasing",
        name="何采",
        role=Role.DISPATCHER,
        locale="zh",
        department=("Purchasing", "采购部"),
        title=("Purchaser", "采购专员"),
        post="purchasing",
    ),
    Person(
        part="warehouse",
        name="Walt Ibarra",
        role=Role.DISPATCHER,
        locale="en",
        department=("Warehouse", "仓储部"),
        title=("Warehouse keeper", "仓库管理员"),
        post="warehouse",
    ),
)


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """A machine of the desk's customer."""

    serial: str
    site_id: UUID


class DeskWorld(msgspec.Struct, frozen=True, kw_only=True):
    """The desk's people by their part, its teams by code, what opens its doors, and the customer who calls most."""

    people: dict[str, UUID]
    teams: dict[str, UUID]
    depot_id: UUID
    api_key: str
    wecom_token: str
    wecom_key: str
    mail_secret: str
    contacts: dict[str, UUID]
    machines: list[Machine]
    articles: dict[str, UUID]
    """By `code:locale`."""

    def actor(self, part: str) -> Actor:
        """Somebody of the desk at work."""
        person = next(one for one in PEOPLE if one.part == part)
        return Actor(user_id=self.people[part], role=person.role.value, locale=person.locale)


async def set_up(db: Database, staff: Staff, *, password_hash: str) -> DeskWorld:
    """Everything, in two transactions."""
    async with db.work(staff.org_id, actor=staff.dispatcher) as work:
        people = await _people(work, password_hash)
        depot_id = await depots.save_depot(
            work, depots.NewDepot(code="MAIN", name="Main store, Pier 71", lat=37.7712, lng=-122.3869)
        )
        contacts, machines = await _customer(work)
    admin = await _admin(db, staff)
    token, key, secret = new_secret(16), "".join(c for c in new_secret(64) if c.isalnum()), new_secret(24)
    async with db.work(staff.org_id, actor=admin) as work:
        made = await _teams(work, people, staff)
        await settings.save(work, settings.Settings(regions=("US", "CN")))
        for product in PRODUCTS:
            await products.save_product(work, product)
        await keywords.save_keywords(work, KEYWORDS)
        ids = [await articles.save_article(work, one) for one in ARTICLES]
        await _accounts(work, token=token, key=key[:AES_KEY_CHARS], secret=secret)
        await templates.save(work, name=SHEET, config={"system": "sf311-export", "keep_clock": False})
        api_key = await api_keys.create(
            work, name="City 311 CRM", scopes=sorted(SCOPES), rate_per_s=20, burst=100
        )
    return DeskWorld(
        people=people,
        teams=made,
        depot_id=depot_id,
        api_key=api_key.text,
        wecom_token=token,
        wecom_key=key[:AES_KEY_CHARS],
        mail_secret=secret,
        contacts=contacts,
        machines=machines,
        articles={f"{one.fault_code}:{one.locale}": id_ for one, id_ in zip(ARTICLES, ids, strict=True)},
    )


async def _people(work: Work, password_hash: str) -> dict[str, UUID]:
    ids = await users.create_users(
        work,
        [
            NewUser(
                email=f"{one.part}@{EMAIL_DOMAIN}",
                name=one.name,
                role=one.role,
                locale=one.locale,
                phone=fictional_phone(380 + n),
                password_hash=password_hash,
            )
            for n, one in enumerate(PEOPLE)
        ],
    )
    people = {one.part: id_ for one, id_ in zip(PEOPLE, ids, strict=True)}
    for n, one in enumerate(PEOPLE):
        spoken = one.locale == "zh"
        await directory.save_staff(
            work,
            people[one.part],
            StaffGiven(
                department=one.department[spoken],
                title=one.title[spoken],
                phone=fictional_phone(380 + n),
                chat_ids={"wecom": one.part.title()},
            ),
        )
        if one.post is not None:
            await directory.set_posts(work, people[one.part], [Post(post=one.post)])
    return people


async def _admin(db: Database, staff: Staff) -> Actor:
    async with db.work(staff.org_id) as work:
        user = await users.user_by_email(work, staff.emails["admin"])
    assert user is not None
    return Actor(user_id=user.id, role=Role.ADMIN.value)


async def _teams(work: Work, people: dict[str, UUID], staff: Staff) -> dict[str, UUID]:
    boss = await users.user_by_email(work, staff.emails["supervisor"])
    assert boss is not None
    lead = MemberGiven(user_id=boss.id, lead=True)
    given = (
        TeamGiven(
            code="front",
            name_en="Front desk",
            name_zh="前台客服",
            time_zone=CITY_ZONE.key,
            members=(
                MemberGiven(user_id=people["maya"]),
                MemberGiven(user_id=people["agent"]),
                lead,
            ),
            is_default=True,
        ),
        TeamGiven(
            code="online",
            name_en="Chat and mail",
            name_zh="在线客服",
            time_zone=CITY_ZONE.key,
            channels=("chat", "email"),
            members=(MemberGiven(user_id=people["agent"]), lead),
        ),
    )
    made: dict[str, UUID] = {}
    for team in given:
        made[team.code] = await teams.save_team(work, team)
        await teams.set_duty(
            work,
            made[team.code],
            [
                DutyGiven(user_id=user_id, rank=rank, weekday=day, starts="00:00", ends="24:00")
                for day in range(7)
                for rank, user_id in enumerate((people["duty"], staff.dispatcher.user_id), start=1)
            ],
        )
    return made


async def _accounts(work: Work, *, token: str, key: str, secret: str) -> None:
    """The doors. Nothing is written back by chat or mail: whoever writes in the demo is invented."""
    for given in (
        ChannelInput(
            code="form",
            kind="web_form",
            name="Web form",
            settings={**INTRO, "kinds": ["repair", "service", "after_sales", "general"]},
            default_kind="repair",
            locale="en",
        ),
        ChannelInput(
            code="wecom",
            kind="wecom",
            name="企业微信服务号",
            settings={"corpId": WECOM_CORP, "agentId": 1000002},
            secrets={"token": token, "aesKey": key},
            default_kind="repair",
            locale="zh",
            answers=False,
        ),
        ChannelInput(
            code="desk",
            kind="mail",
            name="Desk's mailbox",
            settings={"address": f"desk@{EMAIL_DOMAIN}"},
            secrets={"webhookSecret": secret},
            default_kind="service",
            locale="en",
            answers=False,
        ),
    ):
        await accounts.save(work, given)


async def _customer(work: Work) -> tuple[dict[str, UUID], list[Machine]]:
    customer_id = await customers.create_customer(
        work, customers.NewCustomer(number="C-9001", name="Bay Charging 湾区充电", tier="gold")
    )
    site_ids = await customers.create_sites(
        work,
        [
            customers.NewSite(
                customer_id=customer_id, name=name, address=f"{name}, San Francisco", lat=lat, lng=lng
            )
            for name, lat, lng in (
                ("Pier 71 Car Park", 37.7709, -122.3862),
                ("Sunset Car Park", 37.7534, -122.4941),
                ("Mission Car Park", 37.7599, -122.4148),
            )
        ],
    )
    machines = [
        Machine(serial=f"CP-2024-GG{101 + n:06d}", site_id=site_id)
        for n, site_id in enumerate([*site_ids, *site_ids])
    ]
    await customers.create_assets(
        work,
        [
            customers.NewAsset(site_id=one.site_id, serial=one.serial, model="CP60", name="Charging pile")
            for one in machines
        ],
    )
    contact_ids = await customers.create_contacts(
        work,
        [
            customers.NewContact(
                customer_id=customer_id, name=name, locale=locale, phone=phone, phone_region="US", email=email
            )
            for name, locale, phone, email in (
                ("王芳", "zh", "+86 138 0013 8000", None),
                ("Ann Becker", "en", fictional_phone(390), "ann@bay-charging.example"),
            )
        ],
    )
    return {"wang": contact_ids[0], "ann": contact_ids[1]}, machines

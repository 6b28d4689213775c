"""The pre-check on a real database: what is refused, what is found, what is made, what is linked."""

import contextlib

import msgspec
import pytest
from prechecks import Desk, make_desk

from callout_orders import customers
from callout_orders.checks import FieldRefused, FieldsRefused
from callout_orders.precheck import keywords, looking, matching, settings, taking
from callout_orders.precheck.terms import Request, RequestFile
from callout_orders.precheck.text.tags import tags_of
from callout_orders.precheck.vocabulary import vocabulary
from callout_orders.terms import TAGS_MAX
from callout_store.errors import AlreadyExists, LimitExceeded, NotFound
from callout_store.ids import new_id
from callout_store.work import Database, Work


@pytest.fixture
async def desk(db: Database) -> Desk:
    return await make_desk(db)


async def test_a_known_machine_leads_to_its_customer_and_site(db: Database, desk: Desk) -> None:
    """An agent would type in again what the house knows already, and a twin of the customer would be made."""
    async with db.work(desk.org_id) as work:
        taken = await taking.take(work, desk.request(serial="cp 2024 ab 000001"))
    assert (taken.customer_id, taken.site_id, taken.contact_id) == (
        desk.customer_id,
        desk.site_id,
        desk.contact_id,
    )
    assert (taken.makes, taken.priority, taken.existing) == ((), "P1", False)
    async with db.work(desk.org_id) as work:
        row = await work.fetchrow(
            "select asset_id, serial, product, reporter_phone, kind_version, tags, locale from work_order"
        )
        assert row is not None
    assert (row["asset_id"], row["serial"], row["product"]) == (desk.asset_id, "CP-2024-AB000001", "CP-60")
    assert (row["reporter_phone"], row["kind_version"], row["locale"]) == ("+8613800138000", 0, "zh")
    assert {"no_power", "display"} <= set(row["tags"])


async def test_the_machine_of_a_customer_with_many_sites_leads_to_its_own(
    db: Database, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A housing authority with a thousand sites could not order for the machine that it named."""
    monkeypatch.setattr(matching, "SITES_MAX", 1)
    async with db.work(desk.org_id) as work:
        (site,) = await customers.create_sites(
            work,
            [
                customers.NewSite(
                    customer_id=desk.customer_id, name="Annex", address="1 Side St", lat=30.2, lng=120.1
                )
            ],
        )
        await customers.create_asset(
            work, customers.NewAsset(site_id=site, serial="CP-2024-AB000002", model="CP60", name="Pile 2")
        )
        known = (await taking.check(work, desk.request(serial="CP-2024-AB000002"))).known
    assert (known.customer_id, known.site_id) == (desk.customer_id, site)


async def test_everything_wrong_is_said_at_once_in_both_languages(db: Database, desk: Desk) -> None:
    """A customer would send the form five times to learn of five mistakes."""
    bad = desk.request(
        contact_phone="1380013800",
        serial="L9A1234567",
        product="CP-60",
        description="无法复现",
        priority="P9",
        duration_minutes=1,
        fields={"battery_safety": "maybe", "nonsense": 1},
    )
    async with db.work(desk.org_id) as work:
        with pytest.raises(FieldsRefused) as refused:
            await taking.take(work, bad)
    errors = {one["path"]: one for one in refused.value.extensions()["errors"]}
    assert {path: one["reason"] for path, one in errors.items()} == {
        "contactPhone": "phone_digits",
        "serial": "serial_other_product",
        "description": "description_short",
        "files": "rule",
        "priority": "not_one_of",
        "durationMinutes": "range",
        "fields.battery_safety": "boolean",
        "fields.nonsense": "kind_field",
    }
    phone = errors["contactPhone"]
    assert "has 10 digits" in phone["en"]
    assert "11" in phone["en"]
    assert "10 位数字" in phone["zh"]
    assert "11 位" in phone["zh"]
    assert "Lift L9" in errors["serial"]["en"]
    assert "九型电梯" in errors["serial"]["zh"]
    async with db.work(desk.org_id) as work:
        assert await work.fetchval("select count(*) from work_order") == 0
        assert await work.fetchval("select count(*) from customer") == 1


async def test_a_dry_run_says_the_same_and_writes_nothing(db: Database, desk: Desk) -> None:
    """The agent on the telephone would learn of a missing serial when the caller has hung up."""
    async with db.work(desk.org_id) as work:
        found = await taking.check(
            work,
            Request(
                channel="hotline",
                kind="repair",
                description="我是李雷,电话13911112222,充电桩充不上电,报错E07,地址杭州市余杭区文一西路969号",
                locale="zh",
            ),
        )
        assert not work.lines
        assert not work.touched
    assert not found.ok
    assert found.missing == ("serial",)
    assert (found.request.contact_name, found.request.contact_phone) == ("李雷", "+8613911112222")
    assert (found.request.error_code, found.request.address) == ("E07", "杭州市余杭区文一西路969号")
    assert set(found.makes) == {"customer", "site", "contact"}
    assert {hit.tag for hit in found.tags} >= {"charging", "error"}
    assert [(one.field, one.value) for one in found.proposals] == [("priority", "P1")]
    given = {find.field: find for find in found.found}
    assert given["contact_phone"].used
    assert given["contact_phone"].start == 7


async def test_what_was_given_is_never_overwritten(db: Database, desk: Desk) -> None:
    """The number that the caller wants to be called on would give way to one in a quoted letter."""
    async with db.work(desk.org_id) as work:
        found = await taking.check(
            work, desk.request(description="屏幕不亮,之前的电话是13911112222", contact_phone="010-62345678")
        )
    assert found.request.contact_phone == "+861062345678"
    assert [one.used for one in found.found if one.field == "contact_phone"] == [False]


async def test_unknown_people_are_made_for_people_and_refused_for_systems(db: Database, desk: Desk) -> None:
    """Somebody's call for help would be lost because nobody had made them a customer before."""
    stranger = Request(
        channel="web_form",
        kind="general",
        description="The gate does not close any more",
        contact_name="Joe Doe",
        contact_phone="+1 415 555 2671",
        address="1 Main St, San Francisco, CA 94105",
    )
    async with db.work(desk.org_id) as work:
        taken = await taking.take(work, stranger)
        again = await taking.take(
            work, msgspec.structs.replace(stranger, description="Now the lamp is dark too, please look")
        )
        with pytest.raises(FieldRefused) as refused:
            await taking.take(
                work, msgspec.structs.replace(stranger, channel="api", contact_phone="+1 415 555 2672")
            )
    assert set(taken.makes) == {"customer", "site", "contact"}
    assert (again.makes, again.customer_id, again.site_id, again.contact_id) == (
        (),
        taken.customer_id,
        taken.site_id,
        taken.contact_id,
    )
    assert (refused.value.path, refused.value.details["reason"]) == ("customerId", "unknown_customer")


async def test_the_same_reference_is_one_order_however_often(db: Database, desk: Desk) -> None:
    """A system that sends again after a lost answer would call two engineers out, or be refused the second time."""
    request = desk.request(references=(("crm", "A-1"),))
    async with db.work(desk.org_id) as work:
        first = await taking.take(work, request)
    async with db.work(desk.org_id) as work:
        again = await taking.take(
            work, msgspec.structs.replace(request, description="?", contact_phone="1", serial=None)
        )
        other = await taking.take(
            work, desk.request(references=(("crm", "A-2"),), link_duplicates=False, serial="CP-2024-AB000002")
        )
        with pytest.raises(AlreadyExists):
            await taking.take(work, desk.request(references=(("crm", "A-1"), ("crm", "A-2"))))
        stranger = msgspec.structs.replace(request, own_customer_ids=(new_id(),))
        with pytest.raises(AlreadyExists):
            await taking.take(work, stranger)
    assert (again.id, again.existing) == (first.id, True)
    assert other.id != first.id


async def test_strangers_ids_are_not_found(db: Database, desk: Desk) -> None:
    """A contact could order in the name of another customer, or learn that there is one."""
    async with db.work(desk.org_id) as work:
        other = await customers.create_customer(work, customers.NewCustomer(number="C-2", name="Rival"))
        site = await customers.create_site(
            work, customers.NewSite(customer_id=other, name="Shop", address="2 Main St")
        )
    for change in (
        {"customer_id": other},
        {"site_id": site},
        {"customer_id": desk.customer_id, "site_id": site},
        {"contact_id": new_id()},
        {"asset_id": new_id()},
        {"customer_number": "C-2"},
    ):
        async with db.work(desk.org_id) as work:
            with pytest.raises(NotFound):
                await taking.take(
                    work, desk.request(own_customer_ids=(desk.customer_id,), serial=None, **change)
                )


async def test_a_file_settles_what_cannot_be_reproduced(db: Database, desk: Desk) -> None:
    """The engineer would drive out for a fault that nobody can show; or a customer with a picture would be sent away."""
    request = desk.request(description="屏幕偶尔黑屏,但现场无法复现")
    async with db.work(desk.org_id) as work:
        with pytest.raises(FieldRefused) as refused:
            await taking.take(work, request)
        assert refused.value.path == "files"
        assert "截图" in refused.value.why("zh")
        text = msgspec.structs.replace(request, files=(RequestFile(media_type="text/plain"),))
        with pytest.raises(FieldRefused):
            await taking.take(work, text)
        await taking.take(
            work, msgspec.structs.replace(request, files=(RequestFile(media_type="image/png"),))
        )


async def test_a_channel_raises_priority_only_as_it_may(db: Database, desk: Desk) -> None:
    """Whoever writes "down" into the form would get the red lane of a hospital; or a fire would wait for Monday."""
    request = desk.request(description="充电站全部瘫痪,冒烟了")
    async with db.work(desk.org_id) as work:
        found = await taking.check(work, request)
        assert (found.priority, found.proposals[0].value) == ("P1", "P0")
        assert "瘫痪" in found.proposals[0].zh
        now = (await settings.stored(work)).settings
        rules = {
            "web_form": settings.ChannelRules(raise_to="P0"),
            "hotline": settings.ChannelRules(raise_to=None),
        }
        await settings.save(work, msgspec.structs.replace(now, channels=rules))
        assert (await taking.check(work, request)).priority == "P0"
        assert (
            await taking.check(work, msgspec.structs.replace(request, channel="hotline"))
        ).priority == "P2"
        given = msgspec.structs.replace(request, priority="P2")
        assert (await taking.check(work, given)).priority == "P2"


async def test_an_unknown_kind_or_channel_is_said_with_the_rest(db: Database, desk: Desk) -> None:
    """A misspelt kind would hide that the telephone is missing, too."""
    async with db.work(desk.org_id) as work:
        found = await taking.check(work, desk.request(kind="repare", channel="pigeon", contact_phone="12"))
    assert {fault.path for fault in found.faults} == {"kind", "channel", "contactPhone"}
    assert all(fault.en and fault.zh for fault in found.faults)


async def test_more_tags_or_references_than_an_order_takes_are_named(db: Database, desk: Desk) -> None:
    """The forty-first tag would be lost without a word; a lock for each of ten thousand references would stop everybody."""
    many = tuple(("crm", f"R-{n}") for n in range(5_000))
    tags = tuple(f"t{n}" for n in range(TAGS_MAX))
    async with db.work(desk.org_id) as work:
        found = await taking.check(work, desk.request(tags=(*tags, "more"), references=many))
        assert {fault.path for fault in found.faults} == {"tags", "references"}
        request = desk.request(references=many)
        with pytest.raises(LimitExceeded) as refused:
            await taking.take(work, request)
        assert (refused.value.path, len(looking.names(work.org_id, request))) == ("references", 22)
        # What its words say beyond that is left out: the sender has not asked for it.
        taken = await taking.take(work, desk.request(tags=tags[1:], description="充电桩漏水,冒烟了,屏幕不亮"))
    assert (len(taken.tags), taken.tags[: TAGS_MAX - 1]) == (TAGS_MAX, tags[1:])


async def test_a_telephone_that_two_customers_share(db: Database, desk: Desk) -> None:
    """Each call from a shared office would make one customer more."""
    async with db.work(desk.org_id) as work:
        other = await customers.create_customer(work, customers.NewCustomer(number="C-2", name="Neighbour"))
        await customers.create_contact(
            work, customers.NewContact(customer_id=other, name="赵六", phone="13800138000")
        )
        request = desk.request(serial=None, kind="general", address="杭州市西湖区文三路200号")
        named = await taking.check(work, msgspec.structs.replace(request, contact_name="王芳"))
        unnamed = await taking.check(work, request)
        system = await taking.check(work, msgspec.structs.replace(request, channel="api"))
    assert named.known.customer_id == desk.customer_id
    assert (unnamed.known.customer_id, unnamed.ok) == (other, True)
    assert [fault.path for fault in system.faults] == ["customerId"]


async def test_an_address_leads_to_the_site_that_has_it(db: Database, desk: Desk) -> None:
    """Every second spelling of an address would become a new site; or 138 and 183 of one street would be one place."""
    async with db.work(desk.org_id) as work:
        base = desk.request(serial=None, kind="general")
        same = await taking.check(work, msgspec.structs.replace(base, address="杭州市西湖区 文三路１３８号"))
        other = await taking.check(work, msgspec.structs.replace(base, address="杭州市西湖区文三路183号"))
        none = await taking.check(work, base)
    assert (same.known.site_id, same.makes) == (desk.site_id, ())
    assert (other.known.site_id, other.makes) == (None, ("site",))
    assert (none.known.site_id, none.known.by["site"]) == (desk.site_id, "only")


async def test_keywords_that_were_rolled_back_are_forgotten(db: Database, desk: Desk) -> None:
    """A process that remembered them would tag by words that nobody saved, until somebody changed them again."""

    async def save(work: Work, tag: str) -> None:
        await keywords.save_keywords(work, [keywords.NewKeyword(word="quokka", tag=tag)])

    async def tags(work: Work) -> list[str]:
        return [one.tag for one in tags_of((await vocabulary(work)).tagger.hits("a quokka in it"))]

    with contextlib.suppress(LookupError):
        async with db.work(desk.org_id) as work:
            await save(work, "lost")
            assert await tags(work) == ["lost"]
            raise LookupError
    async with db.work(desk.org_id) as work:
        await save(work, "animal")
    async with db.work(desk.org_id) as work:
        assert await tags(work) == ["animal"]

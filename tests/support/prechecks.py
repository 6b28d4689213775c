"""An organisation for tests of the pre-check: a product with serials, a customer with a site, a contact and a machine."""

from typing import Any
from uuid import UUID

import msgspec

from callout_orders import customers
from callout_orders.precheck import products
from callout_orders.precheck.products import NewProduct
from callout_orders.precheck.terms import Request
from callout_store.ids import new_id
from callout_store.work import Database


class Desk(msgspec.Struct):
    """Ids of what there is; `request` is one that its kind accepts."""

    org_id: UUID
    customer_id: UUID
    site_id: UUID
    contact_id: UUID
    asset_id: UUID

    def request(self, **changes: Any) -> Request:
        given = Request(
            channel="web_form",
            kind="repair",
            description="充电桩无法启动,屏幕不亮",
            contact_phone="13800138000",
            serial="CP-2024-AB000001",
            locale="zh",
        )
        return msgspec.structs.replace(given, **changes)


async def make_desk(db: Database) -> Desk:
    """The organisation, made through the services."""
    org_id = new_id()
    async with db.work(org_id) as work:
        await work.execute(
            "insert into organisation (id, slug, name) values ($1, $2, 'Desk')", org_id, f"p-{org_id}"
        )
        customer = await customers.create_customer(work, customers.NewCustomer(number="C-1", name="Ada"))
        site = await customers.create_site(
            work,
            customers.NewSite(
                customer_id=customer, name="Tower", address="杭州市西湖区文三路138号", lat=30.27, lng=120.13
            ),
        )
        contact = await customers.create_contact(
            work, customers.NewContact(customer_id=customer, name="王芳", phone="138 0013 8000")
        )
        asset = await customers.create_asset(
            work,
            customers.NewAsset(site_id=site, serial="CP-2024-AB000001", model="CP60", name="Pile 1"),
        )
        await products.save_product(
            work,
            NewProduct(
                code="CP-60",
                name_en="Charging pile 60 kW",
                name_zh="60千瓦充电桩",
                names=("CP60",),
                serial_pattern=r"CP-\d{4}-[A-Z]{2}\d{6}",
                serial_example="CP-2024-AB123456",
            ),
        )
        await products.save_product(
            work,
            NewProduct(code="LIFT-9", name_en="Lift L9", name_zh="九型电梯", serial_pattern=r"L9[A-Z]\d{7}"),
        )
    return Desk(org_id, customer, site, contact, asset)

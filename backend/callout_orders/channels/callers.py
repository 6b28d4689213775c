"""Who is on the telephone: customers, contacts, sites and machines by what a caller says of themselves, as it is typed."""

from typing import Final
from uuid import UUID

import msgspec
import phonenumbers

from callout_orders import checks
from callout_store.work import Work

CHARS_MIN: Final = 2
FOUND_MAX: Final = 20


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """One way in which the words fit. `by`: phone, name, customer, number, serial or order."""

    by: str
    customer_id: UUID
    customer_name: str
    customer_number: str
    tier: str
    contact_id: UUID | None
    contact_name: str | None
    contact_phone: str | None
    site_id: UUID | None
    site_name: str | None
    address: str | None
    asset_id: UUID | None
    serial: str | None
    model: str | None
    open_orders: int


async def callers(work: Work, words: str, *, limit: int = 10) -> list[Caller]:
    """Whom the words may mean, the surest first: a telephone number, a serial, a number, or part of a name.

    Fewer than two characters find nobody. Telephones are found by their last digits, as people say them.
    """
    text = checks.text("search", words, chars_max=80, blank=True)
    if len(text) < CHARS_MIN:
        return []
    digits = "".join(char for char in phonenumbers.normalize_digits_only(text) if char.isdigit())
    mostly_digits = len(digits) >= 4 and len(digits) >= len(text.replace(" ", "")) - 4
    size = checks.whole("first", limit, low=1, high=FOUND_MAX)
    rows = await work.fetch(
        """
        with hit as (
            select 1 as rank, 'phone' as by, p.customer_id, p.id as contact_id, null::uuid as site_id,
                null::uuid as asset_id
            from contact p where p.org_id = callout_org() and $2 and right(p.phone, length($3)) = $3
            union all
            select 2, 'serial', s.customer_id, null, s.id, a.id
            from asset a join site s on s.org_id = a.org_id and s.id = a.site_id
            where a.org_id = callout_org() and starts_with(upper(a.serial), upper($1))
            union all
            select 3, 'number', c.id, null, null, null
            from customer c where c.org_id = callout_org() and upper(c.number) = upper($1)
            union all
            select 3, 'order', o.customer_id, o.contact_id, o.site_id, o.asset_id
            from work_order o where o.org_id = callout_org() and o.number = upper($1)
            union all
            select 4, 'customer', c.id, null, null, null
            from customer c where c.org_id = callout_org() and strpos(lower(c.name), lower($1)) > 0
            union all
            select 5, 'name', p.customer_id, p.id, null, null
            from contact p where p.org_id = callout_org() and strpos(lower(p.name), lower($1)) > 0
        ), best as (
            select distinct on (customer_id, coalesce(contact_id, asset_id, site_id, customer_id)) * from hit
            order by customer_id, coalesce(contact_id, asset_id, site_id, customer_id), rank
        ), some_of as (select * from best order by rank, customer_id, contact_id, asset_id limit $4)
        select b.by, c.id as customer_id, c.name as customer_name, c.number as customer_number, c.tier,
            p.id as contact_id, p.name as contact_name, p.phone as contact_phone,
            s.id as site_id, s.name as site_name, s.address, a.id as asset_id, a.serial, a.model,
            (select count(*) from work_order o where o.org_id = c.org_id and o.customer_id = c.id
                and o.state not in ('closed', 'canceled'))::int as open_orders
        from some_of b join customer c on c.org_id = callout_org() and c.id = b.customer_id
        left join contact p on p.org_id = c.org_id and p.id = b.contact_id
        left join lateral (
            select * from site s where s.org_id = c.org_id and s.customer_id = c.id
              and (s.id = b.site_id or b.site_id is null) order by s.id limit 1) s on true
        left join asset a on a.org_id = c.org_id and a.id = b.asset_id
        order by b.rank, c.name, p.name, a.serial
        """,
        text,
        mostly_digits,
        digits,
        size,
    )
    return [Caller(**dict(row)) for row in rows]

"""Products: what they are called and how their serials are written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from callout_orders import checks
from callout_orders.checks import FieldRefused, Gather
from callout_orders.precheck import settings
from callout_orders.precheck import texts as _texts
from callout_orders.precheck.product_terms import Product, product
from callout_orders.precheck.text.serials import BadPattern, SerialPattern, compiled
from callout_orders.rows import Page, page_size, paged
from callout_store.errors import LimitExceeded, NotFound, StaleRevision
from callout_store.ids import new_id
from callout_store.work import Work

PRODUCTS_MAX: Final = 2000
NAMES_MAX: Final = 30
_CODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,59}")
assert _texts.PATHS


class NewProduct(msgspec.Struct, frozen=True, kw_only=True):
    """`names` are further words for it, the models of its assets among them; `serial_pattern` as in `serials`."""

    code: str
    name_en: str
    name_zh: str
    names: tuple[str, ...] = ()
    serial_pattern: str | None = None
    serial_example: str | None = None
    active: bool = True


class ProductView(msgspec.Struct, frozen=True, kw_only=True):
    """A product as it is kept."""

    id: UUID
    code: str
    name_en: str
    name_zh: str
    names: list[str]
    serial_pattern: str | None
    serial_example: str | None
    active: bool
    revision: int
    updated_at: datetime


_COLUMNS: Final = ", ".join(ProductView.__struct_fields__)


async def save_product(work: Work, new: NewProduct, revision: int | None = None) -> ProductView:
    """Make the product with this code, or change it; the same again changes nothing. All that is wrong is said at once.

    A pattern that could be slow, or that its own example does not fit, is refused.
    """
    given = _checked(new)
    await settings.words_changed(work)
    before = await work.fetchrow(
        f"select {_COLUMNS} from product where org_id = callout_org() and code = $1 for no key update",
        given.code,
    )
    if before is not None:
        old = _view(before)
        if revision is not None and revision != old.revision:
            raise StaleRevision(entity="product", current=old.revision, given=revision)
        if all(
            getattr(given, name) == (tuple(old.names) if name == "names" else getattr(old, name))
            for name in given.__struct_fields__
        ):
            return old
    elif (
        count := await work.fetchval("select count(*) from product where org_id = callout_org()")
    ) >= PRODUCTS_MAX:
        raise LimitExceeded(what="products", limit=PRODUCTS_MAX, given=count + 1, path="code")
    row = await work.fetchrow(
        f"""
        insert into product (id, code, name_en, name_zh, names, serial_pattern, serial_example, active, updated_at,
            updated_by)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        on conflict (org_id, code) do update set name_en = $3, name_zh = $4, names = $5, serial_pattern = $6,
            serial_example = $7, active = $8, updated_at = $9, updated_by = $10, revision = product.revision + 1
        returning {_COLUMNS}
        """,
        new_id(),
        given.code,
        given.name_en,
        given.name_zh,
        list(given.names),
        given.serial_pattern,
        given.serial_example,
        given.active,
        work.now,
        work.actor.user_id,
    )
    assert row is not None
    view = _view(row)
    await settings.note(
        work, "product.saved", {"code": view.code, "revision": view.revision, "active": view.active}, view.id
    )
    return view


async def products_page(
    work: Work, *, active: bool | None = True, after: UUID | None = None, limit: int = 50
) -> Page[ProductView]:
    """Products, newest first."""
    size = page_size(limit)
    rows = await work.fetch(
        f"""
        select {_COLUMNS} from product
        where org_id = callout_org() and ($1::boolean is null or active = $1) and ($2::uuid is null or id < $2)
        order by id desc limit $3
        """,
        active,
        after,
        size + 1,
    )
    return paged([_view(row) for row in rows], size)


async def product_by_code(work: Work, code: str) -> ProductView:
    """The product with this code. Raises NotFound."""
    row = await work.fetchrow(
        f"select {_COLUMNS} from product where org_id = callout_org() and code = $1", code
    )
    if row is None:
        raise NotFound(entity="product", path="code")
    return _view(row)


async def active_products(work: Work) -> tuple[Product, ...]:
    """The active products as the rules see them, by code."""
    rows = await work.fetch(
        f"select {_COLUMNS} from product where org_id = callout_org() and active order by code limit {PRODUCTS_MAX}"
    )
    return tuple(
        product(
            row["code"],
            row["name_en"],
            row["name_zh"],
            names=row["names"],
            pattern=row["serial_pattern"],
            example=row["serial_example"],
        )
        for row in rows
    )


def _view(row: object) -> ProductView:
    return msgspec.convert(dict(row), ProductView)  # type: ignore[call-overload]


def _checked(new: NewProduct) -> NewProduct:
    gather = Gather()
    code, name_en, name_zh, example = new.code.strip(), new.name_en, new.name_zh, None
    names: list[str] = []
    pattern: SerialPattern | None = None
    with gather:
        if not _CODE.fullmatch(code):
            raise FieldRefused("code", "product_code")
    with gather:
        name_en = checks.text("nameEn", new.name_en)
    with gather:
        name_zh = checks.text("nameZh", new.name_zh)
    with gather:
        names = _names(new.names)
    with gather:
        pattern = _pattern(new.serial_pattern)
    with gather:
        example = checks.optional_text("serialExample", new.serial_example, chars_max=80)
    if pattern is not None and example is not None:
        with gather:
            if pattern.fit(example) is None:
                raise FieldRefused("serialExample", "pattern_example")
    gather.settle()
    return NewProduct(
        code=code,
        name_en=name_en,
        name_zh=name_zh,
        names=tuple(names),
        serial_pattern=pattern.text if pattern else None,
        serial_example=example,
        active=new.active,
    )


def _names(given: Sequence[str]) -> list[str]:
    if len(given) > NAMES_MAX:
        raise LimitExceeded(what="names of a product", limit=NAMES_MAX, given=len(given), path="names")
    return list(dict.fromkeys(checks.text(f"names.{n}", name, chars_max=80) for n, name in enumerate(given)))


def _pattern(given: str | None) -> SerialPattern | None:
    text = checks.optional_text("serialPattern", given, chars_max=1000)
    if text is None:
        return None
    try:
        return compiled(text)
    except BadPattern as fault:
        raise FieldRefused("serialPattern", fault.reason, at=fault.at + 1, given=fault.given) from None

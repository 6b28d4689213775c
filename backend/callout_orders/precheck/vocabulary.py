"""What the pre-check of an organisation works with: settings, products and keywords, kept in memory while they stay."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final
from uuid import UUID

import msgspec

from callout_orders.precheck import keywords, products, settings
from callout_orders.precheck.product_terms import Product
from callout_orders.precheck.settings import Settings
from callout_orders.precheck.text.tags import Tagger
from callout_store.work import Work

KEPT_MAX: Final = 100
"""Organisations whose words a process keeps."""


class Vocabulary(msgspec.Struct, frozen=True, kw_only=True):
    """Settings, products and keywords of one organisation."""

    settings: Settings
    products: tuple[Product, ...]
    tagger: Tagger


_kept: OrderedDict[UUID, tuple[int, tuple[Product, ...], Tagger]] = OrderedDict()


async def vocabulary(work: Work) -> Vocabulary:
    """The organisation's words: one small statement where nothing changed since this process read them."""
    now = await settings.stored(work)
    if now.words_revision == 0:
        return Vocabulary(settings=now.settings, products=(), tagger=keywords.BUILT_IN_TAGGER)
    kept = _kept.get(work.org_id)
    if kept is None or kept[0] != now.words_revision:
        kept = now.words_revision, await products.active_products(work), await keywords.tagger(work)
        _kept[work.org_id] = kept
        if len(_kept) > KEPT_MAX:
            _kept.popitem(last=False)
    _kept.move_to_end(work.org_id)
    return Vocabulary(settings=now.settings, products=kept[1], tagger=kept[2])

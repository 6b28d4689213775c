"""What somebody asks for by a form that makes nobody a customer: an order where they are known, else a matter for the desk.

Anybody may type in anybody's telephone number. Whoever sends is told the same in both cases, that it arrived, and no number
by which the two could be told apart; who is known hears of the order where the house has their address from.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from callout_orders.channels import files
from callout_orders.channels.conversations import draft_rows
from callout_orders.channels.conversations.talk import Facts
from callout_orders.channels.terms import Account
from callout_orders.checks import FieldRefused
from callout_orders.precheck import matching, settings
from callout_orders.precheck.taking import take
from callout_orders.precheck.terms import Request, fault_of
from callout_orders.precheck.texts import PATHS
from callout_store.work import Work


async def are_told(work: Work, account: Account, channel: str) -> bool:
    """Whether whoever sends gets an order in any case, and so may be told its number."""
    if account.may_create is not None:
        return account.may_create
    return (await settings.stored(work)).settings.channel(channel).create


async def arrive(work: Work, account: Account, request: Request, file_ids: Sequence[UUID]) -> bool:
    """Take the order, or keep what was asked for the desk; whether it was there before. Raises everything that is wrong.

    `request` is a stranger's and has one reference, under which the same again is the same.
    """
    ((_, reference),) = request.references
    if await draft_rows.is_there(work, account.id, reference):
        return True
    try:
        taken = await take(work, request)
    except FieldRefused as fault:
        if fault.details.get("reason") != matching.UNKNOWN:
            raise
        # `take` holds the reference by now: of two that are sent at once the second sees the first one's.
        if await draft_rows.is_there(work, account.id, reference):
            return True
        draft = await draft_rows.begin(
            work,
            account,
            peer=request.contact_phone or request.contact_email or request.contact_name or "",
            thread=reference,
            reference=reference,
            locale=request.locale,
            facts=_facts(request),
        )
        await draft_rows.store(work, draft, [draft_rows.kept(fault_of(fault))])
        await draft_rows.give_to_desk(work, draft, "unknown_customer")
        await files.to_draft(work, file_ids, draft.id)
        return False
    await files.to_order(work, file_ids, taken.id)
    return taken.existing


def _facts(request: Request) -> Facts:
    given = {path: getattr(request, name) for name, path in PATHS.items() if name != "description"}
    given |= {"customerName": request.customer_name}
    given |= {f"fields.{code}": _text(value) for code, value in request.fields.items()}
    return Facts(
        texts=(request.description,),
        values={path: value for path, value in given.items() if value},
        kind=request.kind,
    )


def _text(value: Any) -> str:
    """A field's value as somebody would type it: see `typed`."""
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)

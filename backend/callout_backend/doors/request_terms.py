"""What a customer's form is, and what is sent by it: account and kinds, the sender's key, what the pre-check is asked."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_backend.doors.identity import organisation_at
from callout_backend.doors.pages import CUSTOMER, AnyRequest, database_of
from callout_orders import checks
from callout_orders.channels import accounts
from callout_orders.channels.refusals import FormClosed
from callout_orders.channels.terms import Account
from callout_orders.kinds import versions
from callout_orders.kinds.terms import Kind
from callout_orders.precheck.terms import Request as Asked
from callout_orders.terms import Channel
from callout_people.organisations import Organisation
from callout_store.errors import BadField
from callout_store.ids import new_secret

KEY: Final = re.compile(r"[A-Za-z0-9_-]{16,80}")
"""Whoever knows it is shown the order that it led to: it is random, and long."""


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """An organisation's form: its account, and the kinds that may be chosen."""

    organisation: Organisation
    account: Account
    kinds: tuple[Kind, ...]

    def kind(self, code: str | None) -> Kind:
        """The kind with this code, else the account's, else the first."""
        wanted = (code, self.account.default_kind)
        return next((k for one in wanted for k in self.kinds if k.code == one), self.kinds[0])


class Sent(msgspec.Struct, rename="camel", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is sent, as JSON. `key`: 16 to 80 characters of the sender's own; the same again leads to the same order.
    `files`: ids that `POST /r/{organisation}/files?key=…` answered."""

    description: str = ""
    key: str | None = None
    kind: str | None = None
    contact_name: str | None = None
    contact_phone: str | None = None
    contact_email: str | None = None
    customer_name: str | None = None
    address: str | None = None
    serial: str | None = None
    product: str | None = None
    error_code: str | None = None
    fields: dict[str, Any] = {}
    files: list[UUID] = []
    website: str = ""
    locale: str | None = None


async def form_of(request: AnyRequest) -> Form:
    """The form of the organisation that the address names. Raises FormClosed."""
    db = database_of(request)
    organisation = await organisation_at(db, request.path_params["slug"])
    if organisation is None:
        raise FormClosed()
    async with db.work(organisation.id, actor=CUSTOMER) as work:
        account = await accounts.form_account(work)
        active = await versions.active(work)
    if account is None:
        raise FormClosed()
    wanted = account.settings.get("kinds") or list(active)
    kinds = tuple(active[code].kind for code in wanted if code in active)
    if not kinds:
        raise FormClosed()
    return Form(organisation=organisation, account=account, kinds=kinds)


def asked_of(
    form: Form,
    kind: Kind,
    values: Mapping[str, Any],
    own: Mapping[str, Any],
    key: str,
    locale: str,
    *,
    explicit: str | None,
) -> Asked:
    """What the pre-check is asked: `values` by their names in a form or in JSON, `own` those of the kind's fields. `explicit`
    is the kind that was chosen. Raises BadField for one that the form does not offer."""
    account = form.account
    if explicit is not None:
        checks.one_of("kind", explicit, frozenset(one.code for one in form.kinds))

    def text(camel: str, snake: str) -> str | None:
        found = values.get(camel) if camel in values else values.get(snake)
        return found or None

    return Asked(
        channel=Channel.WEB_FORM.value,
        description=str(values.get("description") or ""),
        kind=explicit or account.default_kind,
        priority=account.default_priority,
        locale=locale,
        contact_name=text("contactName", "contact_name"),
        contact_phone=text("contactPhone", "contact_phone"),
        contact_email=text("contactEmail", "contact_email"),
        customer_name=text("customerName", "customer_name"),
        address=text("address", "address"),
        serial=text("serial", "serial"),
        product=text("product", "product"),
        error_code=text("errorCode", "error_code"),
        fields={code: value for code, value in own.items() if value is not None},
        references=((account.code, hashlib.sha256(key.encode()).hexdigest()),),
        may_create=account.may_create,
        # Anybody may know a telephone number or a serial: the answer tells nothing of whom they lead to.
        stranger=True,
    )


def key_of(given: str | None, *, needed: bool = False) -> str:
    """The sender's key, a new one where none was given and none is needed. Raises BadField."""
    if not given and not needed:
        return new_secret(24)
    if not given or not KEY.fullmatch(given):
        raise BadField(
            path="key", why="it is 16 to 80 letters, digits, hyphens and underscores, made at random"
        )
    return given


def holder_of(key: str) -> str:
    """Who holds the files that were sent under a key."""
    return f"form:{hashlib.sha256(key.encode()).hexdigest()}"

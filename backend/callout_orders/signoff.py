"""Sign-off: what was done, put before the customer, and the customer's signature under it.

A link's token is `base64url(organisation) . 256-bit secret`: the first half only says whose row-level
security to open, the second proves the right to sign. Only its SHA-256 is stored. Looking at a link consumes
nothing; signing does, in one atomic UPDATE, so that of a hundred simultaneous signatures one is stored.

What was signed is canonical JSON. Its text and its SHA-256 stand on the link and again beside the signature.
"""

import asyncio
import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import msgspec

from callout_orders import checks, strokes
from callout_orders.canonical import canonical, sha256
from callout_store import link_tokens
from callout_store.errors import (
    LimitExceeded,
    NotFound,
    SignOffLinkExpired,
    SignOffLinkInvalid,
    SignOffLinkUsed,
)
from callout_store.ids import new_id
from callout_store.journal import Entry, write
from callout_store.work import Work

TTL_DEFAULT = timedelta(hours=72)
SUMMARY_CHARS_MAX = 40_000
DECISIONS = frozenset({"accept", "object"})
LOCALES = frozenset({"en", "zh"})
REASON_CHARS_MAX = 1000
BULK_MAX = 1000


LinkState = Literal["valid", "used", "expired", "unknown"]


class LinkView(msgspec.Struct, frozen=True, kw_only=True):
    """A link as its page needs it; everything but `state` is empty where it is unknown.

    `summary` is decoded for showing, `summary_sha256` (hex) is the hash of its canonical text.
    """

    state: LinkState
    locale: str | None = None
    order_id: UUID | None = None
    visit_id: UUID | None = None
    summary: dict[str, Any] | None = None
    summary_sha256: str | None = None
    expires_at: datetime | None = None
    used_at: datetime | None = None


class SignOff(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """What the customer sends. An objection needs its reason; `rating` is 1..5; strokes hold [x, y, t] with x
    and y in 0..1 of the pad and t in milliseconds. No stroke means: signed by the typed name alone."""

    signer_name: str
    decision: str
    reason: str | None = None
    rating: int | None = None
    strokes: list[list[tuple[float, float, float]]] = []


class Consumed(msgspec.Struct, frozen=True, kw_only=True):
    """A link that was signed with. `event_id` is the id that the on-site event `customer_signed` takes."""

    order_id: UUID
    visit_id: UUID
    event_id: UUID
    signature_id: UUID
    signer_name: str
    decision: str
    reason: str | None
    rating: int | None
    summary_sha256: str


class SignatureRow(msgspec.Struct, frozen=True, kw_only=True):
    """A signature collected on an engineer's phone; `summary` is the text as the customer saw it."""

    event_id: UUID
    order_id: UUID
    visit_id: UUID
    signer_name: str
    decision: str
    summary: str
    strokes: Sequence[Sequence[Sequence[float]]]
    signed_at: datetime
    reason: str | None = None
    rating: int | None = None


def organisation_of(token: str) -> UUID:
    """The organisation whose link this claims to be; `SignOffLinkInvalid` where it is no token at all."""
    org_id = link_tokens.organisation_of(token)
    if org_id is None:
        raise SignOffLinkInvalid
    return org_id


async def create_link(
    work: Work,
    visit_id: UUID,
    order_id: UUID,
    summary: Mapping[str, Any],
    locale: str = "en",
    created_by: UUID | None = None,
    ttl: timedelta = TTL_DEFAULT,
) -> str:
    """A fresh token for this visit, to be shown once; older unused links of the visit expire at this moment.

    `summary` may hold texts, whole numbers, booleans, lists and objects (see `canonical`).
    """
    text = canonical(summary)
    if len(text) > SUMMARY_CHARS_MAX:
        raise LimitExceeded(what="summary", limit=SUMMARY_CHARS_MAX, given=len(text), path="summary")
    checks.one_of("locale", locale, LOCALES)
    if not await work.fetchval("select true from work_order where id = $1", order_id):
        raise NotFound(entity="work order", path="orderId")
    # Two simultaneous calls take turns, so that one link stays open and not both. Not by the order's row: the link's
    # foreign key asks for the visit's, and whoever reports on a visit takes the visit first and the order second.
    await work.execute(
        "select pg_advisory_xact_lock(hashtextextended('callout.sign_off:' || callout_org() || ':' || $1::text, 0))",
        str(visit_id),
    )
    # A link that is locked is being signed with at this moment: it is not waited for.
    await work.execute(
        """
        update sign_off_link set expires_at = $2 where id in (
            select id from sign_off_link where visit_id = $1 and used_at is null and expires_at > $2
            for update skip locked)
        """,
        visit_id,
        work.now,
    )
    token = link_tokens.new_token(work.org_id)
    link_id = new_id()
    await work.execute(
        """
        insert into sign_off_link (id, order_id, visit_id, token_hash, locale, summary, summary_sha256, created_at,
            expires_at, created_by)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        """,
        link_id,
        order_id,
        visit_id,
        link_tokens.digest(token),
        locale,
        text,
        sha256(text),
        work.now,
        work.now + ttl,
        created_by,
    )
    await write(
        work,
        Entry(
            kind="sign_off.link_created",
            entity="sign_off_link",
            entity_id=link_id,
            order_id=order_id,
            visit_id=visit_id,
            data={"expiresAt": work.now + ttl, "summarySha256": sha256(text).hex()},
        ),
    )
    return token


async def open_link(work: Work, token: str) -> LinkView:
    """How a link stands, and what it would sign. Changes nothing."""
    row = await work.fetchrow(
        """
        select order_id, visit_id, locale, summary, summary_sha256, expires_at, used_at
        from sign_off_link where token_hash = $1
        """,
        link_tokens.digest(token),
    )
    if row is None:
        return LinkView(state="unknown")
    state: LinkState = "valid"
    if row["used_at"] is not None:
        state = "used"
    elif row["expires_at"] <= work.now:
        state = "expired"
    return LinkView(
        state=state,
        locale=row["locale"],
        order_id=row["order_id"],
        visit_id=row["visit_id"],
        summary=msgspec.json.decode(row["summary"]),
        summary_sha256=row["summary_sha256"].hex(),
        expires_at=row["expires_at"],
        used_at=row["used_at"],
    )


async def consume(work: Work, token: str, sign_off: SignOff) -> Consumed:
    """Sign with a link: marks it used and stores the signature, once.

    Refused with `SignOffLinkInvalid`, `SignOffLinkExpired` or `SignOffLinkUsed`, or a `BadField` before
    anything is marked. The caller tells the visit (`callout_dispatch`) in the same unit of work.
    """
    given = _checked(sign_off)
    captured = strokes.checked("strokes", given.strokes)
    row = await work.fetchrow(
        """
        update sign_off_link set used_at = $2
        where token_hash = $1 and used_at is null and expires_at > $2
        returning id, order_id, visit_id, summary, summary_sha256
        """,
        link_tokens.digest(token),
        work.now,
    )
    if row is None:
        state = (await open_link(work, token)).state
        raise {"used": SignOffLinkUsed, "expired": SignOffLinkExpired}.get(state, SignOffLinkInvalid)()
    event_id, signature_id = new_id(), new_id()
    await _insert(
        work,
        [
            SignatureRow(
                event_id=event_id,
                order_id=row["order_id"],
                visit_id=row["visit_id"],
                signer_name=given.signer_name,
                decision=given.decision,
                reason=given.reason,
                rating=given.rating,
                strokes=captured,
                summary=row["summary"],
                signed_at=work.now,
            )
        ],
        [captured],
        ids=[signature_id],
        link_ids=[row["id"]],
    )
    return Consumed(
        order_id=row["order_id"],
        visit_id=row["visit_id"],
        event_id=event_id,
        signature_id=signature_id,
        signer_name=given.signer_name,
        decision=given.decision,
        reason=given.reason,
        rating=given.rating,
        summary_sha256=row["summary_sha256"].hex(),
    )


async def record_signatures(work: Work, rows: Sequence[SignatureRow]) -> list[UUID]:
    """Store signatures that phones collected, in one statement; returns the event ids that were new.

    A signature whose event is stored already is passed over. The hash is taken over `summary` exactly as it
    was shown. Refusals name `signatures.{index}.{field}`.
    """
    checks.batch("signatures", list(rows), limit=BULK_MAX)
    if not rows:
        return []
    captured = [strokes.checked(f"signatures.{i}.strokes", row.strokes) for i, row in enumerate(rows)]
    return await _insert(work, rows, captured, ids=[new_id() for _ in rows], link_ids=[None] * len(rows))


async def verify(work: Work, signature_id: UUID) -> bool:
    """Whether the stored text still has the stored hash, and for a link, whether the link shows the same."""
    row = await work.fetchrow(
        """
        select s.signed_summary, s.signed_sha256, coalesce(l.summary_sha256, s.signed_sha256) as shown
        from signature s left join sign_off_link l on l.org_id = s.org_id and l.id = s.link_id
        where s.id = $1
        """,
        signature_id,
    )
    if row is None:
        raise NotFound(entity="signature")
    actual = sha256(row["signed_summary"])
    return hmac.compare_digest(actual, row["signed_sha256"]) and hmac.compare_digest(actual, row["shown"])


def _checked(given: SignOff) -> SignOff:
    """The sign-off with trimmed texts."""
    decision = checks.one_of("decision", given.decision, DECISIONS)
    reason = checks.optional_text("reason", given.reason, chars_max=REASON_CHARS_MAX)
    if decision == "object" and reason is None:
        raise checks.FieldRefused("reason", "missing")
    if given.rating is not None:
        checks.whole("rating", given.rating, low=1, high=5)
    return msgspec.structs.replace(
        given,
        signer_name=checks.text("signerName", given.signer_name),
        decision=decision,
        reason=reason,
    )


async def _insert(
    work: Work,
    rows: Sequence[SignatureRow],
    captured: list[strokes.Strokes],
    *,
    ids: list[UUID],
    link_ids: list[UUID | None],
) -> list[UUID]:
    # Drawing takes milliseconds of processor time each: off the loop, on which every other request waits.
    pictures = await asyncio.to_thread(lambda: [strokes.png(one) for one in captured])
    stored = await work.fetch(
        """
        insert into signature (id, order_id, visit_id, link_id, event_id, decision, reason, signer_name, rating,
            strokes, png, signed_summary, signed_sha256, signed_at, received_at)
        select i, o, v, l, e, d, re, n, ra, st::jsonb, p, su, h, at, $15
        from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::text[], $7::text[], $8::text[],
            $9::int[], $10::text[], $11::bytea[], $12::text[], $13::bytea[], $14::timestamptz[])
            as t(i, o, v, l, e, d, re, n, ra, st, p, su, h, at)
        on conflict (org_id, event_id) do nothing
        returning id, event_id
        """,
        ids,
        [r.order_id for r in rows],
        [r.visit_id for r in rows],
        link_ids,
        [r.event_id for r in rows],
        [r.decision for r in rows],
        [r.reason for r in rows],
        [r.signer_name for r in rows],
        [r.rating for r in rows],
        [msgspec.json.encode(one).decode() for one in captured],
        pictures,
        [r.summary for r in rows],
        [sha256(r.summary) for r in rows],
        [r.signed_at for r in rows],
        work.now,
    )
    new = {row["event_id"]: row["id"] for row in stored}
    # A batch may hold one event twice; only the row that was stored speaks in the journal.
    kept = [
        (row, link)
        for row, id_, link in zip(rows, ids, link_ids, strict=True)
        if new.get(row.event_id) == id_
    ]
    await write(
        work,
        *(
            Entry(
                kind="visit.signed_off",
                entity="visit",
                entity_id=row.visit_id,
                order_id=row.order_id,
                visit_id=row.visit_id,
                data={
                    "signatureId": new[row.event_id],
                    "decision": row.decision,
                    "rating": row.rating,
                    "reason": row.reason,
                    "summarySha256": sha256(row.summary).hex(),
                    "via": "phone" if link is None else "link",
                },
            )
            for row, link in kept
        ),
    )
    return [row.event_id for row, _ in kept]

"""The worker's part in an import: batch after batch, each a transaction, until no row waits.

A sheet may take minutes, a message of the outbox has 45 seconds: the channel's handler is a `Long` one, whose lease is
renewed while it runs. Harmless twice: rows that were settled no longer wait, and an order is found again by its reference.
"""

import contextlib
from typing import Final
from uuid import UUID

import structlog

from callout_backend.jobs.drain import Long
from callout_dispatch import reading
from callout_orders.imports import batches, runs
from callout_orders.imports.refusals import SheetRefused
from callout_people.users import users_by_ids
from callout_store.errors import Refusal
from callout_store.outbox import Claimed, Hopeless
from callout_store.work import Actor, Database

log = structlog.get_logger(__name__)

DEADLINE_S: Final = 3 * 3600.0
TRIES: Final = 3
"""A sheet that breaks three workers shall not break a fourth."""


def import_handler(*, rows: int = batches.ROWS) -> Long:
    """The channel `import.run`."""

    async def handle(db: Database, item: Claimed) -> None:
        try:
            id_ = UUID(item.payload["importId"])
        except (KeyError, ValueError) as fault:
            raise Hopeless(f"names no import: {fault!r}") from fault
        begun = await db.run(item.org_id, lambda work: runs.take_up(work, id_, item.lease_token))
        if begun is None:
            return
        with contextlib.suppress(runs.LostRun):
            try:
                await _work_off(db, item, begun, rows)
            except Refusal as refusal:
                if refusal.retryable and item.attempt < TRIES:
                    raise
                code = refusal.code
                if isinstance(refusal, SheetRefused):
                    code = str(refusal.details.get("reason", code))
                await db.run(item.org_id, lambda work: runs.fail(work, id_, item.lease_token, code))
            except runs.LostRun:
                raise
            except Exception:
                if item.attempt < TRIES:
                    raise
                log.exception("import_broke", run=str(id_))
                await db.run(item.org_id, lambda work: runs.fail(work, id_, item.lease_token, "INTERNAL"))

    return Long(handle, DEADLINE_S)


async def watch_import(db: Database, item: Claimed) -> None:
    """Somebody should have an import in hand. Harmless twice: what is owed already is not owed again."""
    try:
        key, epoch = str(item.payload["timerKey"]), int(item.payload["timerEpoch"])
        id_ = UUID(item.payload["importId"])
    except (KeyError, ValueError, TypeError) as fault:
        raise Hopeless(f"not a timer of an import: {fault!r}") from fault
    if await db.run(item.org_id, lambda work: runs.watch(work, id_, key=key, epoch=epoch)):
        log.warning("import_taken_up_again", run=str(id_))


async def _work_off(db: Database, item: Claimed, run: runs.Run, rows: int) -> None:
    actor = await _actor(db, item, run)
    async with db.work(item.org_id) as work:
        skills = frozenset(skill.code for skill in await reading.skills(work))
    while await db.run(
        item.org_id,
        lambda work: batches.step(work, run.id, item.lease_token, skills=skills, rows=rows),
        actor=actor,
    ):
        pass


async def _actor(db: Database, item: Claimed, run: runs.Run) -> Actor:
    """In whose name the orders are made: whoever began the import."""
    if run.created_by is None:
        return Actor(locale=run.locale)
    async with db.work(item.org_id) as work:
        (user,) = await users_by_ids(work, [run.created_by])
    role = user.role.value if user is not None else "system"
    return Actor(user_id=run.created_by, role=role, locale=run.locale)

"""The pre-check of a sheet of requests: the same answers as one by one, in a handful of statements for hundreds.

Requests of a sheet may speak of each other: the second one of a new customer finds the first one's, and may be its
duplicate. Such a request waits for the next wave, in which it finds what the waves before have made. A request that breaks
what is done for all of them is looked for by halves, and what it raised stands in its place.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

import asyncpg

from callout_orders import intake
from callout_orders.kinds import versions
from callout_orders.precheck import looking, lookup, making, taking
from callout_orders.precheck.alike import links, search
from callout_orders.precheck.alike.apart import Apart
from callout_orders.precheck.looking import Begun, Look
from callout_orders.precheck.terms import Checked, Request, Taken
from callout_orders.precheck.vocabulary import Vocabulary, vocabulary
from callout_store.errors import AlreadyExists, Refusal
from callout_store.work import Work

T = TypeVar("T")

WAVE_SHARE: Final = 12
"""Where fewer than one in so many requests of a wave could go on, the others are taken one by one."""
OF_THE_DATABASE: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.OperatorInterventionError,
    asyncpg.LockNotAvailableError,
    asyncpg.InsufficientResourcesError,
    OSError,
)
"""What no request is to blame for."""


async def check_many(
    work: Work, requests: Sequence[Request], *, possible: bool = True
) -> list[Checked | Exception]:
    """What `taking.check` says of each, as if it came alone; what it raises stands in the place of its answer.

    `possible`: whether duplicates are looked for where none would be linked.
    """
    return await _halved(work, requests, _check, possible)


async def take_many(
    work: Work, requests: Sequence[Request], *, possible: bool = True
) -> list[Taken | Exception]:
    """What `taking.take` does with one after the other; what it raises stands in the place of its answer, and leaves
    nothing behind. Numbers of orders need not be in the order of the requests. `possible`: whether duplicates are looked
    for where none would be linked. Raises what no request is to blame for.
    """
    return await _halved(work, requests, _take, possible)


async def _halved(
    work: Work,
    requests: Sequence[Request],
    act: Callable[[Work, Sequence[Request], bool], Awaitable[list[T | Exception]]],
    possible: bool,
) -> list[T | Exception]:
    if not requests:
        return []
    try:
        async with work.savepoint():
            return await act(work, requests, possible)
    except OF_THE_DATABASE:
        raise
    except Exception as fault:
        if isinstance(fault, Refusal) and fault.retryable:
            raise
        if len(requests) == 1:
            return [fault]
    middle = len(requests) // 2
    return [
        *await _halved(work, requests[:middle], act, possible),
        *await _halved(work, requests[middle:], act, possible),
    ]


async def _check(work: Work, requests: Sequence[Request], possible: bool) -> list[Checked | Exception]:
    if len(requests) == 1:
        return [await taking.check(work, requests[0])]
    existing = await _existing(work, requests)
    answers: list[Checked | Exception | None] = [
        looking.already(request, one) if isinstance(one, Taken) else one
        for request, one in zip(requests, existing, strict=True)
    ]
    words = await vocabulary(work)
    kinds = await versions.active(work)
    open_ = [n for n, answer in enumerate(answers) if answer is None]
    begun = [looking.begin(requests[n], words, kinds) for n in open_]
    for n, look in zip(open_, await _look(work, begun, words, possible), strict=True):
        answers[n] = looking.checked(look) if isinstance(look, Look) else look
    return [answer for answer in answers if answer is not None]


async def _take(work: Work, requests: Sequence[Request], possible: bool) -> list[Taken | Exception]:
    if len(requests) == 1:
        return [await taking.take(work, requests[0])]
    words = await vocabulary(work)
    kinds = await versions.active(work)
    begun = [looking.begin(request, words, kinds) for request in requests]
    await taking.hold(work, [one.request for one in begun])
    answers: list[Taken | Exception | None] = list(await _existing(work, requests))
    waits = [n for n, answer in enumerate(answers) if answer is None]
    while waits:
        looks = await _look(work, [begun[n] for n in waits], words, possible, lock=True)
        wave: list[int] = []
        later: list[int] = []
        ready: list[Look] = []
        apart = Apart(words.settings.duplicates, work.now, possible=possible)
        for n, look in zip(waits, looks, strict=True):
            if isinstance(look, Exception):
                if apart.answered(requests[n]):
                    later.append(n)
                else:
                    answers[n] = look
            elif not apart.fits(look):
                later.append(n)
            elif look.gather.faults:
                answers[n] = _fault_of(look)
            else:
                wave.append(n)
                ready.append(look)
        for n, taken in zip(wave, await _make(work, ready), strict=True):
            answers[n] = taken
        if later and (len(waits) - len(later)) * WAVE_SHARE < len(waits):
            for n in later:
                (answers[n],) = await _halved(work, [requests[n]], _take, possible)
            break
        # What came in with an earlier wave answers those with the same reference.
        for n, one in zip(later, await _existing(work, [requests[n] for n in later]), strict=True):
            answers[n] = one
        waits = [n for n in later if answers[n] is None]
    return [answer for answer in answers if answer is not None]


def _fault_of(look: Look) -> Exception:
    try:
        look.gather.settle()
    except Refusal as fault:
        return fault
    raise AssertionError("a form without faults")


async def _look(
    work: Work, begun: Sequence[Begun], words: Vocabulary, possible: bool, *, lock: bool = False
) -> list[Look | Exception]:
    if not begun:
        return []
    matched = await lookup.match(work, [one.compared for one in begun])
    if lock:
        # Of two orders of one customer at once, the second finds the first one.
        await work.execute(
            "select from customer where org_id = callout_org() and id = any($1) order by id for no key update",
            [one.known.customer_id for one in matched if not isinstance(one, Exception)],
        )
    looks: list[Look | Exception] = [
        who if isinstance(who, Exception) else looking.judge(one, who, words, work.now)
        for one, who in zip(begun, matched, strict=True)
    ]
    judged = [
        (look, one.given)
        for look, one in zip(looks, begun, strict=True)
        if isinstance(look, Look) and (possible or looking.links(look))
    ]
    near = await search.candidates_of(
        work,
        [looking.traits(look, work.now) for look, _ in judged],
        words.settings.duplicates,
        own=[given.own_customer_ids for _, given in judged],
    )
    for (look, _), duplicates in zip(judged, near, strict=True):
        look.duplicates = duplicates
    return looks


async def _make(work: Work, looks: Sequence[Look]) -> list[Taken]:
    if not looks:
        return []
    knowns = await making.make(work, looks)
    twins = await making.twins(work, looks)
    orders = [
        looking.order_of(look, known, twin.order_id if twin else None)
        for look, known, twin in zip(looks, knowns, twins, strict=True)
    ]
    refs = await intake.create_orders(work, orders)
    linked = [(ref.id, twin) for ref, twin in zip(refs, twins, strict=True) if twin is not None]
    if linked:
        await links.linked(work, linked, automatic=True)
    return [
        looking.taken(look, known, ref, order, twin)
        for look, known, ref, order, twin in zip(looks, knowns, refs, orders, twins, strict=True)
    ]


async def _existing(work: Work, requests: Sequence[Request]) -> list[Taken | AlreadyExists | None]:
    """What `taking.existing` says of each; one statement."""
    given = [
        (n, system.strip(), reference.strip())
        for n, request in enumerate(requests)
        for system, reference in request.references
    ]
    found: list[dict[Any, Any]] = [{} for _ in requests]
    if given:
        rows = await work.fetch(
            f"""
            select t.n, {taking.EXISTING}
            from unnest($1::int[], $2::text[], $3::text[]) as t(n, system, reference)
            join external_reference r
                on r.org_id = callout_org() and r.system = t.system and r.reference = t.reference
            join work_order o on o.org_id = r.org_id and o.id = r.order_id
            left join work_order d on d.org_id = o.org_id and d.id = o.duplicate_of_id
            """,
            [n for n, _, _ in given],
            [system for _, system, _ in given],
            [reference for _, _, reference in given],
        )
        for row in rows:
            values = dict(row)
            found[values.pop("n")][row["id"]] = values
    answers: list[Taken | AlreadyExists | None] = []
    for request, orders in zip(requests, found, strict=True):
        try:
            answers.append(taking.one_existing(request, list(orders.values())))
        except AlreadyExists as fault:
            answers.append(fault)
    return answers

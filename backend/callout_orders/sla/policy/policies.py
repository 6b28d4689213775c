"""An organisation's SLA policies, kept as versions (`callout_orders.versioned`); orders keep the one they came in under."""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_orders import checks
from callout_orders.sla.policy.body import read
from callout_orders.sla.policy.terms import STANDARD, SlaPolicy, to_json
from callout_orders.versioned import Document
from callout_store.errors import NotFound
from callout_store.work import Work

NOTE_MAX: Final = 400
KEPT_MAX: Final = 500
KEPT: Final = Document(
    table="sla_policy",
    settings="sla_setting",
    entity="sla_policy",
    kind="sla_policy",
    noun="SLA policy",
    house=lambda: (STANDARD.name, to_json(STANDARD)),
)
active_version, get, versions_page, activate = KEPT.active_version, KEPT.get, KEPT.page, KEPT.activate

_kept: OrderedDict[tuple[UUID, int], SlaPolicy] = OrderedDict()
"""Versions that this process has read before: a version never changes."""


async def of_versions(work: Work, numbers: Iterable[int]) -> dict[int, SlaPolicy]:
    """These versions of the organisation's policy, 0 being the house's own. Raises NotFound for one that is not there."""
    wanted = set(numbers)
    found = {0: STANDARD} if 0 in wanted else {}
    for n in wanted - {0}:
        if (kept := _kept.get((work.org_id, n))) is not None:
            _kept.move_to_end((work.org_id, n))
            found[n] = kept
    missing = sorted(wanted - set(found))
    if missing:
        rows = await work.fetch(
            "select version, body::text as body from sla_policy where org_id = callout_org() and version = any($1)",
            missing,
        )
        for row in rows:
            read = msgspec.json.decode(row["body"], type=SlaPolicy)
            found[row["version"]] = msgspec.structs.replace(read, version=row["version"])
        # Not before the commit: a version that is undone leaves its number to another one.
        work.after_commit(functools.partial(_keep, work.org_id, [found[row["version"]] for row in rows]))
        if len(rows) < len(missing):
            raise NotFound(entity="SLA policy", path="version")
    return found


async def _keep(org_id: UUID, policies: list[SlaPolicy]) -> None:
    for policy in policies:
        _kept[(org_id, policy.version)] = policy
    while len(_kept) > KEPT_MAX:
        _kept.popitem(last=False)


async def active(work: Work) -> SlaPolicy:
    """The policy under which new orders come in; the house's own until another one was activated."""
    n = await KEPT.active_version(work)
    return (await of_versions(work, [n]))[n]


async def save(work: Work, body: Mapping[str, Any], *, note: str = "", activate: bool = False) -> int:
    """Store a policy as the next version and, where asked, take orders in by it from now on; its version.

    Raises BadField, or FieldsRefused with every fault, each with its place in the JSON.
    """
    gather = checks.Gather()
    policy, why = STANDARD, ""
    with gather:
        policy = read(body)
    with gather:
        why = checks.text("note", note, chars_max=NOTE_MAX, blank=True)
    gather.settle()
    return await KEPT.save(work, name=policy.name, body=to_json(policy), note=why, activate=activate)

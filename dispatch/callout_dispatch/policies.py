"""An organisation's scheduling policies, kept as versions (`callout_orders.versioned`); decisions name theirs."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from callout_dispatch import policy_body
from callout_dispatch.policy import STANDARD, Policy, to_json
from callout_dispatch.texts import REASON_MAX, checked_line
from callout_orders.versioned import Document
from callout_store.work import Work

KEPT: Final = Document(
    table="scheduling_policy",
    settings="dispatch_setting",
    entity="scheduling_policy",
    kind="policy",
    noun="scheduling policy",
    house=lambda: (STANDARD.name, to_json(STANDARD)),
)
active_version, get, versions_page, activate = KEPT.active_version, KEPT.get, KEPT.page, KEPT.activate


async def active(work: Work) -> Policy:
    """The policy by which the organisation decides now; the house's own (version 0) until it activated one."""
    row = await work.fetchrow(
        """
        select p.version, p.body::text as body from dispatch_setting s
        join scheduling_policy p on p.org_id = s.org_id and p.version = s.policy_version
        where s.org_id = callout_org()
        """
    )
    return STANDARD if row is None else _policy(row["version"], row["body"])


async def version(work: Work, n: int) -> Policy:
    """One version of the organisation's policy, 0 being the house's own; NotFound when there is none."""
    return STANDARD if n == 0 else _policy(n, await KEPT.body(work, n))


async def save(work: Work, body: Mapping[str, Any], *, note: str = "", activate: bool = False) -> int:
    """Store a policy as the next version and, where asked, decide by it from now on; its version.

    What `body` leaves out is as in the house's own. Raises BadField with the place in the JSON.
    """
    policy = policy_body.read(body)
    name = checked_line("body.name", policy.name, limit=Policy.NAME_MAX)
    why = checked_line("note", note, limit=REASON_MAX, blank=True)
    whole = to_json(msgspec.structs.replace(policy, name=name))
    return await KEPT.save(work, name=name, body=whole, note=why, activate=activate)


def _policy(n: int, body: str) -> Policy:
    return msgspec.structs.replace(msgspec.json.decode(body, type=Policy), version=n)

"""A customer's tier changes, and with it what was promised for the orders that run."""

from uuid import UUID

from callout_orders import checks
from callout_orders.intake import lock_counter
from callout_orders.sla import milestones
from callout_orders.sla.policy.terms import TIERS
from callout_orders.terms import FINAL
from callout_store.errors import NotFound
from callout_store.journal import Entry, write, write_many
from callout_store.work import Work


async def change_tier(work: Work, customer_id: UUID, tier: str, reason: str = "") -> int:
    """Give a customer another tier; how many running orders have another promise by it. The same tier again changes nothing.

    Each running order's promise is looked up anew in its own policy version and counts from creation, with all pauses.
    """
    gather = checks.Gather()
    with gather:
        checks.one_of("tier", tier, frozenset(TIERS))
    with gather:
        reason = checks.text("reason", reason, chars_max=1000, blank=True)
    gather.settle()
    # The customer before the counter, as whoever takes in an order holds them.
    before = await work.fetchval(
        "select tier from customer where org_id = callout_org() and id = $1 for no key update", customer_id
    )
    if before is None:
        raise NotFound(entity="customer", path="customerId")
    if before == tier:
        return 0
    # Nobody takes in an order meanwhile: it would be promised what the old tier is promised, and nobody would look again.
    await lock_counter(work)
    orders = await work.fetch(
        """
        select id, number from work_order
        where org_id = callout_org() and customer_id = $1 and not state = any($2) order by id for no key update
        """,
        customer_id,
        [state.value for state in FINAL],
    )
    await work.execute(
        "update customer set tier = $2 where org_id = callout_org() and id = $1", customer_id, tier
    )
    change = {"from": before, "to": tier, "reason": reason}
    await write(
        work,
        Entry(kind="customer.tier_changed", entity="customer", entity_id=customer_id, data=change),
    )
    await write_many(
        work,
        [
            Entry(
                kind="work_order.tier_changed",
                entity="work_order",
                entity_id=row["id"],
                order_id=row["id"],
                data={"number": row["number"], **change},
            )
            for row in orders
        ],
    )
    changed = await milestones.recompute(work, [row["id"] for row in orders], "tier")
    return len(changed)

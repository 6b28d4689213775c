"""Approval rules in CEL: an evaluation of ours beside one by `cel-python`, on the same rules and values."""

import json
import statistics
import subprocess
import time
from typing import Any

from desk_report import Row, peer, spread, verdict
from peer_python import PEERS

from callout_orders.kinds import expressions
from callout_orders.kinds.library import built_in

RULES = {
    "fields.repair_cost > 500": "fields.repair_cost > 500.0",
    "order.priority == 'P0' && fields.repair_cost > 500 || order.tier == 'gold' && size(order.tags) > 2": (
        "order.priority == 'P0' && fields.repair_cost > 500.0 || order.tier == 'gold' && size(order.tags) > 2"
    ),
}
"""Ours, and as the peer takes it: it compares no decimal number with a whole one."""
TIMES = 2_000
TIMES_PEER = 100
TARGET_MS = 0.1
ANCHOR = "the anchor's: 35 µs against 3,068 µs"


def rows() -> list[Row]:
    """A row for each rule."""
    kind = built_in()["repair"]
    env = expressions.environment(
        kind,
        order={
            "priority": "P0",
            "tier": "gold",
            "tags": ["leak", "pump", "cellar"],
            "visits": 1,
            "state": "new",
        },
        fields={"fault_cause": "worn seal", "repair_cost": 750.5},
    )
    theirs, why = _peer(env)
    found = []
    for n, rule in enumerate(RULES):
        began = time.perf_counter()
        # As no other text is written: it is compiled now.
        answer = expressions.holds(f" {rule} ", env)
        first_ms = (time.perf_counter() - began) * 1000
        spent: list[float] = []
        for _ in range(TIMES):
            began = time.perf_counter()
            answer &= expressions.holds(rule, env)
            spent.append((time.perf_counter() - began) * 1000)
        mid = statistics.median(spent)
        row = Row(
            work=f"rule: {rule}",
            ours=f"{spread_us(spent)}; first time {first_ms:.2f} ms; answers {answer}",
            target=f"<= {TARGET_MS * 1000:g} µs ({ANCHOR})",
            verdict=verdict(mid <= TARGET_MS),
            beside=f"cel-python {why}",
            more={"ours_us": mid * 1000, "first_ms": first_ms},
        )
        if theirs is not None:
            side = theirs[n]
            row.beside = (
                f"cel-python {side['version']}: {spread_us(side['spent_ms'])}; first time {side['first_ms']:.1f} ms; "
                f"answers {side['answer']}"
            )
            row.ratio = f"{statistics.median(side['spent_ms']) / mid:.0f} x"
            row.more["peer_us"] = statistics.median(side["spent_ms"]) * 1000
        found.append(row)
    return found


def spread_us(spent_ms: list[float]) -> str:
    """`spread` in microseconds."""
    return spread([ms * 1000 for ms in spent_ms]).replace(" ms", " µs")


def _peer(env: dict[str, Any]) -> tuple[list[dict[str, Any]] | None, str]:
    python, why = peer("desk_cel")
    if python is None:
        return None, why
    asked = {"rules": list(RULES.values()), "env": env, "times": TIMES_PEER}
    done = subprocess.run(
        [str(python), str(PEERS / "desk_cel.py")],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=120,
    )
    if done.returncode:
        return None, f"failed: {done.stderr[-200:]}"
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found, ""

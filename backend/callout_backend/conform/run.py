"""Runs the checks in order, and says what came of each."""

import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, Literal

import httpx
import msgspec

from callout_backend.conform.ask import Refused
from callout_backend.conform.bench import Bench, Failed, Skipped
from callout_backend.conform.check import Check
from callout_backend.conform.checks_devices import ENROLMENT, WIPE
from callout_backend.conform.checks_uploads import UPLOADS
from callout_backend.conform.checks_wire import OUTCOMES, WIRE
from callout_backend.conform.play import Player
from callout_contracts import golden

TIMEOUT_S: Final = 60.0


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a check; `why` for one that was skipped is a key of the texts."""

    id: str
    says: str
    verdict: Literal["pass", "fail", "skip"]
    expected: str | None = None
    came: str | None = None
    why: str | None = None
    ms: int


def all_checks() -> list[Check]:
    """Every check there is: the written ones and one for each of the servers' golden vectors."""
    vectors = [
        Check(id=vector["id"], says=vector["says"], act=partial(_play, vector))
        for group in golden.SERVER.values()
        for vector in group
    ]
    return [*ENROLMENT, *vectors, *OUTCOMES, *UPLOADS, *WIRE, *WIPE]


async def _play(vector: dict[str, object], bench: Bench) -> None:
    await Player(bench, vector).play()


def chosen(only: Sequence[str]) -> list[Check]:
    """Those whose id begins with one of these; all where none is named."""
    return [check for check in all_checks() if not only or check.id.startswith(tuple(only))]


async def run(
    url: str,
    prepare: Callable[[Bench], Awaitable[None]],
    *,
    organisation: str,
    checks: Sequence[Check],
    told: Callable[[Result], None],
) -> list[Result]:
    """Run the checks against a server; `prepare` signs in or enrols. Clears away whatever happens."""
    limits = httpx.Limits(max_connections=20)
    async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT_S, limits=limits) as client:
        bench = Bench(client, organisation)
        await prepare(bench)
        results = []
        try:
            for check in checks:
                results.append(await one(check, bench))
                told(results[-1])
        finally:
            await bench.clear_away()
        return results


async def one(check: Check, bench: Bench) -> Result:
    """One check. Whatever it stumbles over is a failure of the server's, not of the run."""
    began = time.monotonic()

    def result(verdict: Literal["pass", "fail", "skip"], **more: str) -> Result:
        ms = round((time.monotonic() - began) * 1000)
        return Result(id=check.id, says=check.says, verdict=verdict, ms=ms, **more)

    try:
        await check.act(bench)
    except Failed as failed:
        return result("fail", expected=failed.expected, came=failed.came[:500])
    except Skipped as skipped:
        return result("skip", why=skipped.why)
    except Refused as refused:
        return result("fail", expected="no refusal", came=f"{refused} {refused.told}"[:500])
    except (httpx.HTTPError, OSError) as fault:
        return result("fail", expected="an answer", came=f"{type(fault).__name__} {fault}"[:500])
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as fault:
        # An answer of another shape than the protocol's.
        return result(
            "fail", expected="an answer of the protocol's shape", came=f"{type(fault).__name__}: {fault}"
        )
    return result("pass")

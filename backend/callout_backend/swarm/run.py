"""The swarm's days, on servers of its own, and what is told about them."""

import asyncio
import contextlib
import random
import shutil
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import asyncpg
import httpx
import msgspec
from rich.console import Console
from rich.table import Table

from callout_backend.demo.fast import LOOPBACK, READY_SECONDS, free_ports, wait_until_ready
from callout_backend.embedded import EmbeddedServers
from callout_backend.house import callout, child_environment
from callout_backend.jobs.drain import drain
from callout_backend.jobs.handlers import make_handlers
from callout_backend.migrations import migrate
from callout_backend.settings import Settings, SettingsError
from callout_backend.supervise import Child, Supervisor
from callout_backend.swarm.field import LOADED, Field
from callout_backend.swarm.judge import Verdict, judge
from callout_backend.swarm.roamer import Roamer
from callout_backend.swarm.texts import TEXTS, words
from callout_backend.texts import say
from callout_backend.wiring import make_database
from callout_client import HttpTransport
from callout_store.clock import FastClock
from callout_store.work import Database
from callout_sync import again, devices, scope

DEVICES_MAX, DAYS_MAX, VISITS_MAX = 5000, 366, 12
AT_ONCE: Final = 24
"""Phones that play at the same time; the others wait for their turn of the same day."""
APIS: Final = 2
DEVICE_DAY_S: Final = 0.02
"""What a phone's day takes on a small machine: so fast passes the servers' clock."""
QUIET_ROUNDS: Final = 12
KILL_EVERY_DAYS: Final = 3
CRASH_EVERY_DAYS: Final = 10


def main(
    *,
    devices: int = 500,
    days: int = 30,
    visits: int = 2,
    seed: int = 1,
    photos: bool = True,
    crashes: bool = True,
    json: Path | None = None,
    console: Console | None = None,
) -> int:
    """Play and tell; 1 when anything was lost, doubled, or differs."""
    for name, value, most in (
        ("devices", devices, DEVICES_MAX),
        ("days", days, DAYS_MAX),
        ("visits", visits, VISITS_MAX),
    ):
        if not 1 <= value <= most:
            raise SettingsError(f"--{name}", str(value), f"a whole number from 1 to {most}")
    console = console or Console(stderr=True)
    if json is not None:
        # Now, and not after an hour.
        try:
            json.parent.mkdir(parents=True, exist_ok=True)
            json.touch()
        except OSError as fault:
            raise SettingsError(
                "--json", str(json), f"a file that can be written ({fault.strerror})"
            ) from None
    folder = Path(tempfile.mkdtemp(prefix="callout-swarm-"))
    # Servers that root starts run as another user, who must be let through.
    folder.chmod(0o711)
    try:
        with EmbeddedServers(folder / "data") as servers, Supervisor(folder / "data") as children:
            urls = servers.urls
            assert urls.owner is not None
            settings = replace(
                Settings(data=folder / "data"), database_url=urls.database, redis_url=urls.redis, pool_max=20
            )
            swarm = Swarm(settings, urls.owner, servers if crashes else None, children, folder, console)
            told = asyncio.run(
                swarm.play(devices=devices, days=days, visits=visits, seed=seed, photos=photos)
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    show(console, told)
    if json is not None:
        json.write_bytes(msgspec.json.format(msgspec.json.encode(told), indent=1))
    return 0 if told["clean"] else 1


class Swarm:
    """One play."""

    def __init__(
        self,
        settings: Settings,
        owner_url: str,
        servers: EmbeddedServers | None,
        children: Supervisor,
        folder: Path,
        console: Console,
    ) -> None:
        self.settings, self.owner_url, self.servers = settings, owner_url, servers
        self.children, self.folder, self.console = children, folder, console
        self.troubles: Counter[str] = Counter()
        self.seconds: dict[str, float] = {}

    async def play(self, *, devices: int, days: int, visits: int, seed: int, photos: bool) -> dict[str, Any]:
        """From an empty database to the verdict."""
        await migrate(self.owner_url)
        rng = random.Random(f"{seed}:field")
        starts = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(
            days=days + 1
        )
        speed = min(90_000.0, 86_400 / (devices * DEVICE_DAY_S + 1.0))
        clock = FastClock(starts, datetime.now(UTC) + timedelta(seconds=3 + devices * 0.06), speed)
        db = make_database(self.settings, clock=clock)
        await db.start()
        try:
            field = Field(db, rng)
            await field.found(devices)
            async with self._apis(clock) as wires:
                phones = self.folder / "phones"
                phones.mkdir()
                roamers = [
                    Roamer(
                        seat,
                        wires[seat.number % APIS],
                        phones,
                        seed=f"{seed}:{seat.number}",
                        photos=photos,
                        now=starts,
                    )
                    for seat in field.seats
                ]
                await self._enrol(db, field, roamers)
                await self._analyze()
                began = time.monotonic()
                await self._days(field, roamers, starts, days, visits, rng)
                self.seconds["played"] = time.monotonic() - began
                before = _totals(roamers)
                swept_at = await self._settle(db, field, roamers, starts + timedelta(days=days))
                self.seconds["settled"] = time.monotonic() - began - self.seconds["played"]
                verdict = await judge(db, field.org_id, roamers, loaded=LOADED, swept_at=swept_at)
                self.seconds["judged"] = time.monotonic() - began - sum(self.seconds.values())
        finally:
            await db.stop()
        return self._tell(devices, days, seed, verdict, field, roamers, before)

    async def _enrol(self, db: Database, field: Field, roamers: Sequence[Roamer]) -> None:
        async def one(roamer: Roamer) -> None:
            async with db.work(field.org_id, actor=field.office) as work:
                made = await devices.create_enrolment_code(work, roamer.seat.user_id)
            await roamer.enrol(field.slug, made.code)

        await _each(roamers, one)

    async def _days(
        self,
        field: Field,
        roamers: Sequence[Roamer],
        starts: datetime,
        days: int,
        visits: int,
        rng: random.Random,
    ) -> None:
        with self.console.status("") as status:
            for number in range(days):
                day = starts + timedelta(days=number)
                status.update(f"{day.date()}  {number + 1}/{days}")
                await field.plan_day(day, visits)
                trouble = asyncio.create_task(self._trouble(number, rng))
                await asyncio.gather(
                    _each(rng.sample(roamers, len(roamers)), lambda roamer, d=day: roamer.day(d)),
                    field.change_day(max(1, len(roamers) // 10)),
                    trouble,
                )
                if number == 0:
                    await self._analyze()

    async def _trouble(self, day: int, rng: random.Random) -> None:
        """In the middle of a day a process of the API is killed, or the database crashes and comes back."""
        if self.servers is None:
            return
        await asyncio.sleep(rng.uniform(0.1, 1.0))
        if day % KILL_EVERY_DAYS == 1:
            number = rng.randrange(APIS)
            self._api_children[number].process.kill()
            self._forget_api(number)
            await asyncio.sleep(0.3)
            self._start_api(number)
            self.troubles["API processes killed"] += 1
        if day % CRASH_EVERY_DAYS == 4:
            await asyncio.to_thread(self.servers.postgres.immediate_restart)
            self.troubles["PostgreSQL crashes"] += 1
        await self._keep_up()

    async def _keep_up(self) -> None:
        """Start what ended by itself again, as a service manager does, until all answer: an API that starts while the
        database does not answer ends at once."""
        async with asyncio.timeout(READY_SECONDS):
            for number, client in enumerate(self._clients):
                while True:
                    if self._api_children[number].process.poll() is not None:
                        self._forget_api(number)
                        self._start_api(number)
                    with contextlib.suppress(httpx.TransportError):
                        if (await client.get("/healthz")).status_code == 200:
                            break
                    await asyncio.sleep(0.1)

    async def _settle(self, db: Database, field: Field, roamers: Sequence[Roamer], now: datetime) -> datetime:
        """A good network: what is queued is sent, what was held is forced, pictures are looked at, all is pulled.

        The instant of the last sweep of what phones hold.
        """
        await _each(roamers, lambda roamer: roamer.come_home(now))
        async with db.work(field.org_id, actor=field.office) as work:
            waiting = await work.fetch(
                "select distinct device_id from held_command where org_id = callout_org() and state = 'held'"
            )
        for row in waiting:
            await again.force(
                db, org_id=field.org_id, device_id=row["device_id"], actor=field.office, everything=True
            )
            self.troubles["phones with commands forced"] += 1
        handlers = make_handlers(self.settings)
        while await drain(db, handlers):
            pass
        swept_at = await self._sweep(db, field)
        for _ in range(QUIET_ROUNDS):
            counts = [0]

            async def one(roamer: Roamer, counts: list[int] = counts) -> None:
                counts[0] += await roamer.settle()

            await _each(roamers, one)
            if not counts[0]:
                break
            await asyncio.sleep(0.2)
        return swept_at

    async def _sweep(self, db: Database, field: Field) -> datetime:
        """Let visits whose window has passed leave the phones; the instant as of which none is left."""
        while True:
            async with db.work(field.org_id) as work:
                swept_at: datetime = await work.fetchval("select now()")
                if not await scope.sweep(work):
                    return swept_at

    # ------------------------------------------------------------------------------------------- servers

    @contextlib.asynccontextmanager
    async def _apis(self, clock: FastClock) -> AsyncIterator[list[HttpTransport]]:
        self._clock, self._ports = clock, free_ports(APIS)
        self._api_children: dict[int, Child] = {}
        for number in range(APIS):
            self._start_api(number)
        async with contextlib.AsyncExitStack() as stack:
            self._clients = [
                await stack.enter_async_context(
                    httpx.AsyncClient(
                        base_url=f"http://{LOOPBACK}:{port}",
                        timeout=30,
                        limits=httpx.Limits(max_connections=AT_ONCE),
                        trust_env=False,
                    )
                )
                for port in self._ports
            ]
            await wait_until_ready(self._clients, self.children)
            yield [HttpTransport(client) for client in self._clients]

    def _start_api(self, number: int) -> None:
        own = replace(
            self.settings,
            host=LOOPBACK,
            port=self._ports[number],
            workers=1,
            clock=self._clock.spell(),
            log_level="error",
            pool_max=10,
        )
        self._api_children[number] = self.children.start(
            f"swarm-api-{number + 1}", callout("serve", "--workers", "1"), child_environment(own)
        )

    def _forget_api(self, number: int) -> None:
        self._api_children[number].process.wait()
        self.children.children.remove(self._api_children[number])

    async def _analyze(self) -> None:
        connection = await asyncpg.connect(self.owner_url)
        try:
            await connection.execute("analyze")
        finally:
            await connection.close()

    # ------------------------------------------------------------------------------------------- telling

    def _tell(
        self,
        devices: int,
        days: int,
        seed: int,
        verdict: Verdict,
        field: Field,
        roamers: Sequence[Roamer],
        played: Counter[str],
    ) -> dict[str, Any]:
        laps = sorted(lap for roamer in roamers for lap in roamer.laps_s)
        cuts = statistics.quantiles(laps, n=100) if len(laps) > 1 else [0.0] * 99
        answered = sum(count for name, count in played.items() if name.startswith("answered "))
        seconds = max(self.seconds["played"], 1e-9)
        faults: Counter[str] = Counter()
        for roamer in roamers:
            faults.update(roamer.network.counts)
        totals = _totals(roamers)
        totals.update(self.troubles)
        return {
            "devices": devices,
            "days": days,
            "seed": seed,
            "clean": verdict.clean,
            "verdict": msgspec.to_builtins(verdict),
            "network": dict(faults),
            "phones": dict(totals),
            "office": dict(field.counts),
            "refused": dict(field.refused),
            "rates": {
                "commands_per_s": round(answered / seconds, 1),
                "documents_per_s": round(played["documents"] / seconds, 1),
                "sync_ms": {
                    name: round(cuts[at - 1] * 1000, 1)
                    for name, at in (("p50", 50), ("p95", 95), ("p99", 99))
                },
            },
            "seconds": {name: round(value, 1) for name, value in self.seconds.items()},
        }


def show(console: Console, told: dict[str, Any]) -> None:
    """The table."""
    verdict, rates = told["verdict"], told["rates"]
    copies = verdict["copies"]
    rows = {
        "commands": f"{verdict['commands']:,}",
        "became": f"{verdict['events']:,} / {verdict['quarantined']:,} / {verdict['edits']:,}",
        "lost": str(verdict["lost"]),
        "doubled": str(verdict["doubled"]),
        "wrong": f"{verdict['from_nowhere']} / {verdict['stock_wrong']}",
        "pictures": f"{verdict['pictures']} / {verdict['pictures_lost']}",
        "copies": f"{copies['documents']:,} / {copies['lost'] + copies['extra'] + copies['stale']}",
        "faults": words(told["network"]),
        "troubles": words(
            {k: v for k, v in told["phones"].items() if not k.startswith("answered ") and k != "documents"}
        ),
        "office": words(told["office"]),
        "rates": f"{rates['commands_per_s']:,}, {rates['documents_per_s']:,}",
        "laps": ", ".join(str(rates["sync_ms"][name]) for name in ("p50", "p95", "p99")),
        "seconds": ", ".join(f"{value:.0f}" for value in told["seconds"].values()),
    }
    locale = say.locale()
    title = TEXTS["title"][locale].format(**{name: told[name] for name in ("devices", "days", "seed")})
    table = Table(title=title, show_header=False)
    for name, value in rows.items():
        bad = name in ("lost", "doubled") and value != "0"
        table.add_row(TEXTS[name][locale], value, style="red" if bad else None)
    console.print(table)
    for sample in (*verdict["samples"], *copies["samples"]):
        console.print(sample, style="red", soft_wrap=True)


def _totals(roamers: Sequence[Roamer]) -> Counter[str]:
    totals: Counter[str] = Counter()
    for roamer in roamers:
        totals.update(roamer.counts)
    return totals


async def _each(roamers: Sequence[Roamer], act: Any) -> None:
    """`act` on each phone, so many at once; the first failure ends all."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(roamer: Roamer) -> None:
        async with room:
            await act(roamer)

    async with asyncio.TaskGroup() as group:
        for roamer in roamers:
            group.create_task(one(roamer))

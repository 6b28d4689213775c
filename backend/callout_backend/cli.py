"""The `callout` command. Heavy modules are imported where they are used, so that help comes at once."""

import asyncio
import contextlib
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from callout_backend.conform.cli import conform
from callout_backend.flow_cli import flow
from callout_backend.settings import Settings, SettingsError

app = App(name="callout", help="Field service: orders, dispatch, and engineers' phones that work offline.")

app.command(conform)
app.command(flow)

Workers = Annotated[int | None, Parameter(help="Processes; default CALLOUT_WORKERS.")]


@app.command
def run(*, demo: bool = True) -> int:
    """Start everything on this machine: servers, migrations, API, worker; play the demo the first time; serve.

    Parameters
    ----------
    demo
        Load and play the demo, if this database has not seen it.
    """
    from callout_backend.house import keep_house

    return keep_house(Settings.from_env(), demo=[] if demo else None, serve_on=True)


@app.command
def serve(*, workers: Workers = None) -> None:
    """Serve the API."""
    import uvicorn

    from callout_backend.house import refuse_taken_port, servers_for
    from callout_backend.ops import logs, multiprocess
    from callout_backend.reach import refuse_unreachable

    settings = Settings.from_env()
    count = settings.workers if workers is None else workers
    if not 1 <= count <= 64:
        raise SettingsError("--workers", str(count), "a whole number from 1 to 64")
    _end_tidily()
    refuse_taken_port(settings)
    _need_data_folder(settings)
    with servers_for(settings) as full:
        # Before there are processes, which uvicorn would start again and again.
        refuse_unreachable(full.database_url or "")
        # How uvicorn's own processes learn the settings; the owner's login is not for them.
        os.environ.update(replace(full, migrate_url=None).environment())
        if count > 1:
            multiprocess.prepare(full.data / "metrics")
        logs.configure("console" if full.log_format == "console" else "json", level=full.log_level.upper())
        uvicorn.run(
            "callout_backend.app:create_app",
            factory=True,
            host=full.host,
            port=full.port,
            workers=count,
            # Their own access log would carry whole URLs, sign-off tokens included.
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=10,
            ws_ping_interval=20,
            ws_ping_timeout=20,
            ws_max_size=full.body_bytes_max,
        )


@app.command
def worker() -> None:
    """Run the worker: timers, webhooks and whatever else is owed."""
    from callout_backend.house import servers_for
    from callout_backend.jobs.worker import main as work
    from callout_backend.ops import logs
    from callout_backend.reach import refuse_unreachable

    settings = Settings.from_env()
    _end_tidily()
    with servers_for(settings) as full:
        refuse_unreachable(full.database_url or "")
        logs.configure("console" if full.log_format == "console" else "json", level=full.log_level.upper())
        asyncio.run(work(full))


@app.command
def migrate() -> None:
    """Bring the database to the newest version (as CALLOUT_MIGRATE_URL, else DATABASE_URL)."""
    from callout_backend.house import servers_for
    from callout_backend.migrations import migrate as forwards
    from callout_backend.reach import refuse_unreachable
    from callout_backend.texts import say

    _end_tidily()
    settings = Settings.from_env()
    with contextlib.ExitStack() as stack:
        # A database that is given needs none of our servers; above all it must not be mistaken for the embedded one.
        if settings.owner_url is None:
            settings = stack.enter_context(servers_for(settings))
        if settings.owner_url is None:
            raise SettingsError("DATABASE_URL", "", "a URL of the database to migrate")
        refuse_unreachable(settings.owner_url)
        for done in asyncio.run(forwards(settings.owner_url)):
            print(done)
        print(say("migrated"))


@app.command
def demo(
    *,
    seed: int | None = None,
    orders: int | None = None,
    engineers: int | None = None,
    speed: float | None = None,
    json: Path | None = None,
    serve: bool = True,
) -> int:
    """Import the demo's orders, dispatch them and play a day of real phones against the API.

    Uses the API that runs at HOST and PORT; where none does, starts everything as `callout run` would.

    Parameters
    ----------
    seed
        Repeats a run's random choices.
    orders
        How many orders of the file are played.
    engineers
        How many engineers, each with a phone.
    speed
        How many times faster than life the day passes.
    json
        File that the numbers are written to.
    serve
        Go on serving after the day (only where the API was started by this command).
    """
    from callout_backend.embedded import running_urls
    from callout_backend.house import answers, keep_house, servers_for

    settings = Settings.from_env()
    given: dict[str, Any] = {
        "seed": seed,
        "orders": orders,
        "engineers": engineers,
        "speed": speed,
        "json": json,
    }
    chosen = {name: value for name, value in given.items() if value is not None}
    # Whoever answers at our address without our servers running is somebody else: starting says so.
    strange = settings.database_url is None and running_urls(settings.data) is None
    if strange or not answers(settings):
        arguments = [part for name, value in chosen.items() for part in (f"--{name}", str(value))]
        return keep_house(settings, demo=arguments, serve_on=serve)
    from callout_backend.demo import main as play
    from callout_backend.ops import logs

    _end_tidily()
    with servers_for(settings) as full:
        logs.configure("console" if full.log_format == "console" else "json", level="WARNING")
        return asyncio.run(play(full, **chosen))


@app.command
def swarm(
    *,
    devices: int = 500,
    days: int = 30,
    visits: int = 2,
    seed: int = 1,
    photos: bool = True,
    crashes: bool = True,
    json: Path | None = None,
) -> int:
    """Let many phones work for many days on a network that fails in every way; say what was lost or doubled.

    Runs on servers of its own in a temporary folder, which are removed at the end. Exit code 1 if anything was lost,
    doubled, or a phone's copy differs from the tables.

    Parameters
    ----------
    devices
        Phones, each with an engineer.
    days
        Days that they work.
    visits
        Visits of a phone a day.
    seed
        Repeats a run's random choices.
    photos
        Take pictures and upload them.
    crashes
        Kill API processes and crash the database now and then.
    json
        File that the figures are written to.
    """
    from callout_backend.ops import logs
    from callout_backend.swarm import main as play

    # Ended half-way is no clean run.
    _end_tidily(code=128 + signal.SIGTERM)
    logs.configure("console", level="ERROR")
    return play(
        devices=devices, days=days, visits=visits, seed=seed, photos=photos, crashes=crashes, json=json
    )


@app.command
def organisation(
    slug: str,
    *,
    name: str,
    admin_email: str,
    admin_name: str = "Admin",
    time_zone: str = "UTC",
    locale: str = "en",
) -> None:
    """Make an organisation and its first admin; the password is asked for, or read from standard input.

    Parameters
    ----------
    slug
        What its people type when they sign in: small letters, digits and dashes.
    name
        Its name, as customers read it.
    admin_email
        The admin's login.
    time_zone
        An IANA name, such as Asia/Shanghai.
    locale
        en or zh.
    """
    from callout_backend import admin

    _end_tidily()
    password = admin.ask_password()
    org_id = admin.run(
        Settings.from_env(),
        lambda db: admin.make_organisation(
            db,
            slug=slug,
            name=name,
            time_zone=time_zone,
            locale=locale,
            admin_email=admin_email,
            admin_name=admin_name,
            password=password,
        ),
    )
    print(org_id)


@app.command
def user(slug: str, email: str, *, name: str, role: str, locale: str = "en") -> None:
    """Make a user of an organisation; the password is asked for, or read from standard input; empty means none.

    Parameters
    ----------
    slug
        The organisation's.
    role
        admin, dispatcher, supervisor, engineer or customer_contact.
    locale
        en or zh.
    """
    from callout_backend import admin
    from callout_people.principals import Role

    # Other systems are made with their first key.
    roles = [one.value for one in Role if one is not Role.INTEGRATION]
    if role not in roles:
        raise SettingsError("--role", role, ", ".join(roles))
    _end_tidily()
    password = admin.ask_password()
    user_id = admin.run(
        Settings.from_env(),
        lambda db: admin.make_user(
            db, slug=slug, email=email, name=name, role=Role(role), locale=locale, password=password
        ),
    )
    print(user_id)


@app.command
def dead_letters(*, replay: bool = False, limit: int = 1000) -> None:
    """Print messages that were given up, one JSON object a line; the worker logged why.

    Parameters
    ----------
    replay
        Have those printed tried again, with fresh attempts.
    limit
        At most so many, the oldest first.
    """
    import msgspec

    from callout_backend import admin
    from callout_store.work import Database

    async def act(db: Database) -> None:
        letters = await admin.dead_letters(db, limit=limit)
        for letter in letters:
            print(msgspec.json.encode(letter).decode())
        if replay and letters:
            await admin.replay(db, letters)

    _end_tidily()
    admin.run(Settings.from_env(), act)


@app.command
def doctor() -> int:
    """Say what is wrong with this installation, and how to mend it. Exit code 1 if anything is."""
    from callout_backend.doctor import examine

    return examine()


def main() -> None:
    """The command's entry point: plain sentences instead of stack traces for what a person can mend."""
    from callout_backend.embedded.processes import EmbeddedError
    from callout_backend.reach import Unreachable
    from callout_backend.texts import say
    from callout_store.errors import Refusal

    try:
        result = app()
    except (SettingsError, EmbeddedError, Unreachable) as fault:
        print(f"callout: {fault}", file=sys.stderr)
        sys.exit(1)
    except Refusal as refusal:
        print(f"callout: {refusal.message(say.locale())} ({refusal.code})", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(result if isinstance(result, int) else 0)


def _need_data_folder(settings: Settings) -> None:
    """The signing key and the processes' metrics are kept there."""
    try:
        settings.data.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise SettingsError(
            "CALLOUT_DATA",
            f"{settings.data.absolute()} ({fault.strerror})",
            "a folder this user may write to",
        ) from fault
    if not os.access(settings.data, os.W_OK | os.X_OK):
        raise SettingsError("CALLOUT_DATA", str(settings.data.absolute()), "a folder this user may write to")


def _end_tidily(code: int = 0) -> None:
    """SIGTERM unwinds the stack, so that servers started for this command are ended with it; `code` is the exit code."""

    def leave(_number: int, _frame: object) -> None:
        raise SystemExit(code)

    signal.signal(signal.SIGTERM, leave)

"""`callout run` and `callout demo`: everything on one machine, from empty folder to a served day.

Order of starting: data folder's lock, servers, migrations, serve, worker, demo. Order of ending: the reverse.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from callout_backend.embedded import EmbeddedError, EmbeddedServers, running_urls
from callout_backend.embedded.processes import LOOPBACK, tail
from callout_backend.reach import refuse_unreachable
from callout_backend.settings import Settings, signing_secret
from callout_backend.supervise import Supervisor
from callout_backend.texts import say

READY_SECONDS = 60.0
DEMO_FILE = "demo.json"
"""Written into the data folder by the demo when it has ended well: `logins` and `links` for the box below."""


class Stopped(BaseException):
    """Somebody asked us to end: Ctrl-C, SIGTERM, or the terminal was closed."""


@contextlib.contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Turn the first signal into `Stopped`; later ones do not disturb the tidy end."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def first(number: int, _frame: object) -> None:
        for other in numbers:
            signal.signal(other, signal.SIG_IGN)
        raise Stopped(number)

    before = {number: signal.signal(number, first) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def servers_for(settings: Settings) -> Iterator[Settings]:
    """Settings whose URLs lead to servers: given ones, those of a `callout run` beside us, or our own while we run."""
    postgres, redis = settings.needs_embedded()
    if not (postgres or redis):
        yield settings
        return
    urls = running_urls(settings.data)
    if urls is not None and not (postgres and urls.database is None) and not (redis and urls.redis is None):
        yield settings.with_urls(database=urls.database, owner=urls.owner, redis=urls.redis)
        return
    with embedded_for(settings) as own:
        yield settings.with_urls(database=own.urls.database, owner=own.urls.owner, redis=own.urls.redis)


def embedded_for(settings: Settings) -> EmbeddedServers:
    """The servers that the settings do not give; with both given, only the data folder's lock is taken."""
    postgres, redis = settings.needs_embedded()
    return EmbeddedServers(
        settings.data, with_postgres=postgres, with_redis=redis, server_user=settings.server_user
    )


def keep_house(settings: Settings, *, demo: Sequence[str] | None, serve_on: bool) -> int:
    """Start everything, play the demo with these arguments (None: none), serve until told to end.

    A demo that this database has seen with the same arguments is only shown again, by the demo itself.
    `serve_on=False` ends after the demo with its exit code.
    """
    from callout_backend.migrations import migrate

    console = Console(stderr=True)
    with stopped_by_signals():
        try:
            with embedded_for(settings) as servers, Supervisor(settings.data) as children:
                children.end_leftovers()
                refuse_taken_port(settings)
                for note in servers.notes:
                    console.print(note, style="yellow", soft_wrap=True)
                urls = servers.urls
                full = settings.with_urls(database=urls.database, owner=urls.owner, redis=urls.redis)
                if demo is not None:
                    # Invented people must not be written to: their numbers and addresses may be somebody's.
                    full = replace(full, notices=settings.notices or "sink")
                console.print(say("migrating"))
                if full.owner_url is None:
                    raise EmbeddedError("There is no database to migrate.")
                refuse_unreachable(full.owner_url)
                asyncio.run(migrate(full.owner_url))
                environment = child_environment(full)
                # The owner's login is for migrations; what faces the network does not hold it.
                modest = {name: value for name, value in environment.items() if name != "CALLOUT_MIGRATE_URL"}
                children.start("serve", callout("serve"), modest)
                children.start("worker", callout("worker"), modest)
                wait_until_served(full, children)
                if demo is not None:
                    console.print(say("playing"))
                    played = children.start("demo", [*callout("demo"), *demo], environment, on_terminal=True)
                    code = children.finish(played)
                    if code != 0 or not serve_on:
                        return code
                show_box(full, Console())
                watch(children)
        except Stopped:
            console.print(say("ended"))
            return 0
    raise AssertionError("unreachable")


def callout(*arguments: str) -> list[str]:
    """The command line of one of our own programs, in the interpreter that runs now."""
    return [sys.executable, "-m", "callout_backend", *arguments]


def child_environment(settings: Settings) -> dict[str, str]:
    """Our environment with the settings spelled out; the signing key stays in its file."""
    signing_secret(settings)
    absolute = {"CALLOUT_DATA": str(settings.data.absolute())}
    return {**os.environ, **settings.environment(), **absolute}


def refuse_taken_port(settings: Settings) -> None:
    """Say at once that the port is taken, instead of after a minute of preparations."""
    import socket

    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as fault:
            raise EmbeddedError(
                f"HOST={settings.host} PORT={settings.port} cannot be listened on: {fault.strerror}."
                f" Choose another: PORT={settings.port + 1 if settings.port < 65535 else 8000} make run"
            ) from fault


def answers(settings: Settings) -> bool:
    """Whether an API answers at the settings' address."""
    host = LOOPBACK if settings.host in ("0.0.0.0", "::") else settings.host
    host = f"[{host}]" if ":" in host else host
    # Not through a proxy of the environment: this is about our own machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{host}:{settings.port}/healthz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError, ValueError):
        return False


def wait_until_served(settings: Settings, children: Supervisor) -> None:
    """Until the API answers; a child that ends first is shown with its last words."""
    deadline = time.monotonic() + READY_SECONDS
    while not answers(settings):
        ended = children.ended()
        if ended is not None:
            raise EmbeddedError(ended.explain())
        if time.monotonic() > deadline:
            log = settings.data / "logs" / "serve.log"
            raise EmbeddedError(
                f"The API does not answer after {READY_SECONDS:.0f} s. The end of {log}:\n{tail(log)}"
            )
        time.sleep(0.05)


def watch(children: Supervisor) -> None:
    """Stay until a signal comes, or a child ends unasked."""
    while True:
        ended = children.ended()
        if ended is not None:
            raise EmbeddedError(ended.explain())
        time.sleep(0.3)


def show_box(settings: Settings, console: Console) -> None:
    """URLs and logins, those that the demo wrote down included."""
    grid = Table.grid(padding=(0, 2))
    grid.add_row(say("page"), Text(settings.base_url + "/", style="cyan"))
    told = read_demo(settings.data / DEMO_FILE)
    slug = told.get("organisation")
    # The page reads the organisation from its address, so that e-mail and password are all there is to type.
    page = f"{settings.base_url}/graphql" + (f"?org={slug}" if slug else "")
    grid.add_row("GraphQL", Text(page, style="cyan", overflow="fold"))
    grid.add_row(say("state"), Text(f"{settings.base_url}/readyz  {settings.base_url}/metrics", style="cyan"))
    if slug:
        grid.add_row(say("organisation"), Text(str(slug)))
    for login in told.get("logins", []):
        grid.add_row(Text(spoken(login.get("who"))), Text(f"{login.get('login')}  {login.get('password')}"))
    grid.add_row(say("logs"), Text(str(settings.data.absolute() / "logs"), overflow="fold"))
    console.print(Panel(grid, title="Callout", subtitle=say("end_with"), expand=False))
    for link in told.get("links", []):
        # Below the box, on lines of their own: cut or broken at its edge they could not be copied.
        console.print(Text(f"{spoken(link.get('name'))}: {link.get('url')}"), soft_wrap=True)


def read_demo(path: Path) -> dict[str, Any]:
    """What the demo wrote down; nothing where there was none."""
    try:
        told = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def spoken(text: Any) -> str:
    """A text, or the right one of {"en": …, "zh": …}."""
    return str(text.get(say.locale(), text.get("en", ""))) if isinstance(text, dict) else str(text)

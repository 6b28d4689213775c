"""What `callout conform` does with its arguments."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx
from rich.console import Console

from callout_backend.admin import ask_password
from callout_backend.conform.ask import Refused
from callout_backend.conform.bench import Bench
from callout_backend.conform.report import show, text, write_json
from callout_backend.conform.run import Result, chosen, run


def conform(
    url: str,
    *,
    organisation: str,
    email: str | None = None,
    password: str | None = None,
    code: str | None = None,
    engineer: str | None = None,
    only: Sequence[str] = (),
    json: Path | None = None,
    console: Console | None = None,
) -> int:
    """Check a server; 0 when nothing failed, 1 when something did, 2 when it could not be begun."""
    checks = chosen(only)
    if not checks:
        return _cannot("no_check", ", ".join(only))
    if (email is None) == (code is None):
        return _cannot("no_login")
    if email is not None and password is None:
        password = ask_password()

    async def prepare(bench: Bench) -> None:
        if code is not None:
            await bench.use_code(code)
        else:
            await bench.sign_in(email=email or "", password=password or "", engineer=engineer)

    console = console or Console()
    try:
        with console.status("") as status:

            def told(result: Result) -> None:
                status.update(f"{result.id}: {text(result.verdict)}")

            results = asyncio.run(
                run(url.rstrip("/"), prepare, organisation=organisation, checks=checks, told=told)
            )
    except Refused as refused:
        return _cannot("refused", refused)
    except ValueError as unknown:
        return _cannot("no_engineer", unknown)
    except (httpx.TransportError, httpx.InvalidURL) as fault:
        return _cannot("unreachable", url, fault)
    show(console, results)
    if json is not None:
        try:
            write_json(json, url, results)
        except OSError as fault:
            return _cannot("unwritable", json, fault.strerror)
    return 1 if any(result.verdict == "fail" for result in results) else 0


def _cannot(key: str, *details: object) -> int:
    print(f"callout: {text(key, *details)}", file=sys.stderr)
    return 2

"""Tests in a real browser: only with `--browser`, and then a missing browser is a failure and not a skip.

They need Chromium (Debian: `apt-get install chromium`; CALLOUT_CHROMIUM names another program) and `pip install
playwright`, neither of which `make env` brings.
"""

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the tests of this folder out unless they were asked for; pytest counts them as deselected."""
    if config.getoption("--browser"):
        return
    here = [item for item in items if HERE in item.path.parents]
    if here:
        config.hook.pytest_deselected(items=here)
        items[:] = [item for item in items if HERE not in item.path.parents]


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Any]:
    """Headless Chromium, started once."""
    from playwright.async_api import async_playwright

    program = os.environ.get("CALLOUT_CHROMIUM") or shutil.which("chromium")
    if program is None:
        pytest.fail("--browser was given, but there is no `chromium` on the PATH; set CALLOUT_CHROMIUM")
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield chromium
        await chromium.close()

"""A page on a phone in Chromium, for the tests in `browser/`."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

PHONE = {"width": 360, "height": 740}


@contextlib.asynccontextmanager
async def opened(browser: Any, address: str, **context: Any) -> AsyncIterator[Any]:
    """A page on a phone. Fails on errors in the console, refused scripts among them."""
    options = {"viewport": PHONE, "device_scale_factor": 2, "has_touch": True, "is_mobile": True, **context}
    phone = await browser.new_context(**options)
    page = await phone.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda fault: errors.append(str(fault)))
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    await page.goto(address)
    yield page
    await phone.close()
    # A refused request (410, offline) is a line of the browser's own.
    assert [error for error in errors if not error.startswith("Failed to load resource")] == []

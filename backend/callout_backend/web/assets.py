"""Files that browsers load: their folder, and addresses that change when the content does."""

import hashlib
import re
from functools import cache
from pathlib import Path
from typing import Any, Final

from litestar import Request

from callout_store.errors import NoSuchAddress

STATIC_FOLDER = Path(__file__).parent / "static"
ICON = "favicon.svg"
NAME_CHARS_MAX: Final = 200

_ADDRESS = re.compile(r'"/static/([^"?]+)"')


async def refuse_odd_name(request: Request[Any, Any, Any]) -> None:
    """Before the folder is looked into: names that no file system takes are not there, and are no fault of ours."""
    name = str(request.path_params.get("file_path", ""))
    if "\0" in name or len(name) > NAME_CHARS_MAX:
        raise NoSuchAddress()


@cache
def asset(name: str) -> str:
    """The address of a static file, with its content's hash, so that browsers may keep it for ever."""
    digest = hashlib.sha256((STATIC_FOLDER / name).read_bytes()).hexdigest()
    return f"/static/{name}?v={digest[:12]}"


@cache
def graphiql_page() -> str:
    """The GraphiQL page, its files at the addresses that `asset` gives: a new version is never mixed with an old."""
    return _page("graphiql/graphiql.html")


@cache
def api_page() -> str:
    """The page of the public API, likewise."""
    return _page("swagger/docs.html")


def _page(name: str) -> str:
    page = (STATIC_FOLDER / name).read_text("utf-8")
    return _ADDRESS.sub(lambda found: f'"{asset(found[1])}"', page)

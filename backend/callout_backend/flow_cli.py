"""`callout flow`: what is wrong with kinds of order, and how their flows look. Files need no database."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

if TYPE_CHECKING:
    from callout_orders.kinds.versions import KindVersion

flow = App(name="flow", help="Kinds of order: check and draw their flows.")


@flow.command
def check(*files: Path, org: Annotated[str | None, Parameter(name="--org")] = None) -> int:
    """Say what is wrong with kinds of order: dead ends, unreachable steps, loops without a bound, unknown names.

    Without files and --org the built-in kinds are checked. Exit code 1 if a kind could not be saved as it is.

    Parameters
    ----------
    files
        Kinds as TOML.
    org
        The slug of an organisation: its active kinds are checked.
    """
    from callout_backend.texts import say
    from callout_orders.kinds import library, versions
    from callout_orders.kinds.check import errors

    texts = [(str(file), _read(file)) for file in files]
    if org is not None:
        texts += [(f"{org}:{one.code}@{one.version}", one.source) for one in _of_organisation(org)]
    elif not files:
        texts = [(code, library.template(code)) for code in library.TEMPLATES]
    locale = say.locale()
    bad = 0
    for name, text in texts:
        _, found = versions.looked_at(text)
        bad += bool(errors(found))
        for one in found:
            print(f"{name}: {say(one.level)}: {one.path}: {one.text(locale)} ({one.code})")
        if not found:
            print(f"{name}: {say('flow_well')}")
    return 1 if bad else 0


@flow.command
def draw(kind: str, *, out: Path | None = None, locale: str | None = None, org: str | None = None) -> int:
    """Draw a kind's flow as SVG.

    Parameters
    ----------
    kind
        A file of TOML, or the code of a kind: a built-in one, or with --org one of the organisation.
    out
        The file to write; standard output where it is left out.
    locale
        en or zh; the terminal's language where it is left out.
    org
        The slug of an organisation.
    """
    from callout_backend.settings import SettingsError
    from callout_backend.texts import say
    from callout_orders.flow.events import LABELS
    from callout_orders.kinds import draw as drawing
    from callout_orders.kinds import library

    if locale not in (None, "en", "zh"):
        raise SettingsError("--locale", str(locale), "en or zh")
    if org is not None:
        of = {one.code: one.source for one in _of_organisation(org)}
    else:
        of = {code: library.template(code) for code in library.TEMPLATES}
    text = of[kind] if kind in of else _read(Path(kind))
    svg = drawing.svg(library.decode(text), locale or say.locale(), events=LABELS)
    if out is None:
        sys.stdout.write(svg + "\n")
        return 0
    try:
        out.write_text(svg + "\n", encoding="utf-8")
    except OSError as fault:
        raise SettingsError("--out", f"{out} ({fault.strerror})", "a file this user may write") from None
    return 0


def _read(file: Path) -> str:
    from callout_backend.settings import SettingsError
    from callout_orders.kinds.limits import TOML_BYTES_MAX

    try:
        with file.open("rb") as opened:
            # One byte more than there may be: what is larger is refused by its size and not read whole.
            given = opened.read(TOML_BYTES_MAX + 1)
            return given.decode("utf-8", "replace" if len(given) > TOML_BYTES_MAX else "strict")
    except OSError as fault:
        wanted = "a file of TOML, or the code of a kind"
        raise SettingsError("flow", f"{file} ({fault.strerror})", wanted) from None
    except UnicodeDecodeError:
        raise SettingsError("flow", str(file), "a file of TOML in UTF-8") from None


def _of_organisation(slug: str) -> "list[KindVersion]":
    from callout_backend import admin
    from callout_backend.settings import Settings
    from callout_orders.kinds import versions
    from callout_people import organisations
    from callout_store.errors import NotFound
    from callout_store.work import Database

    async def act(db: Database) -> "list[KindVersion]":
        async with db.work(None, org_slug=slug) as work:
            found = await organisations.organisation_by_slug(work, slug)
        if found is None:
            raise NotFound(entity="organisation", path="org")
        async with db.work(found.id) as work:
            return await versions.current(work)

    return admin.run(Settings.from_env(), act)

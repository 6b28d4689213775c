"""Forms: what is to be filled in on site, by kind of order.

A version never changes: saving a code again makes the next version and retires the one before. A phone that was away
may still hand in a retired version; its values are held to the schema of that version.
"""

import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from callout_contracts.limits import FORM_BYTES_MAX
from callout_orders import checks, form_schema
from callout_orders.kinds import versions
from callout_orders.rows import Page, by_ids, page_of, page_size
from callout_store.errors import NotFound
from callout_store.ids import new_id
from callout_store.journal import Entry, write
from callout_store.work import Work

CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
CACHE_MAX: Final = 256
"""Compiled schemas that a process keeps; the one asked for longest ago leaves first."""
_encode = msgspec.json.Encoder().encode


class NewForm(msgspec.Struct, frozen=True, kw_only=True):
    """A form; `schema` is the JSON Schema (draft 2020-12) of its values, `kind` the orders it is for (None: all)."""

    code: str
    title_en: str
    title_zh: str
    schema: dict[str, Any]
    kind: str | None = None


class FormView(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a form."""

    id: UUID
    code: str
    version: int
    kind: str | None
    title_en: str
    title_zh: str
    json_schema: dict[str, Any]
    active: bool
    created_at: datetime
    created_by: UUID | None


async def save_form(work: Work, form: NewForm) -> UUID:
    """Make the next version of a form and retire the one before; its id. The same again changes nothing.

    Raises BadField (with the place in the schema) and LimitExceeded.
    """
    if not CODE.fullmatch(form.code):
        raise checks.FieldRefused("code", "form_code")
    title_en, title_zh = checks.text("titleEn", form.title_en), checks.text("titleZh", form.title_zh)
    kind = None if form.kind is None else checks.one_of("kind", form.kind, await versions.codes(work))
    form_schema.compiled(form.schema)
    text = _encode(form.schema).decode()
    if "\\u0000" in text:
        raise checks.FieldRefused("schema", "nul")
    # Of two people who save one code at once, the second waits here and makes the version after.
    await work.execute(
        "select pg_advisory_xact_lock(hashtextextended($1, 0))", f"form:{work.org_id}:{form.code}"
    )
    before = await work.fetch(
        """
        select id, version, kind, title_en, title_zh, json_schema::text as json_schema, active
        from form where code = $1 order by version desc
        """,
        form.code,
    )
    if before and before[0]["active"]:
        now = before[0]
        if (now["kind"], now["title_en"], now["title_zh"], now["json_schema"]) == (
            kind,
            title_en,
            title_zh,
            text,
        ):
            return UUID(str(now["id"]))
    form_id = new_id()
    version = before[0]["version"] + 1 if before else 1
    await work.execute("update form set active = false where code = $1 and active", form.code)
    await work.execute(
        """
        insert into form (id, code, version, kind, title_en, title_zh, json_schema, created_at, created_by)
        values ($1, $2, $3, $4, $5, $6, $7::text::json, $8, $9)
        """,
        form_id,
        form.code,
        version,
        kind,
        title_en,
        title_zh,
        text,
        work.now,
        work.actor.user_id,
    )
    retired = [row["id"] for row in before if row["active"]]
    await _note(work, form_id, "form.saved", {"code": form.code, "version": version, "kind": kind})
    work.touch("form", form_id, *retired)
    return form_id


async def retire_form(work: Work, form_id: UUID) -> None:
    """Take a form from all phones; what was filled in stays readable. Twice changes nothing. Raises NotFound."""
    row = await work.fetchrow(
        "select code, version, active from form where id = $1 for no key update", form_id
    )
    if row is None:
        raise NotFound(entity="form", path="id")
    if not row["active"]:
        return
    await work.execute("update form set active = false where id = $1", form_id)
    await _note(work, form_id, "form.retired", {"code": row["code"], "version": row["version"]})
    work.touch("form", form_id)


async def forms_by_ids(work: Work, ids: Sequence[UUID]) -> list[FormView | None]:
    """Forms in the order of `ids`."""
    return await by_ids(work, FormView, "form", ids)


async def forms_page(
    work: Work,
    *,
    active: bool | None = True,
    code: str | None = None,
    kind: str | None = None,
    after: UUID | None = None,
    limit: int = 50,
) -> Page[FormView]:
    """Versions of forms, newest first."""
    size = page_size(limit)
    conditions: list[str] = []
    values: list[Any] = [size + 1]

    def where(condition: str, value: object) -> None:
        values.append(value)
        conditions.append(condition.format(f"${len(values)}"))

    if active is not None:
        where("active = {}", active)
    if code is not None:
        where("code = {}", checks.text("code", code, chars_max=40))
    if kind is not None:
        where("kind = {}", checks.one_of("kind", kind, await versions.codes(work)))
    return await page_of(work, FormView, "form", conditions, values, after, size)


async def check(work: Work, filled: Mapping[UUID, tuple[UUID, Any]]) -> dict[UUID, tuple[str, str, str]]:
    """Filled-in forms (command id → form id and values) that do not fit: command id → code, path, why.

    `path` lies in the command (`payload.values.readings.2`). One statement for all schemas that this process has not
    compiled yet; versions never change, so that what is compiled once holds.
    """
    if not filled:
        return {}
    validators = await _validators(work, {form_id for form_id, _ in filled.values()})
    found: dict[UUID, tuple[str, str, str]] = {}
    for command_id, (form_id, values) in filled.items():
        validator = validators.get(form_id)
        if validator is None:
            found[command_id] = ("FORM_UNKNOWN", "payload.formId", "")
            continue
        size = len(_encode(values))
        if size > FORM_BYTES_MAX:
            why = f"{size} bytes; the limit is {FORM_BYTES_MAX}"
            found[command_id] = ("PAYLOAD_INVALID", "payload.values", why)
            continue
        fault = form_schema.misfit(validator, values)
        if fault is not None:
            place, why = fault
            found[command_id] = ("PAYLOAD_INVALID", f"payload.{place}", why)
    return found


_compiled: OrderedDict[tuple[UUID, UUID], form_schema.Validator] = OrderedDict()


async def _validators(work: Work, form_ids: set[UUID]) -> dict[UUID, form_schema.Validator]:
    found: dict[UUID, form_schema.Validator] = {}
    missing = []
    for form_id in form_ids:
        key = (work.org_id, form_id)
        known = _compiled.get(key)
        if known is None:
            missing.append(form_id)
        else:
            _compiled.move_to_end(key)
            found[form_id] = known
    if missing:
        rows = await work.fetch(
            """
            select id, json_schema::text as json_schema from form where org_id = callout_org() and id = any($1)
            """,
            missing,
        )
        for row in rows:
            validator = form_schema.trusted(msgspec.json.decode(row["json_schema"]))
            found[row["id"]] = _compiled[(work.org_id, row["id"])] = validator
        while len(_compiled) > CACHE_MAX:
            _compiled.popitem(last=False)
    return found


async def _note(work: Work, form_id: UUID, kind: str, data: dict[str, Any]) -> None:
    await write(work, Entry(kind=kind, entity="form", entity_id=form_id, data=data))

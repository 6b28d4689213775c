"""The form on which a customer asks for service: values in, text out. Every sentence is there in both languages."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from callout_backend.web.pages import LOCALES, both, render
from callout_backend.web.request_texts import TEXTS
from callout_orders.channels.conversations.talk_texts import PATH_LABELS
from callout_orders.channels.files import FILES_MAX, FileView
from callout_orders.channels.terms import FILE_BYTES_MAX
from callout_orders.kinds.terms import Field, FieldType, Kind, RequiredCheck
from callout_store.errors import Refusal

OWN: Final[tuple[tuple[str, str, str, str, int], ...]] = (
    ("description", "textarea", "", "", 4000),
    ("contactName", "text", "name", "", 200),
    ("contactPhone", "tel", "tel", "tel", 40),
    ("contactEmail", "email", "email", "email", 254),
    ("customerName", "text", "organization", "", 200),
    ("address", "text", "street-address", "", 500),
    ("serial", "text", "off", "", 80),
    ("product", "text", "off", "", 200),
    ("errorCode", "text", "off", "", 80),
)
"""Name, kind of input, what browsers fill in, keyboard, length: of the fields that every request has."""
NAMES: Final = tuple(name for name, *_ in OWN)
_SNAKE: Final = {
    "contact_name": "contactName",
    "contact_phone": "contactPhone",
    "contact_email": "contactEmail",
    "error_code": "errorCode",
}
_SHOWN_AT: Final = {"siteId": "address", "customerId": "customerName", "customerNumber": "customerName"}
_INPUTS: Final = {
    FieldType.TEXT: "text",
    FieldType.LONG_TEXT: "textarea",
    FieldType.INTEGER: "number",
    FieldType.NUMBER: "number",
    FieldType.MONEY: "number",
    FieldType.DATE: "date",
    FieldType.DATETIME: "text",
}


def asked_fields(kind: Kind) -> list[Field]:
    """The kind's own fields that a requester is asked for: not those that a step of the flow has filled in later."""
    later = {code for step in kind.steps for code in step.fields}
    return [field for field in kind.fields if field.required or field.code not in later]


def needed(kind: Kind, channel: str) -> set[str]:
    """Names of inputs without which a request of this channel is refused."""
    out = {"description"}
    for check in kind.checks:
        if isinstance(check, RequiredCheck) and (not check.channels or channel in check.channels):
            out |= {_SNAKE.get(name, name) for name in check.fields}
    return out | {f"fields.{field.code}" for field in kind.fields if field.required}


def form_page(
    *,
    organisation: str,
    intro: Mapping[str, str] | None,
    kinds: Sequence[Kind],
    kind: Kind,
    channel: str,
    values: Mapping[str, Any],
    faults: Sequence[Mapping[str, str]],
    kept: Sequence[FileView],
    key: str,
    locale: str,
) -> str:
    """The form, with what was entered and everything that is wrong with it beside the fields."""
    must = needed(kind, channel)
    rows = [
        {
            "name": name,
            "label": PATH_LABELS[name],
            "input": input_,
            "autocomplete": autocomplete,
            "inputmode": mode,
            "length": length,
            "needed": name in must,
            "value": values.get(name, ""),
            "help": None,
        }
        for name, input_, autocomplete, mode, length in OWN
    ]
    rows += [_row(field, f"fields.{field.code}" in must, values) for field in asked_fields(kind)]
    names = {str(row["name"]) for row in rows} | {"files", "kind"}
    beside: dict[str, list[Mapping[str, str]]] = {}
    above: list[Mapping[str, str]] = []
    for fault in faults:
        path = _SHOWN_AT.get(fault["path"], fault["path"])
        path = "files" if path.startswith("files") else path
        if path in names:
            beside.setdefault(path, []).append(fault)
        else:
            above.append(fault)
    return _render(
        "form",
        locale,
        organisation=organisation,
        intro=intro,
        kinds=kinds,
        kind=kind,
        rows=rows,
        beside=beside,
        above=above,
        wrong=[(row, beside[str(row["name"])]) for row in rows if row["name"] in beside],
        kept=[one for one in kept if one.state == "stored"],
        key=key,
        limits={"count": FILES_MAX, "limit": FILE_BYTES_MAX // (1024 * 1024)},
    )


def sent_page(
    *,
    organisation: str,
    number: str | None,
    existing: bool,
    link: str | None,
    answers: Sequence[Mapping[str, str]],
    answers_link: str | None,
    locale: str,
) -> str:
    """The answer: the order's number, where to follow it, and what may help at once; without a number, that it arrived."""
    return _render(
        "sent",
        locale,
        organisation=organisation,
        number=number,
        existing=existing,
        link=link,
        answers=answers,
        answers_link=answers_link,
    )


def refused_page(refusal: Refusal, *, locale: str) -> str:
    """A page that says why nothing can be sent."""
    state = "closed" if refusal.code == "FORM_CLOSED" else "refused"
    return _render("refused", locale, organisation="Callout", refusal=refusal, state=state)


def _row(field: Field, must: bool, values: Mapping[str, Any]) -> dict[str, Any]:
    name = f"fields.{field.code}"
    given = values.get(name, "")
    options: list[dict[str, Any]] = []
    if field.type in (FieldType.CHOICE, FieldType.CHOICES):
        chosen = {given} if isinstance(given, str) else set(given)
        options = [
            {"value": one.code, "label": _both(one.label), "chosen": one.code in chosen}
            for one in field.options
        ]
    elif field.type is FieldType.BOOLEAN:
        options = [
            {"value": code, "label": TEXTS[word], "chosen": given == code}
            for code, word in (("true", "yes"), ("false", "no"))
        ]
    label = _both(field.label)
    if field.unit:
        label = {one: f"{label[one]} ({field.unit})" for one in LOCALES}
    return {
        "name": name,
        "label": label,
        "input": "select" if options else _INPUTS.get(field.type, "text"),
        "many": field.type is FieldType.CHOICES,
        "options": options,
        "step": "1" if field.type is FieldType.INTEGER else "any",
        "autocomplete": "off",
        "inputmode": "",
        "length": field.chars_max or 4000,
        "needed": must,
        "value": given,
        "help": None if field.help is None else _both(field.help),
    }


def _both(label: Any) -> dict[str, str]:
    return {"en": label.en, "zh": label.zh}


def _render(page: str, locale: str, **values: Any) -> str:
    return render(
        "request.html",
        TEXTS,
        locale,
        page=page,
        of=lambda label: both(_both(label), locale),
        fault=lambda one: both({"en": one["en"], "zh": one["zh"]}, locale),
        **values,
    )

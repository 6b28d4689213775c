"""What a kind of order is: its fields, what is looked at before one is taken in, its steps. Values only, no I/O.

A `Kind` is read from a TOML file of `templates/` (version 0, built in) or from a row that somebody edited (versions from
1 on, never changed afterwards). A running order finishes under the version that it was taken in under. Whether a kind
makes sense is for `kinds.check` to say; a `Kind` that decodes is only well-formed.

Expressions are CEL. They see `fields` (the order's own), `order` (number, kind, priority, channel, state, serial, product,
error_code, tags, tier …: `kinds.expressions` lists them) and, in a flow, `parts` (waiting, ready).
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Label(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A text for a person, in both languages."""

    en: str
    zh: str

    def of(self, locale: str) -> str:
        """The text in `en` or `zh`."""
        return self.zh if locale.startswith("zh") else self.en


class FieldType(StrEnum):
    """What a custom field holds."""

    TEXT = "text"
    LONG_TEXT = "long_text"
    INTEGER = "integer"
    NUMBER = "number"
    MONEY = "money"
    """A number with at most two decimals, in the organisation's currency."""
    BOOLEAN = "boolean"
    DATE = "date"
    DATETIME = "datetime"
    CHOICE = "choice"
    CHOICES = "choices"


class Choice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of a field's options."""

    code: str
    label: Label


class Field(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A field that orders of this kind have beside those that every order has (L1).

    `required`: asked for when the order comes in. A step may ask for it later instead (`Step.fields`). `low` and `high`
    bound numbers, `chars_max` texts; `pattern` is a regular expression that the whole text must fit.
    """

    code: str
    label: Label
    type: FieldType
    required: bool = False
    options: tuple[Choice, ...] = ()
    low: float | None = None
    high: float | None = None
    chars_max: int | None = None
    pattern: str | None = None
    unit: str | None = None
    help: Label | None = None


class RequiredCheck(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="required", tag_field="rule"
):
    """These must be known before the order is taken in: reported, found in the text, or known of the asset or contact.

    Names: contact_name, contact_phone, contact_email, serial, product, error_code, address, description, or
    `fields.<code>`. `channels` empty: on every channel.
    """

    fields: tuple[str, ...]
    channels: tuple[str, ...] = ()


class DescriptionCheck(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="description", tag_field="rule"
):
    """The description says something: at least so many characters that are no blanks."""

    chars_min: int


class PhoneCheck(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="phone", tag_field="rule"
):
    """The phone is one of these forms (`mobile`, `landline`, `service`: 400 and 800 numbers) in one of these countries."""

    forms: tuple[str, ...] = ("mobile", "landline", "service")
    countries: tuple[str, ...] = ()
    """ISO 3166; empty: any country; the first one is meant where the number names none."""


class SerialCheck(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="serial", tag_field="rule"
):
    """The serial fits the pattern of its product (products are rows of `precheck`), and is not another product's."""


class AttachmentCheck(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="attachment", tag_field="rule"
):
    """So many files of these media types (`image/`, `video/`: prefixes) are with it when `when` holds.

    `words`: as soon as one of them stands in the description ("cannot reproduce", "无法复现"); empty: always.
    """

    words: tuple[str, ...] = ()
    when: str = "true"
    count_min: int = 1
    media: tuple[str, ...] = ("image/",)
    message: Label | None = None


class ExpressionCheck(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="expression", tag_field="rule"
):
    """Refused with `message` at `path` where the expression is true."""

    refuse_when: str
    message: Label
    path: str = "description"


Check = RequiredCheck | DescriptionCheck | PhoneCheck | SerialCheck | AttachmentCheck | ExpressionCheck


class Approval(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody must agree before the step can end, where `when` holds (L2: `fields.repair_cost > 500`).

    `by` is an owner (see `Step.owner`).
    """

    code: str
    label: Label
    when: str
    by: str


class Branch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a step leads, where `when` holds; the first branch that holds is taken."""

    to: str
    when: str = "true"


class ActionName(StrEnum):
    """What happens by itself."""

    REQUEST_PARTS = "request_parts"
    """Open a purchase requisition for the parts that the order waits for."""
    PAUSE_SLA = "pause_sla"
    """Stop the clock; `value` is the reason (`customer`, `parts`, …). The step's end starts it again."""
    OFFER_VISIT = "offer_visit"
    """Offer a further visit with the engineer who was there."""
    ASK_SURVEY = "ask_survey"
    """Ask the customer how it was."""
    CLOSE = "close"
    ARCHIVE = "archive"
    TAG = "tag"
    """Put the tag `value` on the order."""
    TODO = "todo"
    """Give the step's owner a to-do."""


class Action(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One automatic action."""

    do: ActionName
    value: str = ""


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One node of the flow (C1). It cannot be skipped, and the next one cannot start before it is done.

    `owner`: `role:<role>`, `post:<post of the directory>` ("post:regional_director"), `engineer` (of the visit),
    `handler`, `initiator`, `customer` or `system`. `enter` must hold before it may begin. It is done once all `fields` are
    filled in, all `events` happened since it began (names: `flow.events.EVENTS`), its approvals are given and, where
    `by_hand`, somebody of its owner said so. `minutes` is its own deadline, in working time of the SLA's calendar.
    `on_enter` and `on_done` run by themselves. `next` empty: the flow ends here. `times_max`: how often it may be
    entered; only a step with more than 1 may be led back to.
    """

    code: str
    label: Label
    owner: str
    enter: str = "true"
    fields: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    by_hand: bool = False
    approvals: tuple[Approval, ...] = ()
    minutes: int | None = None
    on_enter: tuple[Action, ...] = ()
    on_done: tuple[Action, ...] = ()
    next: tuple[Branch, ...] = ()
    times_max: int = 1


class Kind(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, cache_hash=True):
    """One version of a kind of order. The first step is where every order begins."""

    code: str
    label: Label
    fields: tuple[Field, ...] = ()
    checks: tuple[Check, ...] = ()
    steps: tuple[Step, ...]

    def field(self, code: str) -> Field | None:
        """The field with this code."""
        return next((field for field in self.fields if field.code == code), None)

    def step(self, code: str) -> Step | None:
        """The step with this code."""
        return next((step for step in self.steps if step.code == code), None)

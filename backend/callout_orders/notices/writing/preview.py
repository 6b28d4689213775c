"""What a notice would look like: of an order that exists, or of one that does not."""

from typing import Any, Final
from uuid import UUID

from callout_orders import checks
from callout_orders.notices.settings import LOCALES
from callout_orders.notices.terms import MEDIA
from callout_orders.notices.writing import compose, facts, templates, texts, versions
from callout_orders.notices.writing.facts import Line, Person
from callout_orders.notices.writing.templates import LINK, BadTemplate, Text
from callout_store.errors import NotFound
from callout_store.ids import new_id
from callout_store.work import Work

SAMPLE_LINK: Final = "https://example.org/n/…"


async def preview(
    work: Work,
    *,
    medium: str,
    kind: str,
    locale: str,
    title: str | None = None,
    body: str | None = None,
    order_id: UUID | None = None,
) -> Text:
    """A template filled in: what is given of title and body, the one in use where it is not. Raises all that is wrong."""
    gather = checks.Gather()
    with gather:
        checks.one_of("medium", medium, MEDIA)
    with gather:
        checks.one_of("kind", kind, versions.OF - {versions.ANY})
    with gather:
        checks.one_of("locale", locale, LOCALES)
    gather.settle()
    used = versions.text_of(await versions.chosen(work), medium, kind, locale)
    text = Text(title=used.title if title is None else title, body=used.body if body is None else body)
    versions.check(text)
    values = sample(kind, locale) if order_id is None else await _real(work, order_id, kind, locale)
    try:
        filled = templates.render(text, medium, values)
    except BadTemplate as fault:
        raise versions.refused("body", fault) from None
    return Text(title=filled.title, body=filled.body.replace(LINK, SAMPLE_LINK))


def sample(kind: str, locale: str) -> dict[str, Any]:
    """Values of an order that does not exist."""
    headline = texts.headline(kind, locale, state="…", priority="P1", count="2")
    return {
        **templates.SAMPLE,
        "headline": headline,
        "next": texts.next_action(kind, "new", locale),
        "link": LINK,
        "role": texts.ROLES["handler"][1 if locale == "zh" else 0],
    }


async def _real(work: Work, order_id: UUID, kind: str, locale: str) -> dict[str, Any]:
    line = Line(id=new_id(), kind="preview", order_id=order_id, visit_id=None, actor_id=None, data={})
    known = await facts.gather(work, [line])
    if order_id not in known.orders:
        raise NotFound(entity="work order", path="orderId")
    own = await facts.users(work, {work.actor.user_id} if work.actor.user_id else set())
    person = next(iter(own.values()), Person(key="preview", name="", locale=locale))
    if kind == "digest":
        return {**sample(kind, locale), "organisation": known.organisation, "person": person.name}
    return dict(compose.values(known, line, kind, "handler", person, locale=locale, zone=known.zone))

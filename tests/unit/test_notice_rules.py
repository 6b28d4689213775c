"""The rules of notices: quiet hours, buckets, what goes into which message, templates. Laws by Hypothesis."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callout_orders.notices import quiet, terms
from callout_orders.notices.sending import bucket
from callout_orders.notices.sending.batches import DIGEST_MAX, Batch, Waiting, plan
from callout_orders.notices.sending.bucket import Bucket
from callout_orders.notices.sending.settling import BACKOFF_MAX_S, backoff_s
from callout_orders.notices.writing import templates, texts
from callout_orders.notices.writing.templates import BadTemplate, Text

SHANGHAI, NEW_YORK = ZoneInfo("Asia/Shanghai"), ZoneInfo("America/New_York")


def at(text: str, zone: ZoneInfo) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)


@pytest.mark.parametrize(
    ("now", "zone", "hours", "until"),
    (
        ("2026-01-15 23:30", SHANGHAI, "22:00-07:00", "2026-01-16 07:00"),
        ("2026-01-16 06:59", SHANGHAI, "22:00-07:00", "2026-01-16 07:00"),
        ("2026-01-16 07:00", SHANGHAI, "22:00-07:00", None),
        ("2026-01-16 13:00", SHANGHAI, "12:30-14:00", "2026-01-16 14:00"),
        ("2026-01-16 12:00", SHANGHAI, "", None),
        # The night in which clocks go forward is an hour shorter and ends at the same time of day …
        ("2026-03-08 01:30", NEW_YORK, "22:00-07:00", "2026-03-08 07:00"),
        # … the one in which they go back an hour longer.
        ("2026-11-01 00:30", NEW_YORK, "22:00-07:00", "2026-11-01 07:00"),
        # An end that the clock leaps over: 02:30 does not exist, and is 03:30 on the wall.
        ("2026-03-08 01:00", NEW_YORK, "23:00-02:30", "2026-03-08 03:30"),
    ),
)
def test_quiet_hours(now: str, zone: ZoneInfo, hours: str, until: str | None) -> None:
    """A summer night reckoned with winter's hours would ring at six, or keep a notice until eight."""
    found = quiet.until(at(now, zone), zone, hours)
    assert found == (None if until is None else at(until, zone))


def test_quiet_hours_length_over_dst() -> None:
    """The same night of the clock lasts 8 hours in March and 10 in November."""
    spring = quiet.until(at("2026-03-07 22:00", NEW_YORK), NEW_YORK, "22:00-07:00")
    autumn = quiet.until(at("2026-10-31 22:00", NEW_YORK), NEW_YORK, "22:00-07:00")
    assert spring is not None
    assert autumn is not None
    assert spring - at("2026-03-07 22:00", NEW_YORK) == timedelta(hours=8)
    assert autumn - at("2026-10-31 22:00", NEW_YORK) == timedelta(hours=10)


@pytest.mark.parametrize("text", ("22-07", "24:00-07:00", "07:00-07:00", "22:00", "a", "22:00-07:60"))
def test_bad_quiet_hours(text: str) -> None:
    """Hours that nobody can read must be refused when they are written, not when the first notice is due."""
    with pytest.raises(ValueError, match="22:00-07:00"):
        quiet.read(text)


@given(
    size=st.integers(2, 25),
    reserve=st.integers(0, 5),
    asks=st.lists(st.tuples(st.floats(0, 40), st.integers(0, 12), st.booleans()), max_size=60),
)
def test_no_minute_holds_more_than_the_bucket(
    size: int, reserve: int, asks: list[tuple[float, int, bool]]
) -> None:
    """A robot that sends a 21st message in any minute is shut out for ten; what is urgent must find tokens."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    held = Bucket(size=size, reserve=min(reserve, size - 1))
    taken: list[tuple[datetime, bool]] = []
    for gap, count, urgent in asks:
        now += timedelta(seconds=gap)
        free = bucket.free(held, now, urgent=urgent)
        grant = min(count, free)
        held = bucket.take(held, now, grant)
        taken += [(now, urgent)] * grant
        if not urgent:
            in_window = sum(1 for when, _ in taken if when > now - bucket.WINDOW)
            assert grant == 0 or in_window <= size - held.reserve
        soon = bucket.next_at(held, now, urgent=urgent)
        assert bucket.free(held, soon, urgent=urgent) > 0
        if soon > now:
            assert bucket.free(held, soon - timedelta(milliseconds=1), urgent=urgent) == 0
    for start, _ in taken:
        assert sum(1 for when, _ in taken if start <= when < start + timedelta(seconds=60)) <= size


def test_a_bucket_gives_no_more_than_it_has() -> None:
    """A caller that forgot to ask first must not overdraw silently."""
    with pytest.raises(ValueError, match="3 tokens of 2"):
        bucket.take(Bucket(size=2), datetime(2026, 1, 1, tzinfo=UTC), 3)


MATTERS = [UUID(int=n) for n in range(6)]


@st.composite
def queues(draw: st.DrawFn) -> list[Waiting]:
    rows = draw(
        st.lists(
            st.tuples(
                st.sampled_from(MATTERS),
                st.sampled_from("ab"),
                st.integers(0, 40),
                st.booleans(),
                st.booleans(),
            ),
            max_size=90,
        )
    )
    robot = draw(st.booleans())
    return [
        Waiting(
            id=uuid4(),
            position=n,
            matter=matter,
            line_id=UUID(int=1000 + 100 * matter.int + line),
            address="group" if robot else address,
            urgent=urgent and more,
            robot=robot,
        )
        for n, (matter, address, line, urgent, more) in enumerate(rows)
    ]


@given(queue=queues(), tokens=st.integers(0, 8), reserve=st.integers(0, 3))
def test_the_ordering_law(queue: list[Waiting], tokens: int, reserve: int) -> None:
    """An order's "arrived" must never reach a customer before its "on the way", whatever is urgent, merged or held back."""
    left = list(queue)
    sent: list[Batch] = []
    by_id = {one.id: one for one in queue}
    for _ in range(400):
        made = plan(left, tokens=tokens, tokens_urgent=tokens + reserve)
        assert len(made) <= tokens + reserve
        assert sum(not batch.urgent for batch in made) <= tokens
        gone = {id_ for batch in made for id_ in batch.ids}
        assert len(gone) == sum(len(batch.ids) for batch in made), "nothing goes twice"
        # What is urgent goes before what is not.
        assert [batch.urgent for batch in made] == sorted((batch.urgent for batch in made), reverse=True)
        # Within one round messages go side by side: no order is in two of them to one address.
        pairs = [
            (batch.address, matter) for batch in made for matter in {by_id[id_].matter for id_ in batch.ids}
        ]
        assert len(pairs) == len(set(pairs))
        sent += made
        left = [one for one in left if one.id not in gone]
        if not made:
            break
    for address in {one.address for one in queue}:
        for matter in MATTERS:
            seen = [
                by_id[id_].position
                for batch in sent
                if batch.address == address
                for id_ in batch.ids
                if by_id[id_].matter == matter and not _merged(by_id[id_], by_id, batch)
            ]
            assert seen == sorted(seen)
    if tokens > 0:
        assert not left, "nothing is left out"
    assert all(len(_lines(batch, by_id)) <= DIGEST_MAX for batch in sent)


def _lines(batch: Batch, by_id: dict[UUID, Waiting]) -> set[UUID]:
    return {by_id[id_].line_id for id_ in batch.ids}


def _merged(one: Waiting, by_id: dict[UUID, Waiting], batch: Batch) -> bool:
    """Whether it is a further person's notice of a line that the message tells of anyway."""
    first = min(by_id[id_].position for id_ in batch.ids if by_id[id_].line_id == one.line_id)
    return one.robot and one.position != first


def test_what_waits_for_an_elder_waits() -> None:
    """A message that is tried again holds back its own order at that address, and nothing else."""
    blocked, other = MATTERS[0], MATTERS[1]
    queue = [
        Waiting(id=uuid4(), position=n, matter=matter, line_id=uuid4(), address="a", urgent=True, robot=False)
        for n, matter in enumerate((blocked, other))
    ]
    made = plan(queue, blocked={("a", blocked)}, tokens=5, tokens_urgent=5)
    assert [batch.ids for batch in made] == [(queue[1].id,)]


def test_a_crowd_goes_as_digests_and_urgent_ones_alone() -> None:
    """Ten thousand lines through twenty messages a minute would take eight hours one by one."""
    queue = [
        Waiting(
            id=uuid4(),
            position=n,
            matter=UUID(int=n),
            line_id=uuid4(),
            address="g",
            urgent=n == 500,
            robot=True,
        )
        for n in range(1000)
    ]
    made = plan(queue, tokens=16, tokens_urgent=20)
    assert made[0].ids == (queue[500].id,)
    assert made[0].urgent
    assert not made[0].digest
    assert {len(batch.ids) for batch in made[1:]} == {DIGEST_MAX}
    assert len(made) == 17


# ------------------------------------------------------------------------------------------------ templates


@pytest.mark.parametrize(
    ("source", "reason", "line"),
    (
        ("{% for i in items %}{% for j in items %}x{% endfor %}{% endfor %}", "loop", 1),
        ("ok\n{{ 'a' * 10**9 }}", "not_allowed", 2),
        ("{% set x = 1 %}", "not_allowed", 1),
        ("{{ order.__class__ }}", "unknown", 1),
        ("a\nb\n{{ nobody }}", "unknown", 3),
        ("{{ order.number | replace('a', 'b') }}", "filter", 1),
        ("{{ range(10) }}", "not_allowed", 1),
        ("{% include 'x' %}", "not_allowed", 1),
        ("{{ items[0] }}", "not_allowed", 1),
        ("{% macro m() %}{% endmacro %}", "not_allowed", 1),
        ("{% for order in items %}{% endfor %}", "loop", 1),
        ("{% for i in items recursive %}{% endfor %}", "loop", 1),
        ("{% if x", "syntax", 1),
        ("x" * 9000, "too_long", 1),
        ("{{ (1).__class__ }}", "not_allowed", 1),
    ),
)
def test_bad_templates_are_refused_with_their_line(source: str, reason: str, line: int) -> None:
    """One template that loops for hours holds a worker, and with it everybody's notices."""
    with pytest.raises(BadTemplate) as caught:
        templates.check(Text(title="t", body=source))
    assert (caught.value.reason, caught.value.line) == (reason, line)


@pytest.mark.parametrize("medium", sorted(terms.MEDIA))
@pytest.mark.parametrize("locale", ("en", "zh"))
def test_built_in_templates(medium: str, locale: str) -> None:
    """A kind without a headline, or a template that names what is not there, would keep a notice from being written."""
    for kind in sorted(terms.KINDS | {"digest"}):
        text = texts.built_in(medium, kind, locale)
        templates.check(text)
        values = {
            **templates.SAMPLE,
            "headline": texts.headline(kind, locale, state="s", priority="p", count="2"),
        }
        filled = templates.render(text, medium, values)
        assert filled.title
        if kind != "digest":
            assert "WO-1" in filled.body


@pytest.mark.parametrize(
    ("medium", "shown"),
    (
        ("email", "&lt;img src=x onerror=1&gt; [a](http://evil) @all"),
        ("wecom_robot", "＜img src=x onerror=1＞ ［a］(http://evil) ＠all"),
        ("sms", "<img src=x onerror=1> [a](http://evil) @all"),
    ),
)
def test_values_are_written_as_the_medium_needs_it(medium: str, shown: str) -> None:
    """A customer who writes a link, a mention of all or HTML into a description must not have it sent in our name."""
    text = Text(title="t", body="{{ order.description }}")
    order = {**templates.SAMPLE["order"], "description": "<img src=x onerror=1> [a](http://evil) @all"}
    assert templates.render(text, medium, {**templates.SAMPLE, "order": order}).body == shown


def test_backoff_grows_and_is_spread() -> None:
    """A provider that comes back must not be hit by everything at once, nor be left alone for a day."""
    assert backoff_s(1, roll=0.0) == 1.0
    assert backoff_s(3, roll=1.0) == 8.0
    assert backoff_s(1000, roll=1.0) == BACKOFF_MAX_S


def test_what_is_told() -> None:
    """The customer hears of the way and the arrival, not of every state; the supervisor at the three-minute mark."""
    assert terms.told("visit.photo", {}) is None
    assert terms.told("visit.state_changed", {"to": "accepted"}) is None
    way = terms.told("visit.state_changed", {"to": "travelling"})
    assert way is not None
    assert (way.kind, way.roles) == ("on_the_way", {terms.Role.CUSTOMER})
    done = terms.told("work_order.state_changed", {"to": "completed"})
    assert done is not None
    assert done.kind == "done"
    assert terms.Role.CUSTOMER in done.roles
    early, late = terms.told("sla.warned", {"mark": 10}), terms.told("sla.warned", {"mark": 3})
    assert early is not None
    assert late is not None
    assert terms.Role.SUPERVISOR not in early.roles
    assert terms.Role.SUPERVISOR in late.roles


def test_a_further_notice_of_an_urgent_line_overtakes_nothing() -> None:
    """A call for a P0 is a second notice of its first line: taken along with that, it would come before what was told to the
    same address in between."""
    matter, lines = uuid4(), (uuid4(), uuid4(), uuid4())
    queue = [
        Waiting(
            id=uuid4(),
            position=n,
            matter=matter,
            line_id=lines[line],
            address="a",
            urgent=n == 0,
            robot=False,
        )
        for n, line in enumerate((0, 0, 1, 0))
    ]
    (first,) = plan(queue, tokens=1, tokens_urgent=1)
    assert first.ids == (queue[0].id, queue[1].id)
    (second,) = plan(queue[2:], tokens=1, tokens_urgent=1)
    assert second.ids == (queue[2].id, queue[3].id)

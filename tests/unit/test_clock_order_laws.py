"""Order within one device: what its numbers say is not taken away by any clock."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from callout_dispatch.events import Clocks
from callout_sync.clocks import UNCERTAIN, Reading, Trust, in_order

RECEIVED = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
DAY_S = 86_400

seconds = st.floats(-2 * DAY_S, 0, allow_nan=False)


@st.composite
def readings(draw: st.DrawFn) -> list[Reading]:
    """Anything at all: exact and fair times and guesses, with bounds or without."""
    found = []
    for _ in range(draw(st.integers(0, 12))):
        earliest = draw(st.none() | seconds)
        trust: Trust = draw(st.sampled_from(["exact", "fair", "guess"]))
        found.append(
            Reading(
                at=RECEIVED + timedelta(seconds=draw(seconds)),
                trust=trust,
                latest=RECEIVED,
                earliest=None if earliest is None else RECEIVED + timedelta(seconds=earliest),
            )
        )
    return found


@given(readings())
def test_exact_times_never_change(given_: list[Reading]) -> None:
    """A time that was counted is evidence in a dispute about a deadline; nothing a phone sends beside it may move it."""
    for reading, at in zip(given_, in_order(given_), strict=True):
        if reading.trust == "exact":
            assert at == reading.at


@given(readings())
def test_times_that_agree_with_the_numbers_never_change(given_: list[Reading]) -> None:
    """A phone whose clocks are right is believed to the microsecond."""
    honest = sorted(reading.at for reading in given_)
    fair = [Reading(at=at, trust="fair", latest=RECEIVED) for at in honest]
    assert in_order(fair) == honest


@given(readings())
def test_the_result_is_in_the_order_of_the_numbers(given_: list[Reading]) -> None:
    """'Completed' dated before 'arrived' would give a negative time on site, and the wrong outcome the last word."""
    times = in_order(given_)
    exact = [reading.at for reading in given_ if reading.trust == "exact"]
    if exact == sorted(exact):
        assert times == sorted(times)


@given(readings())
def test_the_bounds_hold(given_: list[Reading]) -> None:
    """No guess lies after its arrival; none lies before what its phone had seen, unless something exact after it does."""
    times = in_order(given_)
    for n, (reading, at) in enumerate(zip(given_, times, strict=True)):
        if reading.trust != "guess":
            continue
        assert at <= reading.latest
        after = [other for other in times[n + 1 :]]
        if reading.earliest is not None and all(other >= reading.earliest for other in after):
            assert at >= reading.earliest


@given(st.lists(st.sampled_from(["guess"]), min_size=2, max_size=12), seconds)
def test_guesses_on_one_instant_are_told_apart(kinds: list[Trust], at: float) -> None:
    """A phone that lost its clock reports a day's work with one time: the order must not be left to chance."""
    same = [Reading(at=RECEIVED + timedelta(seconds=at), trust=kind, latest=RECEIVED) for kind in kinds]
    assert all(a < b for a, b in pairwise(in_order(same)))


def worked_out(clocks: Clocks, made: list[tuple[datetime, int | None, str | None]]) -> list[datetime]:
    found = []
    for device_time, monotonic_ms, boot_id in made:
        at, flags = clocks.correct(device_time, monotonic_ms, boot_id)
        guess = not UNCERTAIN.isdisjoint(flags)
        exact = clocks.counts(monotonic_ms, boot_id)
        trust: Trust = "guess" if guess else "exact" if exact else "fair"
        found.append(Reading(at=at, trust=trust, latest=clocks.received_at))
    return in_order(found)


@given(
    st.lists(st.integers(1, 2 * DAY_S), min_size=1, max_size=10, unique=True),
    st.floats(-10, 10, allow_nan=False),
)
def test_a_clock_that_is_years_off_gives_the_true_times(ages_s: list[int], years: float) -> None:
    """However wrong a phone's clock is, deadlines are met or missed as they truly were."""
    skew = timedelta(days=365 * years)
    ages = sorted(ages_s, reverse=True)
    clocks = Clocks(received_at=RECEIVED, sent_at=RECEIVED + skew)
    made = [(RECEIVED - timedelta(seconds=age) + skew, None, None) for age in ages]
    assert worked_out(clocks, made) == [RECEIVED - timedelta(seconds=age) for age in ages]


@given(
    st.lists(st.integers(1, DAY_S), min_size=2, max_size=10, unique=True),
    st.data(),
    st.floats(-10, 10, allow_nan=False),
    st.floats(-10, 10, allow_nan=False),
)
def test_a_clock_that_was_set_keeps_the_order(
    ages_s: list[int], data: st.DataObject, years_before: float, years_after: float
) -> None:
    """The engineer sets the clock in the middle of the day, the phone restarts: the day keeps its order, and what was
    counted by the running clock keeps its time."""
    ages = sorted(ages_s, reverse=True)
    cut = data.draw(st.integers(0, len(ages)))
    before, after = (timedelta(days=365 * years) for years in (years_before, years_after))
    clocks = Clocks(
        received_at=RECEIVED, sent_at=RECEIVED + after, monotonic_ms=DAY_S * 1000, boot_id="second"
    )
    made: list[tuple[datetime, int | None, str | None]] = []
    for n, age in enumerate(ages):
        true = RECEIVED - timedelta(seconds=age)
        if n < cut:
            made.append((true + before, 5_000 + n, "first"))
        else:
            made.append((true + after, (DAY_S - age) * 1000, "second"))
    times = worked_out(clocks, made)
    assert times == sorted(times)
    assert times[cut:] == [RECEIVED - timedelta(seconds=age) for age in ages[cut:]]
    assert all(at <= RECEIVED for at in times)

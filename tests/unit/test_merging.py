"""The merge of one field, as laws: what clients and the server must agree on, whatever the network does."""

from itertools import permutations
from typing import Any, get_args
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import replace

from callout_contracts.documents import DOCUMENTS, MERGE
from callout_contracts.golden.rules import vectors
from callout_contracts.merging import Change, Claim, Merged, Policy, Result, merge, rank
from callout_contracts.stamps import COUNTER_MAX, Stamp

POLICIES = ("newest", "office", "phone")
DEVICES = [UUID(int=n).hex for n in range(1, 5)]


class Field:
    """A field of a row and what was written into it, as a server keeps it."""

    def __init__(self, policy: Any) -> None:
        self.policy = policy
        self.revision = 1
        self.merged: Merged | None = None

    def take(self, change: Change) -> Merged:
        stands = self.merged.stands if self.merged else None
        waiting = self.merged.waiting if self.merged else ()
        before = stands.value if stands else "as it was"
        self.merged = merge(self.policy, stands, waiting, change, revision=self.revision + 1)
        self.revision += self.merged.stands.value != before
        return self.merged

    @property
    def end(self) -> tuple[Any, frozenset[Any]]:
        """The value that stands, and the values that wait."""
        assert self.merged is not None
        return self.merged.stands.value, frozenset(claim.value for claim in self.merged.waiting)


@st.composite
def concurrent(draw: st.DrawFn, *, sides: int = 4) -> list[Change]:
    """One change from each of some sides, none of which had seen another; values may be the same."""
    count = draw(st.integers(2, sides))
    changes = []
    for n in range(count):
        office = draw(st.booleans())
        ms = draw(st.integers(1, 30))
        stamp = Stamp(ms, COUNTER_MAX, "f" * 8) if office else Stamp(ms, draw(st.integers(1, 5)), f"{n:08x}")
        changes.append(
            Change(
                id=f"c{n}",
                value=draw(st.sampled_from(["a", "b", "c", None, ""])),
                stamp=stamp,
                author=f"user-{n}" if office else DEVICES[n],
                office=office,
                base_revision=draw(st.sampled_from([1, None])),
            )
        )
    return changes


@given(policy=st.sampled_from(POLICIES), changes=concurrent(), data=st.data())
def test_the_order_of_arrival_decides_nothing(
    policy: str, changes: list[Change], data: st.DataObject
) -> None:
    """Two engineers offline in one cellar: whose phone finds the network first must not decide whose word stands, nor
    whose is lost without a card."""
    one, other = Field(policy), Field(policy)
    for change in changes:
        one.take(change)
    for change in data.draw(st.permutations(changes)):
        other.take(change)
    assert one.end == other.end
    assert one.merged is not None
    assert other.merged is not None
    assert one.merged.stands.stamp == other.merged.stands.stamp
    assert {(c.value, c.stamp) for c in one.merged.waiting} == {
        (c.value, c.stamp) for c in other.merged.waiting
    }


@given(policy=st.sampled_from(POLICIES), changes=concurrent())
def test_no_value_is_lost_without_a_trace(policy: str, changes: list[Change]) -> None:
    """Every value that somebody wrote either stands or waits for a person: none is resolved silently."""
    field = Field(policy)
    for change in changes:
        field.take(change)
    stands, waiting = field.end
    assert {stands} | waiting == {change.value for change in changes}
    assert stands not in waiting
    best = max((rank(policy, Claim(id=c.id, value=c.value, stamp=c.stamp, author=c.author, office=c.office)), c.id)
               for c in changes)  # fmt: skip
    assert stands == next(c.value for c in changes if c.id == best[1])


@given(policy=st.sampled_from(POLICIES), changes=concurrent())
def test_a_change_that_comes_again_changes_nothing(policy: str, changes: list[Change]) -> None:
    """A phone whose acknowledgement was lost sends its day again: no field may jump back to what it held before."""
    field = Field(policy)
    for change in changes:
        field.take(change)
    before = field.end
    for change in changes:
        if not change.office:  # what is written at the desk is not sent again
            assert field.take(change).result in ("overtaken", "same", "lost")
            assert field.end == before


@given(
    policy=st.sampled_from(POLICIES),
    values=st.lists(st.sampled_from(["a", "b", "c"]), min_size=2, max_size=6),
    times=st.lists(st.integers(1, 50), min_size=6, max_size=6),
    base=st.sampled_from([1, None]),
)
def test_quick_changes_of_one_phone_never_meet_each_other(
    policy: str, values: list[str], times: list[int], base: int | None
) -> None:
    """Somebody types, looks, and types again before the phone has pulled: all name the same old revision, and its clock
    may be set back meanwhile. A conflict with oneself is the complaint that makes people switch sync off."""
    field = Field(policy)
    for n, value in enumerate(values):
        change = Change(
            id=str(n), value=value, stamp=Stamp(times[n], n + 1, "0" * 8), author="me", base_revision=base
        )
        assert field.take(change).result in ("taken", "same")
        assert field.end == (value, frozenset())


@given(
    policy=st.sampled_from(POLICIES),
    lengths=st.lists(st.integers(1, 3), min_size=2, max_size=3),
    data=st.data(),
)
def test_chains_of_several_phones_end_alike(policy: str, lengths: list[int], data: st.DataObject) -> None:
    """Several phones offline, each with a few changes of the same field: every interleaving of their uploads that keeps
    each phone's own order ends with the same value and the same cards, one for each phone that lost, with its last word."""
    chains = [
        [
            Change(
                id=f"{phone}.{n}",
                value=f"value {phone}.{n}",
                stamp=Stamp(data.draw(st.integers(1, 40)), n + 1, f"{phone:08x}"),
                author=DEVICES[phone],
                base_revision=1,
            )
            for n in range(length)
        ]
        for phone, length in enumerate(lengths)
    ]
    turns = [phone for phone, chain in enumerate(chains) for _ in chain]
    ends = []
    for _ in range(2):
        field, left = Field(policy), [list(chain) for chain in chains]
        for phone in data.draw(st.permutations(turns)):
            field.take(left[phone].pop(0))
        ends.append(field.end)
    assert ends[0] == ends[1]
    stands, waiting = ends[0]
    assert {stands} | waiting == {chain[-1].value for chain in chains}


def test_whoever_saw_it_replaces_it() -> None:
    """The engineer sees the office's value on the phone and corrects it: that is an answer, not a conflict."""
    for policy in POLICIES:
        field = Field(policy)
        field.take(_change("office", 10, office=True))
        assert field.take(_change("phone", 5, base_revision=field.revision)).result == "taken"
        assert field.end == ("phone", frozenset())


def test_either_measure_of_the_base_is_enough() -> None:
    """A client that sends values (RxDB, WatermelonDB) and one that sends revisions must both be believed: what they had
    seen is no conflict."""
    for seen in ({"base": "there"}, {"base_revision": 2}, {"knows": True}, {"base": "x", "base_revision": 2}):
        field = Field("newest")
        field.take(_change("there", 10, author="other"))
        assert field.take(replace(_change("mine", 20), **seen)).result == "taken", seen
    for unseen in ({}, {"base": "x"}, {"base_revision": 1}, {"base": "x", "base_revision": 1}):
        field = Field("newest")
        field.take(_change("there", 10, author="other"))
        assert field.take(replace(_change("mine", 20), **unseen)).result == "won", unseen


def test_policies_decide() -> None:
    """The name on the bell is the office's to decide, the engineer's note the engineer's, whoever was later."""
    table = {
        ("newest", 10, 20): "phone",
        ("newest", 20, 10): "office",
        ("office", 10, 20): "office",
        ("office", 20, 10): "office",
        ("phone", 10, 20): "phone",
        ("phone", 20, 10): "phone",
    }
    for (policy, office_ms, phone_ms), winner in table.items():
        changes = [_change("office", office_ms, office=True, author="user"), _change("phone", phone_ms)]
        for order in permutations(changes):
            field = Field(policy)
            for change in order:
                field.take(change)
            assert field.end == (winner, frozenset({"office", "phone"} - {winner})), (policy, order)


def test_a_value_that_stood_and_lost_is_answered_by_whoever_saw_it_stand() -> None:
    """B stood, A beat it, and a third phone that had pulled B corrects it: B's card would ask about a value that its own
    reader has already replaced."""
    field = Field("newest")
    field.take(_change("b", 10, author="B", base_revision=1))
    seen_b = field.revision
    field.take(_change("a", 20, author="A", base_revision=1))
    assert field.end == ("a", frozenset({"b"}))
    field.take(_change("d", 30, author="D", base_revision=seen_b))
    assert field.end == ("d", frozenset({"a"}))


@pytest.mark.parametrize("entity", sorted(DOCUMENTS))
def test_every_policy_is_known(entity: str) -> None:
    """A field declared with a policy that no rule knows would fail in the field, at its first conflict."""
    for policy in MERGE.get(entity, {}).values():
        assert policy in (*POLICIES, "counter")


def _change(
    value: str,
    ms: int,
    *,
    author: str = "me",
    office: bool = False,
    base_revision: int | None = None,
    base: Any = UNSET,
) -> Change:
    stamp = Stamp(ms, COUNTER_MAX, "f" * 8) if office else Stamp(ms, 1, author[:1] * 8)
    return Change(
        id=f"{author}-{ms}",
        value=value,
        stamp=stamp,
        author=author,
        office=office,
        base_revision=base_revision,
        base=base,
    )


def test_the_golden_histories_end_alike() -> None:
    """What authors of other clients check themselves against says what the rule promises: no order matters."""
    for history in vectors()["merge"]["histories"]:
        ends = {(end["stands"], tuple(end["waiting"])) for end in history["ends"]}
        assert len(ends) == 1, history["policy"]


def test_the_golden_steps_show_every_outcome() -> None:
    """A vector file that never shows an outcome lets a client pass that has it wrong."""
    steps = vectors()["merge"]["steps"]
    assert {step["result"] for step in steps} == set(get_args(Result))
    assert {step["policy"] for step in steps} == set(get_args(Policy))

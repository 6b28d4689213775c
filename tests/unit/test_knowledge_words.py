"""The words of a text, for the search."""

from hypothesis import given
from hypothesis import strategies as st

from callout_orders.knowledge.words import (
    QUERY_WORDS_MAX,
    WORD_CHARS_MAX,
    WORDS_MAX,
    asked,
    weighed,
    words,
)


def test_both_languages_are_cut_in_one_sentence() -> None:
    """Customers mix them: "充电桩 E07 reset 无效"."""
    found = words("充电桩报E07,Reset之后仍然无法充电。Chargers FAIL; code ABC-12")
    assert {"充电", "e07", "reset", "无法", "charger", "fail", "abc-12", "abc", "12"} <= set(found)
    assert "之后" in found
    assert "的" not in words("我的充电桩")


def test_spellings_of_one_word_are_one() -> None:
    """Full-width letters come from Chinese keyboards."""
    assert words("E07 RESET") == words("e07 reset")
    assert words("chargers") == words("charger")
    assert words("process pass is") == ["process", "pass"]
    # Words of every sentence stay out, also those that end like a plural.
    assert words("This does not work as it was") == ["work"]


def test_a_word_in_the_title_weighs_more() -> None:
    """What an article is about stands in its title."""
    found = weighed([("reset", 3.0), ("reset hold hold", 1.0)])
    assert found["reset"] == 4.0
    assert 1.0 < found["hold"] < 2.0


@given(st.text(max_size=400), st.integers(1, 30))
def test_any_text_has_bounded_words_that_can_be_stored(text: str, times: int) -> None:
    """A pasted log of a megabyte must neither fill the index nor break the database."""
    found = weighed([(text * times, 1.0)])
    assert len(found) <= WORDS_MAX
    assert all(0 < len(word) <= WORD_CHARS_MAX and "\x00" not in word for word in found)
    assert len(asked(text * times)) <= QUERY_WORDS_MAX
    for word in found:
        word.encode()

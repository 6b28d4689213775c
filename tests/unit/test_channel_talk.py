"""What a channel makes of what somebody writes: answers to its questions, words of the menu, and the rest."""

import pytest

from callout_orders.channels.conversations import talk
from callout_orders.channels.conversations.talk import Facts, Word
from callout_orders.checks import TEXT_CHARS_MAX

LABELS = {"contactPhone": ("phone", "电话"), "serial": ("serial",), "description": ("problem",)}


def heard(text: str, *asked: str, found: dict[str, str] | None = None) -> Facts:
    return talk.hear(Facts(texts=("It is loud",), asked=asked), text, found=found or {}, labels=LABELS)


@pytest.mark.parametrize(
    ("asked", "text", "path"),
    (
        (("contactPhone", "serial"), "1390000000", "contactPhone"),  # a digit too few: to be said so
        (("contactPhone", "contactEmail"), "ann at home@x", "contactEmail"),
        (("contactPhone", "serial"), "SN-77", "serial"),
        (("errorCode", "contactName"), "E07", "errorCode"),
        (("serial", "contactName"), "Ann", "contactName"),  # no machine is called so
        (("contactName", "address"), "李雷", "contactName"),
        (("serial", "address"), "1 Main St", "address"),
        (("serial", "fields.floor"), "the second one", "fields.floor"),
        (("files", "fields.floor"), "2", "fields.floor"),
    ),
)
def test_a_bare_text_answers_what_was_asked(asked: tuple[str, ...], text: str, path: str) -> None:
    """Somebody who answers without saying to what would be asked the same for ever."""
    facts = heard(text, *asked)
    assert (facts.values, facts.texts) == ({path: text}, ("It is loud",))


@pytest.mark.parametrize(
    ("asked", "text"),
    (
        (("contactPhone", "serial"), "and it leaks"),
        (("contactPhone",), "why do you need it?"),
        (("contactEmail",), "I have none"),
        (("errorCode", "serial"), "where do I find it"),
        (("serial",), "泵房在地下室"),
        (("files",), "it is the left one"),
        (("description", "contactName"), "Ann"),
        (("contactName",), "x" * 301),
        ((), "13800138000"),
    ),
)
def test_what_answers_nothing_goes_on_describing(asked: tuple[str, ...], text: str) -> None:
    """“And it leaks” would be taken for the serial number, refused as one, and be lost."""
    facts = heard(text, *asked)
    assert (facts.values, facts.texts) == ({}, ("It is loud", text))


def test_labels_and_finds_come_before_guesses() -> None:
    """Who writes a form's worth of lines would have their telephone read as part of the fault."""
    facts = heard("Phone: 138\n电话：139\nproblem: it leaks\nother: stays", "serial")
    assert facts.values == {"contactPhone": "139"}
    assert facts.texts == ("It is loud", "it leaks\nother: stays")
    found = heard("call 13800138000", "contactPhone", found={"contactPhone": "+8613800138000"})
    assert (found.values, found.texts) == ({"contactPhone": "+8613800138000"}, ("It is loud",))
    more = heard(
        "call 13800138000, the cellar is full of water", "contactPhone", found={"contactPhone": "+86138"}
    )
    assert len(more.texts) == 2


def test_no_conversation_grows_without_end() -> None:
    """Each message is written again with all that came before it."""
    facts = Facts()
    for n in range(200):
        facts = talk.hear(facts, f"key{n}: {'x' * 900}", found={}, labels={f"fields.k{n}": (f"key{n}",)})
        facts = talk.hear(facts, "y" * 900, found={}, labels={})
    assert len(facts.values) == talk.VALUES_MAX
    assert f"fields.k{199}" in facts.values
    assert sum(map(len, facts.texts)) < TEXT_CHARS_MAX + 900
    assert len(facts.description()) == TEXT_CHARS_MAX


@pytest.mark.parametrize(
    ("text", "word"),
    (
        ("Status.", Word.STATUS),
        ("进度。", Word.STATUS),
        (" did  not help! ", Word.NOT_SOLVED),
        ("？", Word.HELP),
        ("人工", Word.AGENT),
        ("cancel the order of pumps", None),
        ("the agent", None),
    ),
)
def test_a_word_of_the_menu_is_a_whole_message(text: str, word: Word | None) -> None:
    """A sentence in which the word stands would cancel a request."""
    assert talk.word_of(text) is word

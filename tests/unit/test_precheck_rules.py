"""The pre-check's rules without a database: telephones, serials, required fields, attachments, expressions, tags."""

import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callout_orders.checks import Gather
from callout_orders.kinds.terms import (
    AttachmentCheck,
    DescriptionCheck,
    ExpressionCheck,
    Kind,
    Label,
    PhoneCheck,
    RequiredCheck,
    SerialCheck,
    Step,
)
from callout_orders.precheck import rules
from callout_orders.precheck.product_terms import fits, product
from callout_orders.precheck.rules import Facts
from callout_orders.precheck.terms import RequestFile
from callout_orders.precheck.text import phones, serials
from callout_orders.precheck.text.builtin_words import BUILT_IN, LABELS
from callout_orders.precheck.text.tags import Keyword, Tagger, proposals_of, tags_of
from callout_orders.precheck.text.words import fold

PILE = product(
    "CP-60", "Charging pile", "充电桩", pattern=r"CP-\d{4}-[A-Z]{2}\d{6}", example="CP-2024-AB123456"
)
LIFT = product("LIFT-9", "Lift", "电梯", pattern=r"L9[A-Z]\d{7}", example="L9A0000001")
OPEN = product("MISC", "Anything else", "其他")
STEP = Step(code="one", label=Label(en="One", zh="一"), owner="handler")


def kind(*checks: Any) -> Kind:
    return Kind(code="repair", label=Label(en="Repair", zh="维修"), checks=checks, steps=(STEP,))


def faults(of: Kind, products: tuple[Any, ...] = (PILE, LIFT), **facts: Any) -> dict[str, str]:
    """What is refused, by path; the reason, and both sentences filled in."""
    gather = Gather()
    given = {"given": {}, "channel": "web_form", **facts}
    given["order"] = {"description": given["given"].get("description", ""), **given.get("order", {})}
    rules.judge(of, Facts(**given), products, gather)
    for fault in gather.faults:
        why = fault.why  # type: ignore[union-attr]
        assert not re.search(r"\{\w*\}", why("en") + why("zh"))
        assert re.search("[一-鿿]", why("zh"))
    return {str(fault.path): str(fault.details["reason"]) for fault in gather.faults}


@pytest.mark.parametrize(
    ("given", "e164", "form"),
    (
        ("13800138000", "+8613800138000", "mobile"),
        ("138 0013 8000", "+8613800138000", "mobile"),
        ("１３８－００１３－８０００", "+8613800138000", "mobile"),
        ("+86 13800138000", "+8613800138000", "mobile"),
        ("8613800138000", "+8613800138000", "mobile"),
        ("010-62345678", "+861062345678", "landline"),
        ("(0571) 88888888 转 12", "+8657188888888", "landline"),
        ("400-820-8820", "+864008208820", "service"),
        ("8008208820", "+868008208820", "service"),
        ("+1 (415) 555-2671", "+14155552671", "mobile"),
        ("+44 20 7946 0958", "+442079460958", "landline"),
        # As people answer when they were asked for it.
        ("我的电话是13800138000", "+8613800138000", "mobile"),
        ("手机号:138 0013 8000", "+8613800138000", "mobile"),
        ("Phone no. +1 415 555 2671", "+14155552671", "mobile"),
    ),
)
def test_telephones_in_their_many_spellings(given: str, e164: str, form: str) -> None:
    """A customer would be told that their own number does not exist."""
    phone = phones.read(given, ("CN",))
    assert (phone.e164, phone.form) == (e164, form)


@pytest.mark.parametrize(
    ("given", "reason", "digits"),
    (
        ("1380013800", "phone_digits", 10),
        ("138001380001", "phone_digits", 12),
        ("4155552671", "phone_digits", 10),
        ("62345678", "phone_digits", 8),
        ("12345678901", "phone_digits", 11),
        ("4001234", "phone_digits", 7),
        ("电话1380013800", "phone_digits", 10),
        ("call me", "phone", 0),
        ("138-0013-800O", "phone", 0),
        ("+86 1380013800", "phone", 12),
        ("1" * 40, "phone", 0),
    ),
)
def test_a_number_that_nobody_can_dial_says_how_many_digits_it_has(
    given: str, reason: str, digits: int
) -> None:
    """Ten digits of a mobile number read like eleven; the caller would never be reached."""
    with pytest.raises(phones.BadPhone) as bad:
        phones.read(given, ("CN",))
    assert (bad.value.reason, bad.value.digits) == (reason, digits)


def test_forms_and_countries_that_a_kind_asks_for() -> None:
    """A text message would be sent to a landline, or a call to a country that is not served."""
    mobile = kind(PhoneCheck(forms=("mobile",), countries=("CN",)))
    assert faults(mobile, given={"contact_phone": "13800138000"}) == {}
    assert faults(mobile, given={"contact_phone": "010-62345678"}) == {"contactPhone": "phone_kind"}
    assert faults(mobile, given={"contact_phone": "+1 415 555 2671"}) == {"contactPhone": "phone_country"}
    assert faults(mobile, given={"contact_phone": "1380013800"}) == {"contactPhone": "phone_digits"}
    assert faults(mobile, given={}) == {}


@pytest.mark.parametrize(
    ("serial", "named", "expected"),
    (
        ("CP-2024-AB123456", None, {}),
        ("cp2024ab123456", "CP-60", {}),
        ("ＣＰ 2024 AB 123456", "充电桩", {}),
        ("L9A1234567", "CP-60", {"serial": "serial_other_product"}),
        ("CP-24-AB123456", "CP-60", {"serial": "serial_product"}),
        ("XX-1", None, {"serial": "serial_unknown"}),
        ("CP-2024-AB123456", "Toaster", {"product": "product_unknown"}),
        ("", None, {}),
    ),
)
def test_serials_by_the_pattern_of_their_product(
    serial: str, named: str | None, expected: dict[str, str]
) -> None:
    """A technician would bring the parts of another machine."""
    of = kind(SerialCheck())
    assert faults(of, given={"serial": serial, "product": named}) == expected


def test_a_serial_is_kept_as_its_product_writes_it() -> None:
    """One machine would have three histories, one for each way to write its serial."""
    spellings = ("CP-2024-AB123456", "cp2024ab123456", "CP 2024/AB.123456", "ｃｐ２０２４ａｂ１２３４５６")
    assert {fits(one, (PILE, LIFT)) for one in spellings} == {(PILE, "CP-2024-AB123456")}
    assert {serials.key(one) for one in spellings} == {"CP2024AB123456"}


def test_without_patterns_a_serial_has_only_to_look_like_one() -> None:
    """A company that has not typed in its products yet could take in no order at all."""
    of = kind(SerialCheck())
    assert faults(of, (), given={"serial": "SN-00/12 A"}) == {}
    assert faults(of, (PILE, OPEN), given={"serial": "SN-0012"}) == {}
    assert faults(of, (), given={"serial": "unknown"}) == {"serial": "serial_form"}
    assert faults(of, (), given={"serial": "没有"}) == {"serial": "serial_form"}
    assert faults(of, given={"serial": "OLD 77"}, known={"serial": "old-77"}) == {}


@pytest.mark.parametrize(
    ("pattern", "reason"),
    (
        (r"(a+)+", "pattern_group"),
        (r"(?:[A-Z]{1,9}){1,9}", "pattern_group"),
        (r"[A-Z]*", "pattern_sign"),
        (r"\d+", "pattern_sign"),
        (r".+A", "pattern_sign"),
        (r"(?=A)\d{3}", "pattern_group"),
        (r"\w{8}", "pattern_sign"),
        (r"(A)\1", "pattern_sign"),
        (r"[^A]{5}", "pattern_class"),
        (r"[Z-A]{5}", "pattern_class"),
        (r"\d{0,40}\d{0,40}\d{0,40}", "pattern_ways"),
        (r"(?:A|AA){20}", "pattern_ways"),
        (r"\d{5,3}", "pattern_count"),
        (r"\d{81}", "pattern_count"),
        (r"\d{60}[A-Z]{60}", "pattern_takes"),
        (r"\d", "pattern_short"),
        ("A" * 201, "pattern_long"),
        ("", "pattern_short"),
    ),
)
def test_patterns_that_could_be_slow_are_refused(pattern: str, reason: str) -> None:
    """One pattern typed into a form would hold up every order of the organisation."""
    with pytest.raises(serials.BadPattern) as bad:
        serials.compiled(pattern)
    assert bad.value.reason == reason


@given(
    st.from_regex(r"\A(?:[A-C]|\\d|\[A-C0-4\]|\(\?:A\|BC\)|-|\{2\}|\{1,3\}|\?){1,14}\Z"),
    st.text("ABC01-", max_size=40),
)
def test_a_pattern_that_is_taken_means_what_it_says(pattern: str, text: str) -> None:
    """A serial that fits by the book would be refused at the door, or the other way round."""
    try:
        ours = serials.compiled(pattern)
    except serials.BadPattern:
        return
    plain = re.compile(re.sub(r"(?<!\\)-(?![^\[]*\])", "", pattern))
    compact = serials.key(text)
    assert (ours.fit(text) is not None) == (plain.fullmatch(compact) is not None)
    if (kept := ours.fit(text)) is not None:
        assert serials.key(kept) == compact
        assert ours.fit(kept) == kept


def test_what_stands_on_the_asset_or_contact_is_not_asked_for_again() -> None:
    """A customer of ten years would have to type in the number that the house calls every month."""
    of = kind(RequiredCheck(fields=("contact_phone", "serial", "description")))
    assert faults(of, given={}) == {"contactPhone": "needed", "serial": "needed", "description": "needed"}
    known = {"contact_phone": "+8613800138000", "serial": "CP-2024-AB123456"}
    assert faults(of, given={"description": "x"}, known=known) == {}


def test_required_fields_differ_by_channel() -> None:
    """The hotline's agent hears the caller's name; a form that does not ask for it must not refuse for want of it."""
    of = kind(RequiredCheck(fields=("contact_name",), channels=("hotline",)))
    assert faults(of, channel="web_form") == {}
    assert faults(of, channel="hotline") == {"contactName": "needed"}


def test_pictures_are_asked_for_where_words_say_so() -> None:
    """ "Cannot reproduce" without a picture is a drive for nothing; the same words inside another word are not meant."""
    of = kind(AttachmentCheck(words=("cannot reproduce", "无法复现"), media=("image/",)))
    for text, refused in (
        ("It flickers, we CANNOT  reproduce it", False),
        ("It flickers, we CANNOT reproduce it", True),
        ("偶尔黑屏,无法复现", True),
        ("they cannot reproduced", False),
        ("broken", False),
    ):
        assert ("files" in faults(of, given={"description": text})) == refused, text
    picture = (RequestFile(media_type="image/jpeg"),)
    assert faults(of, given={"description": "无法复现"}, files=picture) == {}
    two = kind(AttachmentCheck(count_min=2, when="order.channel == 'chat'"))
    assert faults(two, given={}, files=picture) == {}
    assert faults(two, given={}, files=picture, order={"channel": "chat"}) == {"files": "attachment_needed"}


def test_an_expression_refuses_with_its_own_words_and_a_broken_one_refuses_nobody() -> None:
    """A rule with a mistake in it would shut the door to everybody, and nobody would ever learn which one it is."""
    message = Label(en="Gold customers call their manager", zh="金牌客户请联系客户经理")
    of = kind(
        ExpressionCheck(refuse_when="order.tier == 'gold'", message=message, path="customerId"),
        # What is not known holds of nothing, and is no mistake.
        ExpressionCheck(refuse_when="order.nonsense > 3", message=message),
        ExpressionCheck(refuse_when="order.tier > 3", message=message),
        AttachmentCheck(when="order.tier"),
    )
    gather = Gather()
    judged = rules.judge(of, Facts(channel="chat", given={}, order={"tier": "gold", "tags": []}), (), gather)
    assert [fault.path for fault in gather.faults] == ["customerId"]
    assert gather.faults[0].why("zh") == message.zh  # type: ignore[union-attr]
    assert [why.partition(": ")[0] for why in judged.broken] == ["order.tier > 3", "order.tier"]


def test_a_description_has_to_say_something() -> None:
    """ "坏了" tells nobody what to bring."""
    of = kind(DescriptionCheck(chars_min=6))
    assert faults(of, given={"description": " 坏 了 "}) == {"description": "description_short"}
    assert faults(of, given={"description": "屏幕不亮了啊"}) == {}


# ---------------------------------------------------------------------------------------------------- tags


def found(text: str, *keywords: Keyword) -> list[str]:
    return [hit.tag for hit in tags_of(Tagger(keywords).hits(text))]


def test_latin_words_stand_alone_and_chinese_ones_anywhere() -> None:
    """ "Steam" would be tagged for tea, and 漏水 would be found only between blanks."""
    leak, tea = Keyword("leak", "leak"), Keyword("tea", "tea")
    water = Keyword("漏水", "water")
    assert found("The LEAK is large", leak) == ["leak"]
    assert found("leakage everywhere", leak) == []
    assert found("steam, steak, teapot", tea) == []
    assert found("ＬＥＡＫ!", leak) == ["leak"]
    assert found("厨房漏水了", water) == ["water"]
    assert found("设备leak严重", leak) == ["leak"]
    assert found("leak2 and 2leak", leak) == []


def test_a_longer_word_hides_the_shorter_inside_of_it() -> None:
    """ "No leak" would be tagged as a leak, and 消防站 as a fire."""
    keywords = (
        Keyword("leak", "leak"),
        Keyword("no leak"),
        Keyword("power", "power"),
        Keyword("power bank", "shop"),
    )
    assert found("there is no leak here", *keywords) == []
    assert found("no leak there, but a leak here", *keywords) == ["leak"]
    assert found("power bank", *keywords) == ["shop"]
    built = Tagger(BUILT_IN)
    assert [hit.tag for hit in tags_of(built.hits("管道未漏水,消防站旁边"))] == []
    assert [hit.tag for hit in tags_of(built.hits("管道漏水,还起火了"))] == ["leak", "safety"]


def test_words_propose_the_most_urgent_priority_and_say_why() -> None:
    """A fire would wait behind a question because the mail began with one."""
    hits = Tagger(BUILT_IN).hits("How do I report smoke? 请问怎么报修,机房冒烟了")
    (priority,) = proposals_of(hits)
    assert (priority.field, priority.value) == ("priority", "P0")
    assert "smoke" in priority.en
    assert "冒烟" in priority.zh
    (question,) = proposals_of(Tagger(BUILT_IN).hits("请问如何重置密码"))
    assert question.value == "P2"
    assert proposals_of(Tagger(BUILT_IN).hits("hello")) == ()


def test_built_in_words_are_folded_once_and_have_labels() -> None:
    """A keyword that was typed in capital letters would never be found."""
    assert all(keyword.word == fold(keyword.word) for keyword in BUILT_IN)
    tags = {keyword.tag for keyword in BUILT_IN if keyword.tag}
    assert tags == set(LABELS)
    assert all(label["en"] and label["zh"] for label in LABELS.values())
    for tag in tags:
        words = [keyword.word for keyword in BUILT_IN if keyword.tag == tag]
        assert any(word.isascii() for word in words), tag
        assert any(not word.isascii() for word in words), tag


@given(
    st.lists(st.text("abc 漏水冒烟", min_size=1, max_size=4), max_size=8),
    st.text("abc 漏水冒烟", max_size=30),
)
def test_every_hit_is_a_keyword_that_stands_there(words: list[str], text: str) -> None:
    """The form would underline other words than those that made the tag."""
    hits = Tagger(Keyword(word, word) for word in words).hits(text)
    assert all(text[hit.start : hit.end] == hit.keyword.word for hit in hits)
    assert [hit.start for hit in hits] == sorted(hit.start for hit in hits)


def test_thousands_of_keywords_take_one_pass(capsys: pytest.CaptureFixture[str]) -> None:
    """The time to tag must hang on the text, not on how many words a company has typed in."""
    tagger = Tagger(Keyword(f"word{n}x", f"tag{n % 50}") for n in range(5_000))
    text = ("the pump in cellar word77x makes a noise and 水泵漏水 " * 50)[:2_000]
    started = time.perf_counter()
    hits = tagger.hits(text)
    with capsys.disabled():
        print(
            f"\n5,000 keywords over {len(text)} characters: {(time.perf_counter() - started) * 1000:.2f} ms"
        )
    assert {hit.keyword.tag for hit in hits} == {"tag27"}

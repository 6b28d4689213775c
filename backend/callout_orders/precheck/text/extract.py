"""Contact, telephone, e-mail, serial, error code, product and address from free text in Chinese and English.

Pure: a text, the products and the regions in; finds out, each with where it stands and how sure it is. The text is
compared in half width (`words.narrow`), so positions are those of what was written. What looks like a telephone number
and is an order number, a date, an amount or an address of the internet is claimed first by what it is, and so is lost to
the others.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Final

from callout_orders.precheck.product_terms import Product, fits
from callout_orders.precheck.text import addresses, names, phones, serials
from callout_orders.precheck.text.finds import Find, settled
from callout_orders.precheck.text.words import fold, is_word, narrow

TEXT_CHARS_MAX: Final = 4000
SPANS_MAX: Final = 400
"""Runs of letters and digits that are held against the products' patterns: a text made of nothing else takes no longer."""
GROUPS_MAX: Final = 6
"""Groups of letters and digits, with blanks or hyphens between, that may be one serial."""

_NUMBER_WORDS: Final = (
    r"订单号?|工单号?|单号|流水号|运单号?|快递|发票|合同号?|身份证号?|卡号|账号|帐号|户号|编号|批次号?|版本|型号"
    r"|order(?:\s+(?:no|number|id|ref))?|invoice|tracking|ticket|case|reference|ref|account|acct|contract|batch|version"
    r"|card|po|policy|claim|confirmation|parcel|apn|permit"
)
_NOTHING: Final = re.compile(
    rf"""
      (?<![\d.])\d{{1,3}}(?:\.\d{{1,3}}){{3}}(?![\d.])                         # an address of the internet
    | (?:19|20)\d\d\s*[-/.年]\s*\d{{1,2}}\s*[-/.月]\s*\d{{1,2}}\s*日?            # a day
        (?:[\sT]*\d{{1,2}}:\d\d(?::\d\d)?)?
    | (?<!\d)\d{{1,2}}/\d{{1,2}}/(?:19|20)?\d\d(?!\d)
    | (?<!\d)\d{{1,2}}:\d\d(?::\d\d)?(?!\d)
    | (?:[¥$€£]|rmb|usd|cny)\s*\d[\d,]*(?:\.\d+)?                              # money
    | (?<![\w.])\d[\d,]*(?:\.\d+)?\s*(?:元|块|美元|万|%|kwh|kw|kva|mah|mm|cm|km|kg|gb|mb|ghz|mhz|hz
        |dollars?|usd|rmb)(?![a-z])
    | (?:\b|(?<=[一-鿿]))(?:{_NUMBER_WORDS})\s*(?:为|是|is|no\.?|number)?\s*[#:.]?\s*[\[\(]?
        (?=[a-z0-9-]*\d)[a-z0-9][a-z0-9-]{{3,}}                                 # a number of something else
    | \#\d{{4,}}
    | https?://\S+ | www\.\S+
    | (?<!\d)\d{{12,}}(?!\d)
    """,
    re.VERBOSE,
)
_EMAIL: Final = re.compile(
    r"(?<![a-z0-9_.+-])[a-z0-9][a-z0-9._%+-]{0,63}@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.){1,8}[a-z]{2,24}(?![a-z0-9_-])"
)
_PHONE: Final = re.compile(
    r"(?<![a-z0-9_.+/@#-])(?:\+|00)?\(?\d[\d\s().-]{5,22}\d(?:\s*(?:转|分机|ext\.?|x)\s*\d{1,6})?(?![a-z0-9_/@]|\.\d|-[a-z0-9])"
)
_PHONE_CUE: Final = re.compile(
    r"(?:电话|手机|联系方式|致电|拨打|来电|回电|打给|联系我|tel|phone|mobile|cell|call|reach|text|fax|dial|ring|contact)"
    r"[^\d\n]{0,24}$"
)
_FAX: Final = re.compile(r"(?:传真|fax)[^\d\n]{0,6}$")
_SERIAL_CUE: Final = re.compile(
    r"(?:序列号|设备号|设备编号|机身号|机身码|出厂编号|出厂号|桩号|桩编号|机器号|资产号"
    r"|(?<![a-z])s/?n(?![a-z])|(?<![a-z])serial(?:\s*(?:no|number|num|nr))?)"
    r"\s*(?:为|是|:|is|no|number|#|\.|号|=|-)*\s*[\"'(\[]?\s*"
    r"(?P<serial>[a-z0-9][a-z0-9]*(?:[-._/ ](?=[a-z]*\d)[a-z0-9]+){0,5})"
)
_RUN: Final = re.compile(r"[a-z0-9]+(?:[-._/ ][a-z0-9]+){0,200}")
_GROUP: Final = re.compile(r"[a-z0-9]+")
_CODE_CUE: Final = re.compile(
    r"(?:错误代码|错误码|故障代码|故障码|报错代码|报错码|报警代码|报警码|报错|报警|告警|(?<!举)报(?=[a-z])|故障|错误|代码|提示|显示"
    r"|(?<![a-z])(?:error|err|fault|alarm|warning)(?:\s*(?:code|no|number))?|(?<![a-z])(?:code|display(?:s|ed|ing)?|shows?|showing))"
    r"\s*(?:为|是|了|:|is|says|of|#|=|'|\"|-)*\s*"
    r"(?P<code>0x[0-9a-f]{2,8}|(?:err|er|[a-z]{1,3})[- ]?\d{1,4}[a-z]?|\d{2,5})(?!\w|[:.]\w|\s*(?:年|月|日|%))"
)
_CODE_ALONE: Final = re.compile(r"(?<![\w.-])(?P<code>e-?\d{2,3}|err-?\d{1,3}|0x[0-9a-f]{8})(?![\w.-])")
_CODE_NOT_AFTER: Final = re.compile(
    r"\s*(?:号|栋|座|楼|室|层|排|出口|房|单元|门|路|公交|key\b|gate\b|bus\b|street\b)"
)
_CODE_NOT_BEFORE: Final = re.compile(
    r"(?:room|floor|seat|gate|unit|bus|route|exit|座|楼|栋|室|按|键|press)\s*$"
)
_CODE_WEAK: Final = frozenset({"代码", "提示", "显示", "code", "故障", "错误", "warning"})


def extract(
    text: str,
    *,
    products: Sequence[Product] = (),
    regions: Sequence[str] = ("CN", "US"),
) -> list[Find]:
    """Everything that is found in the first `TEXT_CHARS_MAX` characters, in the order of the text; finds do not overlap.

    `regions` are the countries whose numbers are written without a country code here, the likeliest first.
    """
    text = text[:TEXT_CHARS_MAX]
    small = fold(text)
    slim = narrow(text)
    taken = [(m.start(), m.end()) for m in _NOTHING.finditer(small)]
    finds: list[Find] = []
    emails = list(_emails(small))
    finds += emails
    taken += [(find.start, find.end) for find in emails]
    finds += _serials(small, products, taken)
    finds += _phones(small, regions, taken)
    finds += _codes(small, taken)
    finds += _products(small, products)
    finds += addresses.addresses(slim)
    finds += names.names(slim)
    return settled(finds)


def misread_phone(text: str, regions: Sequence[str]) -> str | None:
    """The first number that the text calls a telephone number and that nobody can dial, for want of digits or with too many:
    who wrote it has to be told that, and not that they wrote none."""
    text = text[:TEXT_CHARS_MAX]
    small = fold(text)
    taken = [(m.start(), m.end()) for m in _NOTHING.finditer(small)]
    for found in _PHONE.finditer(small):
        before = small[max(0, found.start() - 40) : found.start()]
        if not _PHONE_CUE.search(before) or _FAX.search(before) or not _clear(*found.span(), taken):
            continue
        try:
            phones.read(found[0], regions)
        except phones.BadPhone as fault:
            if fault.reason == "phone_digits":
                return found[0].strip()
    return None


def _clear(start: int, end: int, taken: Sequence[tuple[int, int]]) -> bool:
    return not any(start < stop and begin < end for begin, stop in taken)


def _emails(small: str) -> Iterator[Find]:
    for found in _EMAIL.finditer(small):
        yield Find(
            field="contact_email", value=found[0], start=found.start(), end=found.end(), confidence=0.98
        )


def _phones(small: str, regions: Sequence[str], taken: Sequence[tuple[int, int]]) -> Iterator[Find]:
    for found in _PHONE.finditer(small):
        for start, end in _numbers_in(found.start(), found[0]):
            given = small[start:end]
            if not _clear(start, end, taken):
                continue
            before = small[max(0, start - 40) : start]
            try:
                phone = phones.read(given, regions)
            except phones.BadPhone:
                continue
            if _FAX.search(before):
                continue
            cued = _PHONE_CUE.search(before) is not None
            plain = given.isdigit()
            if (phone.country == "CN" and phone.form == "mobile") or given.startswith("+") or cued:
                sure = 0.95
            elif plain:
                # Ten or eleven digits in a row without a word for it may be anything.
                sure = 0.5
            else:
                sure = 0.85
            yield Find(field="contact_phone", value=phone.e164, start=start, end=end, confidence=sure)
            break


def _numbers_in(at: int, run: str) -> Iterator[tuple[int, int]]:
    """The run itself; then, where blanks group it into several numbers, each of them alone."""
    tail = len(run) - len(run.rstrip(" .-("))
    yield at, at + len(run) - tail
    if " " in run.strip():
        for part in re.finditer(r"\S{7,}", run):
            yield at + part.start(), at + part.end()


def _serials(small: str, products: Sequence[Product], taken: Sequence[tuple[int, int]]) -> Iterator[Find]:
    patterned = [one for one in products if one.pattern is not None]
    lengths = frozenset(
        length
        for one in patterned
        if one.pattern is not None
        for length in range(one.pattern.chars_min, one.pattern.chars_max + 1)
    )
    for found in _SERIAL_CUE.finditer(small):
        start, end = found.span("serial")
        best = _longest(small, start, patterned, lengths)
        if best is not None:
            yield best
            continue
        # Without a pattern the serial ends at the first blank, and an SN that hangs on it by a hyphen is its beginning.
        end = start + len(small[start:end].split(" ", 1)[0])
        if small[found.start() : start] == "sn-":
            start = found.start()
        given = small[start:end]
        if len(serials.key(given)) >= 4 and any(char.isdigit() for char in given):
            yield Find(field="serial", value=given.upper(), start=start, end=end, confidence=0.85)
    if not lengths:
        return
    spans = (span for run in _RUN.finditer(small) for span in _spans(small, run.start(), run.end(), lengths))
    for start, end in itertools.islice(spans, SPANS_MAX):
        hit = fits(small[start:end], patterned)
        if hit is None or hit[0].pattern is None:
            continue
        # Letters and digits in just this order are nothing else, whatever word stands before ("machine number").
        if hit[0].pattern.digits_only and not _clear(start, end, taken):
            continue
        sure = 0.95 if not hit[0].pattern.digits_only else 0.5
        yield Find(field="serial", value=hit[1], start=start, end=end, confidence=sure)


def _longest(small: str, start: int, products: Sequence[Product], lengths: frozenset[int]) -> Find | None:
    """The longest serial that begins here; the cue's own pattern may have ended early."""
    run = _RUN.match(small, start)
    for begin, stop in _spans(small, start, run.end(), lengths) if run else ():
        hit = fits(small[begin:stop], products) if begin == start else None
        if hit is not None:
            return Find(field="serial", value=hit[1], start=begin, end=stop, confidence=0.98)
    return None


def _spans(small: str, start: int, end: int, lengths: frozenset[int]) -> Iterator[tuple[int, int]]:
    """Every run of neighbouring groups with a digit between `start` and `end`, the longest first, that has as many letters
    and digits as a serial may have."""
    groups = [(start + m.start(), start + m.end()) for m in _GROUP.finditer(small[start:end])]
    before = [0]
    for begin, stop in groups:
        before.append(before[-1] + stop - begin)
    for size in range(min(len(groups), GROUPS_MAX), 0, -1):
        for first in range(len(groups) - size + 1):
            if before[first + size] - before[first] in lengths:
                begin, stop = groups[first][0], groups[first + size - 1][1]
                if any(char.isdigit() for char in small[begin:stop]):
                    yield begin, stop


def _codes(small: str, taken: Sequence[tuple[int, int]]) -> Iterator[Find]:
    for found in _CODE_CUE.finditer(small):
        start, end = found.span("code")
        cue = small[found.start() : start]
        weak = any(cue.startswith(word) for word in _CODE_WEAK) and "码" not in cue and "error" not in cue
        letters = small[start].isalpha() or small.startswith("0x", start)
        if not _clear(start, end, taken) or (not letters and not _names_code(cue)):
            continue
        if not _names_code(cue) and _CODE_NOT_AFTER.match(small, end):
            continue
        sure = 0.95 if _names_code(cue) else 0.75 if letters and weak else 0.85
        yield Find(field="error_code", value=_code(small[start:end]), start=start, end=end, confidence=sure)
    for found in _CODE_ALONE.finditer(small):
        start, end = found.span("code")
        before = _CODE_NOT_BEFORE.search(small[max(0, start - 10) : start])
        if _clear(start, end, taken) and not before and not _CODE_NOT_AFTER.match(small, end):
            yield Find(
                field="error_code", value=_code(small[start:end]), start=start, end=end, confidence=0.75
            )


def _names_code(cue: str) -> bool:
    return "码" in cue or "代码" in cue or cue.startswith(("err", "fault", "alarm"))


def _code(given: str) -> str:
    """As it is kept: capital letters, nothing between letters and digits (`E-07` and `e 07` are E07)."""
    return given.lower() if given.startswith("0x") else re.sub(r"[- ]", "", given).upper()


def _products(small: str, products: Sequence[Product]) -> Iterator[Find]:
    for product in products:
        for word in product.words:
            at = small.find(word)
            while at >= 0:
                end = at + len(word)
                if _stands_alone(small, at, end):
                    yield Find(field="product", value=product.code, start=at, end=end, confidence=0.9)
                    break
                at = small.find(word, at + 1)


def _stands_alone(small: str, start: int, end: int) -> bool:
    """Whether no letter or digit goes on before or after: `AC-7` is not in `AC-70`."""
    before = start > 0 and is_word(small[start - 1]) and is_word(small[start])
    after = end < len(small) and is_word(small[end]) and is_word(small[end - 1])
    return not before and not after

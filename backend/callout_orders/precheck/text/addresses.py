"""Addresses in free text: Chinese ones from province to room, English ones from house number to post code. Pure; the text
comes in half width."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from rapidfuzz import fuzz

from callout_orders.precheck.text.finds import Find
from callout_orders.precheck.text.words import fold

ALIKE: Final = 92.0
"""From which likeness (0..100) two ways of writing an address are one."""
_PROVINCES: Final = (
    "北京|上海|天津|重庆|河北|山西|辽宁|吉林|黑龙江|江苏|浙江|安徽|福建|江西|山东|河南|湖北|湖南|广东|海南|四川|贵州|云南|陕西|"
    "甘肃|青海|台湾|内蒙古|广西|西藏|宁夏|新疆|香港|澳门"
)
_KINDS_OF_PROVINCE: Final = "省|市|自治区|壮族自治区|回族自治区|维吾尔自治区|特别行政区"
# A part's own name holds none of these: they end a part, or are words of the sentence around it.
_N: Final = (
    r"(?:(?![省市区县镇乡村路街道巷弄号在于到的地址是为我们住位去来请与及,。、])(?!和(?![平谐]))[一-鿿])"
)
_BUILDINGS: Final = "|".join(
    (
        "小区|花园|大厦|广场|公寓|家园|苑|园区|现代城|商城|城|工业园|产业园",
        "科技园|商场|医院|学校|酒店|中心|大学|车站|机场|新村",
    )
)
_TAIL: Final = "".join(
    (
        # 138号, 12-3号院
        r"(?:\d{1,5}(?:-\d{1,4})?号(?:院|楼|门(?!口))?)?",
        rf"(?:[ ]?(?:{_N}{{2,8}})(?:{_BUILDINGS}))?",
        # A座, 5幢, 12号楼
        r"(?:[ ]?[A-Za-z]?\d{0,4}(?:-\d{1,4})?[A-Za-z]?(?:号楼|栋|幢|座|号院|期|号门(?!口)))?",
        r"(?:[ ]?(?:\d{1,3}|[一二三四五六七八九十])单元)?",
        r"(?:[ ]?[A-Za-z]?\d{1,3}(?:层|楼|F))?",
        r"(?:[ ]?[A-Za-z]?\d{1,5}(?:-\d{1,4})?(?:室|房|号房|户|铺)|(?<=单元)[ ]?\d{3,4}(?!\d))?",
    )
)
_STREET: Final = (
    rf"{_N}{{1,12}}?(?:[东南西北中]?(?:大道|大街|路|街|巷|弄|胡同|道))(?:[东南西北中一二三四五六七八九十]段)?"
)
_ZH: Final = re.compile(
    "".join(
        (
            rf"(?P<head>(?:(?:中国)?(?:{_PROVINCES})(?:{_KINDS_OF_PROVINCE})?[ ]?)?",
            rf"(?:{_N}{{1,8}}(?:市|自治州|地区|盟)[ ]?)?",
            rf"(?:(?:{_N}{{1,8}}|市[南北中])(?:区|县|旗|市)[ ]?)?",
            rf"(?:{_N}{{1,8}}(?:镇|乡|街道|开发区|村)[ ]?)?)",
            rf"(?P<street>{_STREET}(?:[ ]?\d{{1,4}}弄)?)?",
            rf"[ ]?(?P<tail>{_TAIL})",
        )
    )
)
_ZH_CUE: Final = re.compile(r"(?:地址|地点|位置|住址|住在|位于|所在地|现场)\s*(?:是|为|在|:|:)*\s*$")
_LEAD: Final = re.compile(
    r"^(?:地址|地点|位置|住址|住在|位于|现场|家住|请到|请来|来到|送到|在|到|去|是|为|我家|我们|本店|公司)+"
)

_STREETS: Final = (
    "Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Plaza|Plz|Square|Sq|Terrace|Ter|Place|Pl|Highway"
    "|Hwy|Parkway|Pkwy|Alley|Way|Circle|Cir|Crescent|Close|Row|Walk|Wharf|Embarcadero|Broadway"
)
_STATES: Final = (
    "AL|AK|AZ|AR|CA|CO|CT|DE|FL|GA|HI|ID|IL|IN|IA|KS|KY|LA|ME|MD|MA|MI|MN|MS|MO|MT|NE|NV|NH|NJ|NM|NY|NC|ND|OH|OK|OR|PA|RI|SC|"
    "SD|TN|TX|UT|VT|VA|WA|WV|WI|WY|DC"
)
_POINTS: Final = "N|S|E|W|NE|NW|SE|SW|North|South|East|West"
_NAME: Final = r"(?:St\.[ ])?[A-Z][a-zA-Z'’]+"
_EN: Final = re.compile(
    "".join(
        (
            r"(?<![\w$#.:/-])(?P<no>\d{1,6}(?:-\d{1,5})?[A-Za-z]?)[ ]+",
            rf"(?P<street>(?:(?:{_POINTS})\.?[ ]+)?",
            r"(?:(?:[A-Z][A-Za-z'’]*\.?|\d{1,3}(?:st|nd|rd|th|ST|ND|RD|TH)|of|the|de|la|del)[ ]+){1,5}?",
            rf"(?i:{_STREETS})\b(?:\.(?=[ ,]))?(?:[ ]+(?:{_POINTS})\b\.?)?",
            r"|(?:Broadway|The Embarcadero|Embarcadero)\b)",
            r"(?P<unit>,?[ ]+(?:(?:Apt|Apartment|Suite|Ste|Unit|Room|Rm|Floor|Fl)\.?[ ]*[#]?[ ]*[A-Za-z]?\d{1,5}[A-Za-z]?",
            r"|\#[ ]?\w{1,6}))?",
            rf"(?P<city>,[ ]*{_NAME}(?:[ ]{_NAME}){{0,2}})?",
            rf"(?P<state>,?[ ]+(?:{_STATES})\b)?",
            r"(?P<zip>,?[ ]+\d{5}(?:-\d{4})?(?!\d))?",
        )
    )
)


def addresses(slim: str) -> Iterator[Find]:
    """Addresses in a text in half width (`words.narrow`)."""
    yield from _chinese(slim)
    for found in _EN.finditer(slim):
        text = found[0].rstrip(" ,.")
        sure = 0.9 if found["zip"] or found["state"] or found["unit"] else 0.8
        yield Find(
            field="address", value=text, start=found.start(), end=found.start() + len(text), confidence=sure
        )


def _chinese(slim: str) -> Iterator[Find]:
    at = 0
    while at < len(slim):
        found = _ZH.match(slim, at)
        if found is None or not found[0].strip():
            at += 1
            continue
        start = found.start()
        lead = _LEAD.match(found[0])
        if lead is not None:
            start += lead.end()
        start += len(slim[start : found.end()]) - len(slim[start : found.end()].lstrip())
        text = slim[start : found.end()].rstrip()
        sure = _sure(found, slim[:start])
        if sure is None or len(text) < 4:
            at += 1
            continue
        yield Find(field="address", value=text, start=start, end=start + len(text), confidence=sure)
        at = found.end()


def _sure(found: re.Match[str], before: str) -> float | None:
    """How sure it is that this is where somebody is to go; None: it is not.

    A district alone is no address, nor a street without a number: both are spoken of in other ways.
    """
    head, street, tail = found["head"].strip(), found["street"] or "", found["tail"] or ""
    numbered = any(char.isdigit() for char in tail) or "弄" in street
    cued = _ZH_CUE.search(before[-12:]) is not None
    if street and numbered:
        return 0.95 if head or cued else 0.85
    if head and tail and numbered:
        return 0.85
    if head and (street or tail):
        return 0.8 if cued else 0.7
    if cued and (street or (tail and numbered)):
        return 0.75
    return None


def alike(one: str, other: str) -> float:
    """How alike two ways of writing an address are, 0..100."""
    first, second = (" ".join(fold(text).replace(",", " ").split()) for text in (one, other))
    if not first or not second:
        return 0.0
    # A house number decides: 12 Main St is not 21 Main St, however near the letters are.
    if _digits(first) != _digits(second):
        return 0.0
    return float(fuzz.ratio(first, second))


def _digits(text: str) -> list[str]:
    return "".join(char if char.isdigit() else " " for char in text).split()

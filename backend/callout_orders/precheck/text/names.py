"""Names of people in free text: only where the words around say that it is one. Pure; the text comes in half width."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from callout_orders.precheck.text.finds import Find

_SURNAMES: Final = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任"
    "沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔"
    "向汤常温康施文牛樊葛邢安齐易乔伍庞颜倪庄聂章鲁岳翟殷詹申欧耿关兰焦俞左柳甘祝包宁尚符舒阮柯纪梅童凌"
    "毕单季裴霍涂成苗谷盛曲翁冉骆蓝路游辛靳管柴蒙鲍华喻祁蒲房滕屈饶解牟艾尤阳时穆农司卓古吉缪简车项连芦"
    "麦褚娄窦戚岑景党宫费卜冷晏席卫米柏宗瞿桂全佟应臧闵苟邬边卞姬师和仇栾隋商刁沙荣巫寇桑郎甄丛仲虞敖巩"
    "明佘池查"
)
_DOUBLE: Final = "欧阳|司马|上官|诸葛|司徒|东方|尉迟|公孙|慕容|令狐|皇甫|夏侯"
# Characters that a given name seldom has, and that words after a surname-like character often have.
_NOT_GIVEN: Final = (
    "的了是在不有这那个们就也都说要去到会着没看好我你他她它您吗呢吧啊把被给从对为与或及等号码机坏修请想问"
)
_GIVEN: Final = rf"(?:(?![{_NOT_GIVEN}])[一-鿿])"
_FULL: Final = rf"(?:(?:{_DOUBLE}){_GIVEN}{{1,2}}|[{_SURNAMES}]{_GIVEN}{{1,2}})"
_TITLES: Final = "先生|女士|小姐|师傅|经理|主任|老师|工程师|总|工|阿姨|大爷|医生|店长|主管|队长"
_TITLED: Final = rf"(?:{_DOUBLE}|[{_SURNAMES}]){_GIVEN}{{0,2}}?(?:{_TITLES})"
_END: Final = r"(?=[\s,.;:!?(),。;:!?、/\d<\[-]|$|电话|手机|联系|先生|女士|小姐|这边|来自|是|的|tel|phone)"
_FORM: Final = "联系人|姓名|报修人|报障人|申报人|收件人|客户姓名|称呼|负责人|找"
_PLACE: Final = r"(?:[一-鿿]{2,10}(?:公司|物业|酒店|医院|学校|小区|店|厂|中心)的?)?"
_MOBILE: Final = r"(?=(?:\+?86[- ]?)?1[3-9]\d[ -]?\d{4}[ -]?\d{4}(?!\d))"

_ZH: Final = (
    # The form says so: "联系人:张三".
    (rf"(?:{_FORM})\s*(?:是|为|叫|:|:)*\s*(?P<n>{_TITLED}|{_FULL}{_END})", 0.95),
    (rf"(?:我叫|我的名字是|我的名字叫|本人姓名|我姓名)\s*(?P<n>{_FULL}){_END}", 0.95),
    (rf"(?:我是|这里是|这边是|本人|落款)\s*{_PLACE}(?P<n>{_TITLED}|{_FULL}{_END})", 0.85),
    (rf"联系(?P<n>{_TITLED})", 0.85),
    (rf"我姓(?P<n>[{_SURNAMES}]){_END}", 0.6),
    # A name at the side of a mobile number: "李女士 13900001111".
    (rf"(?<![一-鿿])(?P<n>{_TITLED}|{_FULL})\s*[,::]?\s*(?:电话|手机|tel|phone)?\s*[::]?\s*{_MOBILE}", 0.85),
    (rf"(?<!\d)1[3-9]\d[ -]?\d{{4}}[ -]?\d{{4}}[\s,,]+(?P<n>{_TITLED}|{_FULL})(?=[\s,.;,。]|$)", 0.8),
    (rf"(?<![一-鿿])(?P<n>{_TITLED})(?=[\s,.;:,。]|$|反映|报修|来电|报障|说|要求|家里|致电)", 0.75),
)

_WORD: Final = r"(?:[A-Z][a-z]+|[A-Z](?=['’][A-Z]))(?:['’-][A-Z]?[a-z]+)*"
_MR: Final = r"(?:Mr|Mrs|Ms|Miss|Dr|Prof)\.?[ ]"
_MIDDLE: Final = r"(?:[A-Z]\.[ ]?)?(?:van|von|de|da|del|bin|al)?[ ]?"
_LATIN: Final = rf"(?:{_MR})?{_WORD}(?:[ ]{_MIDDLE}{_WORD}){{0,2}}"
_TITLE: Final = rf"{_MR}{_WORD}(?:[ ]{_WORD})?"
_CALLED: Final = (
    r"\bmy name is|\bmy name's|\bname:|\bcontact(?: person| name)?:|\bcontact (?:person|name) is|\breported by:?|\bcaller:"
    r"|\brequested by:?|\bcustomer name:"
)
_ASKED: Final = r"\b(?:please )?(?:ask for|speak (?:to|with)|contact|call|reach|talk to|see)"
_AFTER_I_AM: Final = r"(?=[ ]*(?:[,.;!(\n]|$|from\b|at\b|in\b|with\b|of\b|here\b|calling\b|and\b))"
_FAREWELL: Final = r"(?:best |kind |warm |many )?(?:regards|thanks|thank you|cheers|sincerely|yours truly)"
_CLOSING: Final = rf"(?:\n|^|[.!?,] )\s*{_FAREWELL}[,.!]?"
_EN: Final = (
    (rf"(?i:{_CALLED})[ ]*(?P<n>{_LATIN})", 0.95),
    (rf"(?i:{_ASKED})[ ]+(?P<n>{_TITLE}|{_WORD}[ ]{_WORD})(?=[ ,.;(]|$)", 0.8),
    (rf"(?i:\bthis is|\bi am|\bi'm|\bit's|\bhere is)[ ]+(?P<n>{_LATIN}){_AFTER_I_AM}", 0.8),
    (rf"(?i:{_CLOSING})\s+(?P<n>{_LATIN})\s*(?=[,.\n]|$|\d|\+)", 0.85),
)
_PATTERNS: Final = tuple((re.compile(text, re.IGNORECASE), sure) for text, sure in _ZH)
_LATIN_PATTERNS: Final = tuple((re.compile(text), sure) for text, sure in _EN)
# fmt: off
_NO_NAME: Final = frozenset((
    "urgent", "broken", "the", "a", "an", "not", "it", "please", "hello", "hi", "help", "still", "very", "now",
    "we", "our", "you", "i", "this", "that", "there", "here", "just", "also", "no", "yes", "thanks", "thank",
    "regards", "best", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "january",
    "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december", "today", "tomorrow", "yesterday", "street", "avenue", "road", "room", "floor", "building",
    "unit", "apartment", "suite", "lobby", "office", "front", "desk", "customer", "service", "support",
    "security", "reception", "maintenance", "manager", "tenant", "owner", "resident", "city", "property",
    "management", "emergency", "engineer", "technician", "calling", "happening", "really", "getting", "having",
    "trying", "unable", "writing", "back", "on", "out", "from", "at", "in", "error", "code", "serial", "model",
    "phone", "email", "mail", "again", "asap", "soon", "immediately", "me", "us", "him", "her", "them", "my",
    "your",
))
# fmt: on


def names(slim: str) -> Iterator[Find]:
    """Names in a text in half width (`words.narrow`)."""
    for pattern, sure in _PATTERNS:
        for found in pattern.finditer(slim):
            yield _find(found["n"], found.start("n"), sure)
    for pattern, sure in _LATIN_PATTERNS:
        for found in pattern.finditer(slim):
            name = _cut(found["n"])
            if name:
                yield _find(name, found.start("n"), sure)


def _find(name: str, start: int, sure: float) -> Find:
    return Find(field="contact_name", value=name, start=start, end=start + len(name), confidence=sure)


def _cut(name: str) -> str | None:
    """The words up to the first that is none of a name; None where nothing is left."""
    kept: list[str] = []
    for word in name.split(" "):
        if word.strip(".").lower() in _NO_NAME:
            break
        kept.append(word)
    title_only = len(kept) == 1 and kept[0].rstrip(".") in ("Mr", "Mrs", "Ms", "Miss", "Dr", "Prof")
    return " ".join(kept) if kept and not title_only else None

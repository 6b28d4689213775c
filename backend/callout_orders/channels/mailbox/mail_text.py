"""The words of a mail that its sender wrote: without HTML, quotes of earlier mails, and signatures. Pure."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from typing import Final

HTML_CHARS_MAX: Final = 2_000_000
_BREAKS: Final = frozenset(
    {"p", "div", "br", "tr", "li", "ul", "ol", "table", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "section"}
)
_SILENT: Final = frozenset({"script", "style", "head", "title", "template", "noscript"})
_QUOTED_BLOCKS: Final = frozenset({"blockquote"})
_FORWARDED: Final = "original message|forwarded message|原始邮件|转发的邮件|转发邮件|原邮件"
_DASHES: Final = re.compile(rf"^\s*[-_=*—]{{2,}}\s*(?:{_FORWARDED})?\s*[-_=*—]*\s*$", re.I)
_SAID: Final = re.compile(
    r"^\s*(?:>.*|on\b.{3,200}\bwrote\s*:|.{0,120}(?:于|在)?.{0,60}写道\s*[:\uff1a]|am\s.{3,200}schrieb\b.*:)\s*$",
    re.I,
)
_HEADER_LINE: Final = re.compile(
    r"^\s*\*?(?:from|sent|to|cc|date|subject|发件人|发送时间|收件人|抄送|主题|日期|时间)\*?\s*[:\uff1a]", re.I
)
_SIGNATURE: Final = re.compile(
    r"^\s*(?:--|发自我的.{1,20}|从我的.{1,20}发送|sent from my .{1,40}|获取 outlook.*|get outlook for .*)\s*$",
    re.I,
)
_ORIGINAL: Final = re.compile(_FORWARDED, re.I)


def own_words(text: str) -> str:
    """The text up to the first quote of an earlier mail, or the signature. All of it where nothing would be left."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    kept: list[str] = []
    for n, line in enumerate(lines):
        if _SIGNATURE.match(line) or _starts_quote(lines, n):
            break
        if not line.lstrip().startswith(">"):
            kept.append(line.rstrip())
    own = re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip()
    return own or re.sub(r"\n{3,}", "\n\n", "\n".join(line.lstrip("> ") for line in lines)).strip()


def _starts_quote(lines: list[str], n: int) -> bool:
    line = lines[n]
    if _SAID.match(line) and not line.lstrip().startswith(">"):
        return True
    # The sentence before a quote is often broken into two lines.
    if n + 1 < len(lines) and len(line) < 200 and line.lstrip().lower().startswith("on "):
        both = f"{line.strip()} {lines[n + 1].strip()}"
        if re.fullmatch(r"on\b.{3,300}\bwrote\s*:", both, re.I):
            return True
    if _DASHES.match(line):
        following = [one for one in lines[n + 1 : n + 4] if one.strip()]
        return bool(_ORIGINAL.search(line)) or sum(bool(_HEADER_LINE.match(one)) for one in following) >= 2
    # Some programs put the head of the earlier mail there without any line before it.
    following = [one for one in lines[n : n + 5] if one.strip()]
    return bool(_HEADER_LINE.match(line)) and sum(bool(_HEADER_LINE.match(one)) for one in following) >= 3


def from_html(source: str) -> str:
    """What a reader would see of HTML, quoted blocks left out; scripts and styles are never part of it."""
    reader = _Reader()
    try:
        reader.feed(source[:HTML_CHARS_MAX])
        reader.close()
    except (ValueError, AssertionError, RecursionError):
        return html.unescape(re.sub(r"<[^>]*>", " ", source[:HTML_CHARS_MAX])).strip()
    text = "".join(reader.parts)
    text = re.sub(r"[ \t\u00a0]+", " ", text)
    return re.sub(r" ?\n ?", "\n", text).strip()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._silent = 0
        self._quoted = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _SILENT:
            self._silent += 1
        elif tag in _QUOTED_BLOCKS:
            self._quoted += 1
        elif tag in _BREAKS:
            self.parts.append("\n")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _BREAKS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in _SILENT:
            self._silent = max(0, self._silent - 1)
        elif tag in _QUOTED_BLOCKS:
            self._quoted = max(0, self._quoted - 1)
        elif tag in _BREAKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._silent and not self._quoted:
            self.parts.append(re.sub(r"[\r\n]+", " ", data))

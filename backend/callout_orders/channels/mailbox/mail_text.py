"""The words of a mail that its sender wrote: without HTML, quotes of earlier mails, and signatures. Pure."""

from __future__ import annotations

import contextlib
import html
import re
from typing import Final

HTML_CHARS_MAX: Final = 1_000_000
WORDS_CHARS_MAX: Final = 100_000
"""Of a mail's text, where its sender's own words are looked for."""
LINE_CHARS_MAX: Final = 400
"""Of a line, where it is asked whether a quote or a signature begins with it: the patterns take the square of it."""
_BREAKS: Final = frozenset(
    {"p", "div", "br", "tr", "li", "ul", "ol", "table", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "section"}
)
_SILENT: Final = frozenset({"script", "style", "head", "title", "template", "noscript"})
_QUOTED_BLOCKS: Final = frozenset({"blockquote"})
_RAW: Final = {name: re.compile(rf"</{name}\b", re.I) for name in ("script", "style")}
_TAG: Final = re.compile(
    r"""<(/?)([a-z][a-z0-9:]*+)(?>(?:[^<>"']++|"[^"<]*+"|'[^'<]*+')*+>|[^<>]*+>)""", re.I
)
"""Ends at the latest where another tag begins, and never goes back: its time is the text's length."""
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
    lines = text[:WORDS_CHARS_MAX].replace("\r\n", "\n").replace("\r", "\n").split("\n")
    kept: list[str] = []
    for n, line in enumerate(lines):
        near = [one[:LINE_CHARS_MAX] for one in lines[n : n + 5]]
        if _SIGNATURE.match(near[0]) or _starts_quote(near):
            break
        if not line.lstrip().startswith(">"):
            kept.append(line.rstrip())
    own = re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip()
    return own or re.sub(r"\n{3,}", "\n\n", "\n".join(line.lstrip("> ") for line in lines)).strip()


def _starts_quote(near: list[str]) -> bool:
    """Whether an earlier mail begins with the first of these lines; the others follow it."""
    line, *rest = near
    if _SAID.match(line) and not line.lstrip().startswith(">"):
        return True
    # The sentence before a quote is often broken into two lines.
    if rest and len(line) < 200 and line.lstrip().lower().startswith("on "):
        both = f"{line.strip()} {rest[0].strip()}"
        if re.fullmatch(r"on\b.{3,300}\bwrote\s*:", both, re.I):
            return True
    heads = [bool(_HEADER_LINE.match(one)) for one in near if one.strip()]
    if _DASHES.match(line):
        return bool(_ORIGINAL.search(line)) or sum(heads[:4]) >= 2
    # Some programs put the head of the earlier mail there without any line before it.
    return bool(_HEADER_LINE.match(line)) and sum(heads) >= 3


def from_html(source: str) -> str:
    """What a reader would see of HTML, quoted blocks left out; scripts and styles are never part of it.

    Read in one pass: the standard library's parser takes minutes for a page of tags that never end, and anybody may send one.
    """
    reader = _Reader()
    reader.read(source[:HTML_CHARS_MAX])
    text = re.sub(r"[ \t\u00a0]+", " ", "".join(reader.parts))
    return re.sub(r" ?\n ?", "\n", text).strip()


class _Reader:
    def __init__(self) -> None:
        self.parts: list[str] = []
        self._silent = 0
        self._quoted = 0

    def read(self, source: str) -> None:
        at = 0
        while (begin := source.find("<", at)) >= 0:
            self._data(source[at:begin])
            tag = _TAG.match(source, begin)
            if tag is not None:
                name = tag[2].lower()
                self._tag(name, ends=bool(tag[1]))
                at = tag.end()
                if name in _RAW and not tag[1]:
                    # Nothing in there is a tag, and one that never ends takes the rest with it.
                    closing = _RAW[name].search(source, at)
                    at = len(source) if closing is None else closing.start()
            elif source.startswith(("<!", "<?"), begin):
                mark = "-->" if source.startswith("<!--", begin) else ">"
                end = source.find(mark, begin + 2)
                at = len(source) if end < 0 else end + len(mark)
            else:
                self._data("<")
                at = begin + 1
        self._data(source[at:])

    def _tag(self, name: str, *, ends: bool) -> None:
        if name in _SILENT:
            self._silent = max(0, self._silent + (-1 if ends else 1))
        elif name in _QUOTED_BLOCKS:
            self._quoted = max(0, self._quoted + (-1 if ends else 1))
        elif name in _BREAKS:
            self.parts.append("\n")

    def _data(self, text: str) -> None:
        if not text or self._silent or self._quoted:
            return
        with contextlib.suppress(ValueError):  # A number of a character that has thousands of digits.
            text = html.unescape(text)
        self.parts.append(re.sub(r"[\r\n]+", " ", text))

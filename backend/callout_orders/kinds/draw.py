"""A flow as a drawing: SVG without any library, layers from top to bottom, ways back at the side. Pure.

A step's layer is the longest way to it without its ways back. Steps keep the order of the text within a layer, turned once
or twice towards the middle of those they hang on. Everything is measured in a unit of about a pixel.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from typing import Final

from callout_orders.kinds.owners import owner_text
from callout_orders.kinds.terms import Kind, Step

BOX_W: Final = 276
LINE_H: Final = 17
GAP_X: Final = 44
GAP_Y: Final = 58
MARGIN: Final = 28
LANE: Final = 18
"""Between two ways back at the side."""
CHARS_MAX: Final = 43
"""Of a line of a box, in narrow characters; a Chinese one counts twice."""
_NOT_IN_XML: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
ACTIONS: Final[Mapping[str, tuple[str, str]]] = {
    "request_parts": ("opens a purchase requisition", "生成采购申请"),
    "pause_sla": ("clock stands still", "SLA 暂停"),
    "offer_visit": ("offers a second visit", "提议二次上门"),
    "ask_survey": ("asks the customer how it was", "发送满意度调查"),
    "close": ("closes the order", "关闭工单"),
    "archive": ("archives the order", "归档"),
    "tag": ("tag", "标签"),
    "todo": ("to-do for the owner", "生成待办"),
}
WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "start": ("order taken in", "工单受理"),
    "end": ("end", "结束"),
    "minutes": ("{n} min", "{n} 分钟"),
    "hours": ("{n} h", "{n} 小时"),
    "days": ("{n} d", "{n} 天"),
    "by_hand": ("confirmed by hand", "手动确认"),
    "fields": ("fill in: {n}", "填写:{n}"),
    "events": ("waits for: {n}", "等待:{n}"),
    "enter": ("may begin when {n}", "开始条件:{n}"),
    "approval": ("✓ {label} → {by}", "✓ {label} → {by}"),
    "times": ("at most {n} times", "最多 {n} 次"),
}


def svg(kind: Kind, locale: str = "en", *, events: Mapping[str, tuple[str, str]] | None = None) -> str:
    """The flow of a kind as an SVG document, in `en` or `zh`; `events` are the labels of events by name.

    Draws what it is given, also what `check` would refuse: steps that nothing leads to stand at the bottom, branches to
    steps that are not there are left out.
    """
    return _Drawing(kind, "zh" if locale.startswith("zh") else "en", events or {}).render()


class _Drawing:
    def __init__(self, kind: Kind, locale: str, events: Mapping[str, tuple[str, str]]) -> None:
        self.kind, self.locale, self.events = kind, locale, events
        self.steps = {step.code: step for step in kind.steps}
        self.edges = [
            (step.code, branch.to, branch.when)
            for step in kind.steps
            for branch in step.next
            if branch.to in self.steps
        ]
        self.back = self._ways_back()
        self.layers = self._layers()
        self.lines = {code: self._lines(step) for code, step in self.steps.items()}
        self.at: dict[str, tuple[float, float]] = {}
        self.height: dict[str, float] = {
            code: 14 + LINE_H * (len(rows) + 1) for code, rows in self.lines.items()
        }

    # -------------------------------------------------------------------------------------------- layout

    def _ways_back(self) -> set[tuple[str, str]]:
        """Edges that lead to a step which is still being followed, found by going through the flow in depth."""
        back: set[tuple[str, str]] = set()
        done: set[str] = set()
        within: set[str] = set()
        for first in self.steps:
            if first in done:
                continue
            stack = [(first, iter([to for code, to, _ in self.edges if code == first]))]
            within.add(first)
            while stack:
                code, rest = stack[-1]
                to = next(rest, None)
                if to is None:
                    stack.pop()
                    within.discard(code)
                    done.add(code)
                elif to in within:
                    back.add((code, to))
                elif to not in done:
                    within.add(to)
                    stack.append((to, iter([after for one, after, _ in self.edges if one == to])))
        return back

    def _layers(self) -> list[list[str]]:
        level = dict.fromkeys(self.steps, 0)
        ahead = [(code, to) for code, to, _ in self.edges if (code, to) not in self.back]
        for _ in self.steps:
            moved = False
            for code, to in ahead:
                if level[to] < level[code] + 1:
                    level[to] = level[code] + 1
                    moved = True
            if not moved:
                break
        layers: list[list[str]] = [[] for _ in range(max(level.values(), default=0) + 1)]
        for code, n in level.items():
            layers[n].append(code)
        layers = [layer for layer in layers if layer]
        for _ in range(2):
            place = {code: n / max(1, len(layer)) for layer in layers for n, code in enumerate(layer)}
            for n, layer in enumerate(layers[1:], start=1):
                above = {
                    code: [place[one] for one, to in ahead if to == code] or [place[code]] for code in layer
                }
                layers[n] = sorted(layer, key=lambda code: sum(above[code]) / len(above[code]))
        return layers

    def _place(self) -> tuple[float, float]:
        widest = max((len(layer) for layer in self.layers), default=1)
        inner = widest * BOX_W + (widest - 1) * GAP_X
        y = MARGIN + 34.0
        for layer in self.layers:
            used = len(layer) * BOX_W + (len(layer) - 1) * GAP_X
            x = MARGIN + (inner - used) / 2
            for code in layer:
                self.at[code] = (x, y)
                x += BOX_W + GAP_X
            y += max(self.height[code] for code in layer) + GAP_Y
        return inner, y

    # -------------------------------------------------------------------------------------------- words

    def _say(self, key: str, **values: object) -> str:
        return WORDS[key][self.locale == "zh"].format(**values)

    def _owner(self, owner: str) -> str:
        return owner_text(owner, self.locale)

    def _minutes(self, minutes: int) -> str:
        for unit, size in (("days", 1440), ("hours", 60)):
            if minutes % size == 0:
                return self._say(unit, n=minutes // size)
        return self._say("minutes", n=minutes)

    def _lines(self, step: Step) -> list[tuple[str, str]]:
        """(style, text) below a box's title."""
        head = [self._owner(step.owner)]
        if step.minutes is not None:
            head.append("≤ " + self._minutes(step.minutes))
        if step.times_max > 1:
            head.append("↻ " + self._say("times", n=step.times_max))
        rows = [("owner", " · ".join(head))]
        if step.enter.strip() != "true":
            rows.append(("rule", self._say("enter", n=step.enter)))
        if step.fields:
            names = [
                field.label.of(self.locale) if (field := self.kind.field(code)) else code
                for code in step.fields
            ]
            rows.append(("plain", self._say("fields", n=", ".join(names))))
        if step.events:
            names = [
                texts[self.locale == "zh"] if (texts := self.events.get(name)) else name
                for name in step.events
            ]
            rows.append(("plain", self._say("events", n=", ".join(names))))
        if step.by_hand:
            rows.append(("plain", self._say("by_hand")))
        for approval in step.approvals:
            label, by = approval.label.of(self.locale), self._owner(approval.by)
            rows.append(("approval", self._say("approval", label=label, by=by)))
        for action in (*step.on_enter, *step.on_done):
            text = ACTIONS[action.do.value][self.locale == "zh"]
            rows.append(("action", f"⚙ {text}{f' {action.value}' if action.value else ''}"))
        return rows

    # -------------------------------------------------------------------------------------------- drawing

    def render(self) -> str:
        inner, bottom = self._place()
        lanes = len(self.back) + sum(1 for code, to, _ in self.edges if self._long(code, to))
        width = MARGIN * 2 + inner + lanes * LANE + (150 if lanes else 0)
        height = bottom - GAP_Y + MARGIN + 40
        title = escape(self.kind.label.of(self.locale))
        font = "system-ui, 'Noto Sans SC', 'PingFang SC', 'Microsoft YaHei', sans-serif"
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
            f'height="{height:g}" role="img" aria-label="{title}" lang="{self.locale}" font-family="{font}">',
            f"<title>{title}</title>",
            f"<style>{_STYLE}</style>",
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
            'orient="auto-start-reverse"><path d="M0 0L8 4L0 8z" fill="#667085"/></marker></defs>',
            f'<rect width="{width:g}" height="{height:g}" fill="#fff"/>',
            f'<text class="name" x="{MARGIN}" y="{MARGIN + 4}">{title}</text>',
        ]
        side = MARGIN + inner + 14
        for code, to, when in self.edges:
            if (code, to) in self.back or self._long(code, to):
                parts += self._around(code, to, when, side, back=(code, to) in self.back)
                side += LANE
            else:
                parts += self._straight(code, to, when)
        for code, step in self.steps.items():
            parts += self._box(code, step)
        return "".join([*parts, "</svg>"])

    def _long(self, code: str, to: str) -> bool:
        """Whether a way would run over the boxes of a layer between."""
        of = {one: n for n, layer in enumerate(self.layers) for one in layer}
        return of[to] - of[code] > 1 and not self._free(code, to, of)

    def _free(self, code: str, to: str, of: Mapping[str, int]) -> bool:
        """Whether no box stands between two that are straight above one another."""
        if not self.at:
            self._place()
        middle = self.at[code][0] + BOX_W / 2
        if abs(middle - (self.at[to][0] + BOX_W / 2)) > 1:
            return False
        between = [one for n in range(of[code] + 1, of[to]) for one in self.layers[n]]
        return all(not self.at[one][0] <= middle <= self.at[one][0] + BOX_W for one in between)

    def _straight(self, code: str, to: str, when: str) -> list[str]:
        (x1, y1), (x2, y2) = self.at[code], self.at[to]
        x1, y1, x2 = x1 + BOX_W / 2, y1 + self.height[code], x2 + BOX_W / 2
        bend = max(18.0, (y2 - y1) / 2)
        path = f"M{x1:g} {y1:g}C{x1:g} {y1 + bend:g} {x2:g} {y2 - bend:g} {x2:g} {y2:g}"
        return [_way(path), *self._label(when, (x1 + x2 * 2) / 3, y2 - 13)]

    def _around(self, code: str, to: str, when: str, side: float, *, back: bool) -> list[str]:
        (x1, y1), (x2, y2) = self.at[code], self.at[to]
        start, end = self._open_side(code), self._open_side(to)
        # Out of the side where nothing stands in the way, else out of the bottom and along the gap below the layer.
        if start:
            y1 += self.height[code] * 0.6
            path = f"M{x1 + BOX_W:g} {y1:g}"
        else:
            path = f"M{x1 + BOX_W * 0.8:g} {y1 + self.height[code]:g}"
            y1 = self._bottom(code) + GAP_Y * 0.3
            path += f"V{y1:g}"
        y2 += self.height[to] * 0.35 if end else -GAP_Y * 0.3
        turn = 10 if y2 > y1 else -10
        path += (
            f"H{side - 10:g}Q{side:g} {y1:g} {side:g} {y1 + turn:g}"
            f"V{y2 - turn:g}Q{side:g} {y2:g} {side - 10:g} {y2:g}"
        )
        path += f"H{x2 + BOX_W:g}" if end else f"H{x2 + BOX_W * 0.8:g}V{self.at[to][1]:g}"
        at = (x1 + BOX_W + 7, y1 - 5) if start else (x1 + BOX_W * 0.8 + 7, y1 - 4)
        return [_way(path, back=back), *self._label(when, *at, start=True)]

    def _open_side(self, code: str) -> bool:
        """Whether nothing of its layer stands to the right of a box."""
        return next(layer for layer in self.layers if code in layer)[-1] == code

    def _bottom(self, code: str) -> float:
        """Where a box's layer ends."""
        layer = next(layer for layer in self.layers if code in layer)
        return max(self.at[one][1] + self.height[one] for one in layer)

    def _label(self, when: str, x: float, y: float, *, start: bool = False) -> list[str]:
        if when.strip() == "true":
            return []
        anchor = "start" if start else "middle"
        full = escape(when)
        return [
            f'<text class="when" x="{x:g}" y="{y:g}" text-anchor="{anchor}"><title>{full}</title>'
            f"{escape(_cut(when))}</text>"
        ]

    def _box(self, code: str, step: Step) -> list[str]:
        x, y = self.at[code]
        style = "end" if not step.next else "first" if step is self.kind.steps[0] else "step"
        parts = [
            f'<g id="step-{escape(code)}"><title>{escape(step.label.of(self.locale))} ({escape(code)})</title>',
            f'<rect class="{style}" x="{x:g}" y="{y:g}" width="{BOX_W}" height="{self.height[code]:g}" rx="9"/>',
            f'<text class="title" x="{x + 12:g}" y="{y + 20:g}">{escape(_cut(step.label.of(self.locale)))}</text>',
        ]
        for n, (sort, text) in enumerate(self.lines[code], start=1):
            parts.append(
                f'<text class="{sort}" x="{x + 12:g}" y="{y + 20 + n * LINE_H:g}">{escape(_cut(text))}</text>'
            )
        return [*parts, "</g>"]


_STYLE: Final = (
    "text{font-size:12px;fill:#344054}.name{font-size:17px;font-weight:600}.title{font-size:13.5px;font-weight:600;"
    "fill:#101828}.owner{fill:#475467}.rule,.when{font-size:11px;fill:#175cd3}.when{paint-order:stroke;stroke:#fff;"
    "stroke-width:4px}.approval{fill:#b54708}.action{fill:#067647}.step{fill:#f9fafb;stroke:#98a2b3}"
    ".first{fill:#eff8ff;stroke:#2e90fa;stroke-width:2}.end{fill:#ecfdf3;stroke:#17b26a;stroke-width:2}"
    ".way{fill:none;stroke:#667085;stroke-width:1.4}.back{stroke-dasharray:5 4}"
)


def _way(path: str, *, back: bool = False) -> str:
    return f'<path class="way{" back" if back else ""}" d="{path}" marker-end="url(#tip)"/>'


def escape(text: str) -> str:
    """A text as it may stand in the drawing. What XML cannot hold is shown as what it is: not readable."""
    return html.escape(_NOT_IN_XML.sub("\ufffd", text))


def _cut(text: str) -> str:
    """A text that fits into a box, with … where it was longer."""
    line = " ".join(text.split())
    width = 0
    for n, letter in enumerate(line):
        width += 2 if ord(letter) > 0x2E7F else 1
        if width > CHARS_MAX:
            return line[: max(1, n - 1)] + "…"
    return line

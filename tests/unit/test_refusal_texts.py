"""Refusals are told in Chinese as well as in English, down to the reason."""

import ast
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from callout_backend.doors.public.terms import NewOrder
from callout_backend.problems import field_fault
from callout_store import whys
from callout_store.errors import BadField, WrongState
from callout_store.journal_texts import texts

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path
    for folder in ("backend", "dispatch", "graphql")
    for path in (ROOT / folder).glob("callout_*/**/*.py")
    if "swarm" not in path.parts
)
SPEAKERS = frozenset({"BadField", "BadRequestBody", "body_fault", "BadCall", "BadXml"})


def literal(node: ast.expr) -> str | None:
    """A text that stands in the source; what is filled in becomes 7."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "7" for part in node.values)
    return None


def reasons() -> Iterator[tuple[str, str]]:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            if node.func.id not in SPEAKERS:
                continue
            given = [keyword.value for keyword in node.keywords if keyword.arg == "why"] or node.args[:1]
            for one in given:
                text = literal(one)
                if text is not None:
                    yield f"{path.name}:{node.lineno}", text


def test_every_reason_is_there_in_chinese() -> None:
    """A company in China would read half of each refusal in English."""
    found = list(reasons())
    assert len(found) > 40
    assert [(place, text) for place, text in found if whys.chinese(text) == text] == []


@pytest.mark.parametrize(
    ("body", "words"),
    (
        (b'{"description": 1}', "应为文本,收到的是整数"),
        (b'{"description": "x", "priority": "P9"}', "'P9'"),
        (b"{}", "缺少字段 description"),
        (b'{"description": "x", "nope": 1}', "没有名为 nope 的字段"),
        (b'{"description": "x", "siteId": "z"}', "不是有效的 UUID"),
        (b'{"description": "x", "durationMinutes": 1}', ">= 5"),
        (b'{"description": "x", "reportedAt": "yesterday"}', "RFC 3339"),
        (b'{"description": "x", "references": [{"system": "", "reference": "a"}]}', "长度至少为 1"),
    ),
)
def test_what_the_reader_of_json_says(body: bytes, words: str) -> None:
    """The library that reads bodies speaks English only; an integrator's form would show that to its users."""
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.json.decode(body, type=NewOrder)
    refusal = field_fault(str(caught.value))
    said = refusal.message("zh")
    assert words in said
    for english in ("Expected", "Object", "Invalid"):
        assert english not in said


def test_an_unknown_reason_is_shown_as_it_is() -> None:
    """A reason that nobody has translated yet must not vanish."""
    assert "a thing nobody foresaw" in BadField(why="a thing nobody foresaw").message("zh")


def test_a_state_is_named_as_people_name_it() -> None:
    """“scheduled” in a Chinese sentence says nothing to a dispatcher in Chengdu."""
    refusal = WrongState(entity="work order", state="scheduled", needed="an order that is not closed")
    assert refusal.message("zh") == "工单当前状态为“已排程”,此操作要求:工单未关闭。"
    assert refusal.message("en") == "The work order is scheduled; this needs an order that is not closed."


@pytest.mark.parametrize(
    ("kind", "data", "english", "chinese"),
    (
        (
            "work_order.state_changed",
            {"from": "in_progress", "to": "cannot_complete"},
            "The order went from in progress to cannot complete",
            "工单状态由 进行中 变为 未能完成",
        ),
        (
            "work_order.created",
            {"number": "WO-1", "channel": "web_form"},
            "Order WO-1 was taken in (web form)",
            "工单 WO-1 已创建(网页表单)",
        ),
        (
            "flow.step_done",
            {"step": "triage", "label": {"en": "Triage", "zh": "受理分诊"}},
            "Step Triage was done",
            "步骤 受理分诊 已完成",
        ),
        (
            "todo.asked",
            {"kind": "answer_order", "text": {"en": "Answer order WO-1", "zh": "请响应工单 WO-1"}},
            "Somebody was asked to do something: Answer order WO-1",
            "已生成待办:请响应工单 WO-1",
        ),
        ("sla.missed", {"milestone": "arrival"}, "the arrival was missed", "到场 已超时"),
        (
            "sla.paused",
            {"reason": "parts"},
            "The clock stands still: waiting for parts",
            "计时已暂停:等待备件",
        ),
        ("work_order.held", {"reason": "lunch"}, "Put on hold: lunch", "已挂起:lunch"),
    ),
)
def test_lines_of_a_timeline_speak_no_codes(
    kind: str, data: dict[str, object], english: str, chinese: str
) -> None:
    """A customer's timeline would be full of `in_progress` and `web_form`."""
    assert texts(kind, data) == (english, chinese)

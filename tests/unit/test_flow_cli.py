"""`callout flow`: what it says, what it draws, and its exit codes."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from callout_backend.flow_cli import check, draw
from callout_backend.settings import SettingsError
from callout_orders.kinds import library
from callout_store.errors import Refusal

LOOP = """
code = "loop"
label = { en = "Loop", zh = "循环" }

[[steps]]
code = "a"
label = { en = "A", zh = "甲" }
owner = "handler"
next = [{ to = "b" }]

[[steps]]
code = "b"
label = { en = "B", zh = "乙" }
owner = "handler"
next = [{ to = "a" }]
"""


@pytest.fixture
def loop(tmp_path: Path) -> Path:
    file = tmp_path / "loop.toml"
    file.write_text(LOOP, encoding="utf-8")
    return file


def test_the_built_in_kinds_are_well(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever writes their own starts from these, and checks that the command works."""
    monkeypatch.setenv("LC_ALL", "C")
    assert check() == 0
    assert capsys.readouterr().out.splitlines() == [f"{code}: nothing is wrong" for code in library.TEMPLATES]


@pytest.mark.parametrize(
    ("terminal", "word"), (("C", "lead back to themselves"), ("zh_CN.UTF-8", "循环相连"))
)
def test_a_loop_is_named_and_fails_the_build(
    loop: Path,
    terminal: str,
    word: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In a pipeline only the exit code is looked at; a person needs the place."""
    monkeypatch.setenv("LC_ALL", terminal)
    assert check(loop) == 1
    said = capsys.readouterr().out
    assert word in said
    assert "(cycle)" in said
    assert "steps.0.next" in said


def test_a_file_is_drawn(loop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The drawing is how a supervisor without TOML reviews a flow, above all one that is wrong."""
    out = tmp_path / "loop.svg"
    assert draw(str(loop), out=out, locale="zh") == 0
    assert "甲" in "".join(ElementTree.parse(out).getroot().itertext())
    assert draw("repair", locale="en") == 0
    assert "Repair cost above 500" in capsys.readouterr().out


def test_what_is_no_kind_is_said_plainly(tmp_path: Path, loop: Path) -> None:
    """A slip in a path must not end in a stack trace."""
    with pytest.raises(SettingsError, match="No such file"):
        check(tmp_path / "none.toml")
    with pytest.raises(SettingsError, match="--locale"):
        draw(str(loop), locale="fr")
    loop.write_bytes(b"\xff\xfe" * 40_000)
    with pytest.raises(Refusal):
        draw(str(loop))
    assert check(loop) == 1


def test_a_file_that_cannot_be_read_or_written_is_named(tmp_path: Path) -> None:
    """A kind saved in another encoding would be drawn with boxes for letters, and a typing error end in a traceback."""
    chinese = tmp_path / "gbk.toml"
    chinese.write_bytes(LOOP.encode("gb18030"))
    for act in (lambda: check(chinese), lambda: draw(str(chinese)), lambda: draw("repair", out=tmp_path)):
        with pytest.raises(SettingsError) as caught:
            act()
        assert str(tmp_path) in str(caught.value)

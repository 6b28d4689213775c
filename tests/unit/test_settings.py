"""The environment is read once, and a wrong value is answered with one sentence instead of a stack trace."""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path

import pytest

from callout_backend.settings import VARIABLES, Settings, SettingsError, signing_secret

ROOT = Path(__file__).parents[2]


def test_every_variable_is_documented_and_none_that_does_not_exist() -> None:
    """An operator who looks a variable up must find it, and must not set one that nothing reads."""
    rows = re.findall(r"^\| `([A-Z_]+)` \|", (ROOT / "docs" / "settings.md").read_text("utf-8"), re.MULTILINE)
    assert rows == [variable.name for variable in VARIABLES]


def test_documented_defaults_are_the_real_ones() -> None:
    """A limit that the page states wrongly misleads whoever sizes a machine by it."""
    page = (ROOT / "docs" / "settings.md").read_text("utf-8")
    for variable in VARIABLES:
        default = getattr(Settings(), variable.attribute)
        row = re.search(rf"^\| `{variable.name}` \| (.*?) \|", page, re.MULTILINE)
        assert row is not None
        if default is not None:
            shown = int(default) if isinstance(default, bool) else default
            assert row[1] == f"`{shown}`", variable.name


def test_each_attribute_has_one_variable() -> None:
    """A setting without a variable could not be set by anybody."""
    assert sorted(v.attribute for v in VARIABLES) == sorted(field.name for field in fields(Settings))


def test_empty_environment_gives_the_defaults() -> None:
    """A newcomer sets nothing."""
    settings = Settings.from_env({"PORT": "", "REDIS_URL": "  "})
    assert settings == Settings()
    assert settings.needs_embedded() == (True, True)
    assert settings.base_url == "http://127.0.0.1:8000"


@pytest.mark.parametrize(
    ("name", "value"),
    (
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "8_000"),  # int() would take it
        ("PORT", "８０００"),  # int() would take these digits as well
        ("PORT", "9" * 5000),  # int() refuses to read it, with another error
        ("PORT", "-1"),
        ("HOST", "http://example.com"),
        ("DATABASE_URL", "mysql://user:hunter2@host/db"),
        ("DATABASE_URL", "postgresql://user:hunter2@host:port/db"),
        ("REDIS_URL", "hunter2"),
        ("CALLOUT_SECRET", "hunter2"),
        ("CALLOUT_LOG_LEVEL", "loud"),
        ("CALLOUT_CLOCK", "tomorrow"),
        ("CALLOUT_CLOCK", "2026-01-05T08:00:00,2026-01-05T08:00:00+00:00,60"),  # an instant without a zone
        ("CALLOUT_SERVER_USER", "root; rm"),
        ("CALLOUT_POOL_MIN", "11"),  # more than CALLOUT_POOL_MAX
    ),
)
def test_wrong_values_are_named(name: str, value: str) -> None:
    """The operator sees which variable, and what would do; a password never reaches the terminal or its log."""
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({name: value})
    assert caught.value.variable == name
    assert name in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert caught.value.allowed


def test_children_read_the_same_settings() -> None:
    """`callout run` hands its settings to serve and worker by environment; a lost one would split the house."""
    settings = Settings(
        port=9,
        data=Path("/x"),
        database_url="postgresql://a:b@c/d",
        redis_url="redis://c",
        secret="s" * 40,
        webhook_private=True,
        log_format="console",
    )
    assert Settings.from_env(settings.environment()) == settings


def test_embedded_urls_never_replace_given_ones() -> None:
    """Who points Callout at a real database must not find their orders in the embedded one."""
    given = Settings(database_url="postgresql://a@b/c").with_urls(
        database="postgresql://x@y/z", owner="postgresql://o@y/z", redis="redis://y"
    )
    assert given.database_url == "postgresql://a@b/c"
    assert given.owner_url == "postgresql://a@b/c"
    assert given.redis_url == "redis://y"


def test_the_kept_secret_is_one_and_private(tmp_path: Path) -> None:
    """Two processes that start together must sign with one key, or half of all tokens would be refused."""
    settings = Settings(data=tmp_path / "data")
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: signing_secret(settings), range(32)))
    assert len(keys) == 1
    assert (settings.data / "secret").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in settings.data.iterdir()] == ["secret"]

"""All that the environment decides, read once and checked once; docs/settings.md lists it.

Doors and jobs get a `Settings` handed in; nothing else reads the environment.
"""

import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from callout_store.clock import Clock, FastClock, SystemClock

SECRET_CHARS_MIN = 32
LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("json", "console")
GEOCODERS = ("nominatim", "photon", "pelias", "baiduv3")
"""As `callout_geo.geocoding.SERVICES` has them; named here, so that reading the environment loads none of it."""
PUBLIC_NOMINATIM = "nominatim.openstreetmap.org"


class SettingsError(ValueError):
    """A variable of the environment cannot be used; names it, its value and what is allowed."""

    def __init__(self, variable: str, value: str, allowed: str) -> None:
        self.variable, self.value, self.allowed = variable, value, allowed
        super().__init__(f"{variable}={value} cannot be used. Allowed: {allowed}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One attribute a variable; `None` means not set. Derived values are properties."""

    host: str = "127.0.0.1"
    port: int = 8000
    data: Path = Path(".callout")
    storage: str | None = None
    database_url: str | None = None
    migrate_url: str | None = None
    redis_url: str | None = None
    workers: int = 2
    planners: int = 2
    secret: str | None = None
    secret_before: str | None = None
    public_url: str | None = None
    server_user: str | None = None
    pool_min: int = 1
    pool_max: int = 10
    password_threads: int = 2
    access_minutes: int = 15
    refresh_days: int = 60
    signoff_days: int = 14
    body_bytes_max: int = 4 * 1024 * 1024
    graphql_tokens_max: int = 4000
    body_seconds_max: int = 15
    request_seconds_max: int = 30
    listen_beat_seconds: int = 15
    listeners_max: int = 5000
    listeners_user_max: int = 20
    webhook_private: bool = False
    notices: str | None = None
    log_level: str = "info"
    log_format: str = "json"
    clock: str | None = None
    osrm_url: str | None = None
    valhalla_url: str | None = None
    geocoder: str | None = None
    geocoder_url: str | None = None
    geocoder_key: str | None = None
    geocoder_countries: str | None = None
    geocoder_per_minute: int = 60

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """Read and check every variable. An empty value counts as not set."""
        environ = os.environ if environ is None else environ
        given: dict[str, Any] = {}
        for variable in VARIABLES:
            value = environ.get(variable.name, "").strip()
            if value:
                try:
                    given[variable.attribute] = variable.read(value)
                except ValueError:
                    shown = "(hidden)" if variable.secret else value
                    raise SettingsError(variable.name, shown, variable.allowed) from None
        settings = cls(**given)
        if settings.pool_min > settings.pool_max:
            raise SettingsError("CALLOUT_POOL_MIN", str(settings.pool_min), "at most CALLOUT_POOL_MAX")
        settings._check_geocoder()
        return settings

    @property
    def owner_url(self) -> str | None:
        """The login that migrates: CALLOUT_MIGRATE_URL, else DATABASE_URL."""
        return self.migrate_url or self.database_url

    @property
    def base_url(self) -> str:
        """What links begin with, without a slash at the end."""
        if self.public_url:
            return self.public_url.rstrip("/")
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def storage_place(self) -> str:
        """Where photos lie: CALLOUT_STORAGE, else a folder in the data folder."""
        return self.storage or str(self.data / "photos")

    @property
    def secrets_before(self) -> tuple[str, ...]:
        """Earlier signing secrets: what tenants' secrets that were sealed under them are still opened with."""
        return tuple(one for one in (self.secret_before or "").split(",") if one)

    def needs_embedded(self) -> tuple[bool, bool]:
        """Which servers are not given from outside: (PostgreSQL, Redis)."""
        return self.database_url is None, self.redis_url is None

    def with_urls(self, *, database: str | None, owner: str | None, redis: str | None) -> "Settings":
        """These settings with the embedded servers' URLs where none were given."""
        own = self.database_url is None
        return replace(
            self,
            database_url=database if own else self.database_url,
            migrate_url=(owner or self.migrate_url) if own else self.migrate_url,
            redis_url=self.redis_url or redis,
            # On one's own machine, what has no channel is shown on the sink's page instead of not being sent.
            notices=self.notices or ("mixed" if own else None),
        )

    @property
    def notices_go(self) -> str:
        """Where notices go: `send` to their channels, `mixed` also to the sink where there is none, `sink` only there."""
        return self.notices or "send"

    def _check_geocoder(self) -> None:
        """Told at the start, in one sentence, and not by the first question that fails."""
        if self.geocoder is None:
            return
        if self.geocoder == "baiduv3" and self.geocoder_key is None:
            raise SettingsError(
                "CALLOUT_GEOCODER_KEY", "(not set)", "Baidu's key, where CALLOUT_GEOCODER=baiduv3"
            )
        if self.geocoder != "baiduv3" and self.geocoder_url is None:
            raise SettingsError("CALLOUT_GEOCODER_URL", "(not set)", f"where to find {self.geocoder}")
        if PUBLIC_NOMINATIM in (self.geocoder_url or "") and self.geocoder_per_minute > 60:
            raise SettingsError(
                "CALLOUT_GEOCODER_PER_MINUTE",
                str(self.geocoder_per_minute),
                f"at most 60 for {PUBLIC_NOMINATIM}",
            )

    def make_clock(self) -> Clock:
        """The machine's clock, or the demo's fast one where CALLOUT_CLOCK gives it."""
        return FastClock.parse(self.clock) if self.clock else SystemClock()

    def environment(self) -> dict[str, str]:
        """The variables that make a child process read these very settings."""
        default = Settings()
        out = {}
        for variable in VARIABLES:
            value = getattr(self, variable.attribute)
            if value is not None and value != getattr(default, variable.attribute):
                out[variable.name] = str(int(value)) if isinstance(value, bool) else str(value)
        return out


def signing_secret(settings: Settings) -> str:
    """The key that tokens are signed with: CALLOUT_SECRET, else one made once and kept in the data folder.

    Several machines behind one address must share a CALLOUT_SECRET; several processes of one share the file.
    """
    if settings.secret is not None:
        return settings.secret
    path = settings.data / "secret"
    settings.data.mkdir(parents=True, exist_ok=True)
    # Made whole under another name and linked into place: of two processes starting together one wins, and
    # nobody ever reads half a key.
    half = path.with_name(f".secret.{os.getpid()}.{secrets.token_hex(4)}")
    if not path.exists():
        with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            out.write(secrets.token_urlsafe(48))
        try:
            os.link(half, path)
        except FileExistsError:
            pass
        finally:
            half.unlink()
    kept = path.read_text("ascii").strip()
    if len(kept) < SECRET_CHARS_MIN:
        raise SettingsError("CALLOUT_SECRET", f"(kept in {path})", f"at least {SECRET_CHARS_MIN} characters")
    return kept


# --- the variables ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable: how its text becomes the attribute's value, and what to say when it does not."""

    name: str
    attribute: str
    read: Callable[[str], Any]
    allowed: str
    secret: bool = False


def _whole(low: int, high: int) -> tuple[Callable[[str], int], str]:
    def read(text: str) -> int:
        # int() would take "1_000", " 5" and other scripts' digits, and very long texts.
        if not (text.isascii() and text.isdigit() and len(text) <= 15 and low <= int(text) <= high):
            raise ValueError
        return int(text)

    return read, f"a whole number from {low} to {high}"


def _one_of(*words: str) -> tuple[Callable[[str], str], str]:
    def read(text: str) -> str:
        if text.lower() not in words:
            raise ValueError
        return text.lower()

    return read, " or ".join(words)


def _switch(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError
    return text == "1"


def _url(*schemes: str, example: str) -> tuple[Callable[[str], str], str]:
    def read(text: str) -> str:
        parts = urlsplit(text)
        if parts.scheme not in schemes or not (parts.netloc or parts.query or parts.path):
            raise ValueError
        _ = parts.port  # raises ValueError for a port that is none
        return text

    return read, f"a URL such as {example}"


def _host(text: str) -> str:
    if any(sign.isspace() or sign in "/@?#" for sign in text):
        raise ValueError
    return text


def _secret(text: str) -> str:
    if len(text) < SECRET_CHARS_MIN:
        raise ValueError
    return text


def _secrets(text: str) -> str:
    return ",".join(_secret(one.strip()) for one in text.split(",") if one.strip())


def _user(text: str) -> str:
    if not text.replace("-", "").replace("_", "").isalnum():
        raise ValueError
    return text


def _clock(text: str) -> str:
    clock = FastClock.parse(text)
    if clock.start > datetime(2200, 1, 1, tzinfo=UTC):
        raise ValueError
    return text


def _countries(text: str) -> str:
    codes = text.lower().replace(" ", "")
    if not all(len(code) == 2 and code.isascii() and code.isalpha() for code in codes.split(",")):
        raise ValueError
    return codes


def _storage(text: str) -> str:
    scheme, found, rest = text.partition("://")
    if found and (scheme != "s3" or not urlsplit(text).netloc or "?" in rest or "#" in rest):
        raise ValueError
    return text


_POSTGRES = _url("postgresql", "postgres", example="postgresql://user:password@host:5432/database")

VARIABLES: tuple[Variable, ...] = (
    Variable("HOST", "host", _host, "a host name or address"),
    Variable("PORT", "port", *_whole(1, 65535)),
    Variable("CALLOUT_DATA", "data", Path, "the path of a folder"),
    Variable("CALLOUT_STORAGE", "storage", _storage, "the path of a folder, or s3://bucket/prefix"),
    Variable("DATABASE_URL", "database_url", *_POSTGRES, secret=True),
    Variable("CALLOUT_MIGRATE_URL", "migrate_url", *_POSTGRES, secret=True),
    Variable(
        "REDIS_URL",
        "redis_url",
        *_url("redis", "rediss", "unix", example="redis://:password@host:6379/0"),
        secret=True,
    ),
    Variable("CALLOUT_WORKERS", "workers", *_whole(1, 64)),
    Variable("CALLOUT_PLANNERS", "planners", *_whole(1, 64)),
    Variable("CALLOUT_SECRET", "secret", _secret, f"at least {SECRET_CHARS_MIN} characters", secret=True),
    Variable(
        "CALLOUT_SECRET_BEFORE",
        "secret_before",
        _secrets,
        f"earlier values of CALLOUT_SECRET, {SECRET_CHARS_MIN} characters or more each, with commas between them",
        secret=True,
    ),
    Variable(
        "CALLOUT_PUBLIC_URL", "public_url", *_url("http", "https", example="https://service.example.com")
    ),
    Variable("CALLOUT_SERVER_USER", "server_user", _user, "the name of an unprivileged user"),
    Variable("CALLOUT_POOL_MIN", "pool_min", *_whole(0, 1000)),
    Variable("CALLOUT_POOL_MAX", "pool_max", *_whole(1, 1000)),
    Variable("CALLOUT_PASSWORD_THREADS", "password_threads", *_whole(1, 64)),
    Variable("CALLOUT_ACCESS_MINUTES", "access_minutes", *_whole(1, 1440)),
    Variable("CALLOUT_REFRESH_DAYS", "refresh_days", *_whole(1, 365)),
    Variable("CALLOUT_SIGNOFF_DAYS", "signoff_days", *_whole(1, 365)),
    Variable("CALLOUT_BODY_BYTES_MAX", "body_bytes_max", *_whole(1024, 256 * 1024 * 1024)),
    Variable("CALLOUT_GRAPHQL_TOKENS_MAX", "graphql_tokens_max", *_whole(100, 100_000)),
    Variable("CALLOUT_BODY_SECONDS_MAX", "body_seconds_max", *_whole(1, 600)),
    Variable("CALLOUT_REQUEST_SECONDS_MAX", "request_seconds_max", *_whole(1, 600)),
    Variable("CALLOUT_LISTEN_BEAT_SECONDS", "listen_beat_seconds", *_whole(1, 120)),
    Variable("CALLOUT_LISTENERS_MAX", "listeners_max", *_whole(1, 100_000)),
    Variable("CALLOUT_LISTENERS_USER_MAX", "listeners_user_max", *_whole(1, 10_000)),
    Variable("CALLOUT_NOTICES", "notices", *_one_of("send", "mixed", "sink")),
    Variable("CALLOUT_WEBHOOK_PRIVATE", "webhook_private", _switch, "1 or 0"),
    Variable("CALLOUT_LOG_LEVEL", "log_level", *_one_of(*LOG_LEVELS)),
    Variable("CALLOUT_LOG_FORMAT", "log_format", *_one_of(*LOG_FORMATS)),
    Variable("CALLOUT_OSRM_URL", "osrm_url", *_url("http", "https", example="http://osrm.example.com:5000")),
    Variable(
        "CALLOUT_VALHALLA_URL",
        "valhalla_url",
        *_url("http", "https", example="http://valhalla.example.com:8002"),
    ),
    Variable("CALLOUT_GEOCODER", "geocoder", *_one_of(*GEOCODERS)),
    Variable(
        "CALLOUT_GEOCODER_URL",
        "geocoder_url",
        *_url("http", "https", example="https://nominatim.example.com"),
    ),
    Variable("CALLOUT_GEOCODER_KEY", "geocoder_key", str, "the service's key", secret=True),
    Variable(
        "CALLOUT_GEOCODER_COUNTRIES", "geocoder_countries", _countries, "two-letter codes such as cn,hk"
    ),
    Variable("CALLOUT_GEOCODER_PER_MINUTE", "geocoder_per_minute", *_whole(1, 6000)),
    Variable(
        "CALLOUT_CLOCK", "clock", _clock, "start,anchor,speed as two instants with time zone and a factor"
    ),
)

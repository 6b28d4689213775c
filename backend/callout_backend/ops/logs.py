"""Structured logs without secrets: one JSON object a line (or coloured lines on a terminal), redacted last.

Redaction works on what is about to be written, after the stack was rendered, so that a token inside an exception's text
is caught as well. It errs on the side of hiding: ids, times and counts stay readable.
"""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

HIDDEN = "[hidden]"
DEPTH_MAX = 6

SECRET_KEY = re.compile(
    r"pass(word|wd|phrase)?$|pwd|token|secret|authori[sz]ation|cookie|credential|api_?key|private_?key|signature$"
    r"|^(enrol(l?ment)?_?|one_?time_?|otp_?|login_?)?(code|pin|otp)$|phone|mobile(_?number)?$|^msisdn$|^tel$",
    re.IGNORECASE,
)
"""Keys whose value is never written. `error_code` and the like stay: only a bare or enrolment `code` is a secret."""

SAFE_CODE = re.compile(r"^[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$")
"""A refusal's code, logged as `code=BAD_FIELD`: capitals without a digit alone are no enrolment code."""

IN_TEXT: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}"), rf"\1 {HIDDEN}"),
    # A key of the public API.
    (re.compile(r"\bck_[A-Za-z0-9_-]{4,}(\.[A-Za-z0-9_-]*)?"), HIDDEN),
    # A customer's link (answers, notices, survey, sign-off, tracking) has its token in its path.
    (re.compile(r"(/[anqst]/)[A-Za-z0-9_-]{6,}"), rf"\1{HIDDEN}"),
    # A JSON Web Token, wherever it turns up.
    (re.compile(r"\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]*"), HIDDEN),
    # A password in a connection URL.
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s@/]+@"), rf"\1{HIDDEN}@"),
    # `"password": "…"`, `token=…`, `phone: …` inside a longer text.
    (
        re.compile(
            r"(?i)([\\\"']*\b\w*(?:password|passwd|token|secret|authorization|cookie|phone|mobile)\w*[\\\"']*\s*[:=]\s*)"
            r"(\\*\"[^\"\\]*\\*\"|'[^']*'|[^\s,;}&\"']+)"
        ),
        rf"\1{HIDDEN}",
    ),
)

UUID_OR_TIME = re.compile(
    r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
    r"|\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?"
)
PHONE = re.compile(r"(?<![\w.-])(\+|00)?\(?\d[\d\s().-]{6,}\d(?![\w.]|\.\d)")
PHONE_DIGITS_MIN, PHONE_DIGITS_MAX = 8, 15
IP_ADDRESS = re.compile(r"^\d{1,3}(\.\d{1,3}){3}$")


def redact_text(text: str) -> str:
    """`text` without bearer tokens, link tokens, passwords in URLs, and digits that read like a phone number."""
    for pattern, replacement in IN_TEXT:
        text = pattern.sub(replacement, text)
    kept = list(UUID_OR_TIME.finditer(text))

    def hide(match: re.Match[str]) -> str:
        if any(k.start() < match.end() and match.start() < k.end() for k in kept):
            return match.group()
        digits = sum(c.isdigit() for c in match.group())
        if not PHONE_DIGITS_MIN <= digits <= PHONE_DIGITS_MAX or IP_ADDRESS.match(match.group()):
            return match.group()
        return HIDDEN

    return PHONE.sub(hide, text)


def redact(key: str, value: Any, depth: int = 0) -> Any:
    """A value as it may be written under `key`, nested mappings and lists included."""
    if value is None or isinstance(value, bool | float):
        return value
    if SECRET_KEY.search(key) and not (isinstance(value, str) and key == "code" and SAFE_CODE.match(value)):
        return HIDDEN
    if isinstance(value, int):
        return value
    if depth >= DEPTH_MAX:
        return HIDDEN
    if isinstance(value, Mapping):
        return {str(k): redact(str(k), v, depth + 1) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact("", item, depth + 1) for item in value]
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    return redact_text(value if isinstance(value, str) else str(value))


KEPT_KEYS = frozenset({"timestamp", "level", "logger", "request_id", "event"})


def redaction(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """The last processor before rendering."""
    out: MutableMapping[str, Any] = {}
    for key, value in event.items():
        if key in KEPT_KEYS - {"event"}:
            out[key] = value
        elif key == "event":
            out[key] = redact_text(str(value))
        else:
            out[key] = redact(key, value)
    return out


def configure(
    style: Literal["json", "console"] = "json", *, level: str = "INFO", stream: TextIO | None = None
) -> None:
    """Set logging up for this process: structlog and the standard library's loggers through the same processors.

    uvicorn's and arq's own loggers lose their handlers; uvicorn's access log is off, since it writes whole URLs.
    """
    target = stream or sys.stderr
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.ExtraAdder(),
    ]
    last: list[Processor]
    if style == "json":
        last = [
            structlog.processors.format_exc_info,
            redaction,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ]
    else:
        colors = hasattr(target, "isatty") and target.isatty()
        last = [structlog.processors.format_exc_info, redaction, structlog.dev.ConsoleRenderer(colors=colors)]
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in ("uvicorn", "uvicorn.error", "arq", "arq.worker"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    logging.getLogger("uvicorn.access").handlers.clear()
    logging.getLogger("uvicorn.access").propagate = False
    # One line a wake-up says nothing; httpx, urllib3 and geopy log whole URLs, with addresses of customers and keys in them.
    for name in ("arq.worker", "httpx", "httpcore", "urllib3", "geopy"):
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared[:-1],
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.StackInfoRenderer(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )

"""The OpenAPI 3.1 document of the public API, made by Litestar from the very handlers that serve it.

An application of its own holds just these handlers: what the others take is described elsewhere (GraphQL), or is for pages
and phones. `python -m callout_backend.doors.public.describe` writes it to mobile_contracts/openapi.json.
"""

import inspect
import sys
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec
from litestar import Litestar
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme, Server, Tag

from callout_backend.doors.public import imports, orders, tables
from callout_backend.doors.public.tables import CSV, XLSX
from callout_backend.doors.public.terms import Problem
from callout_backend.problems import PROBLEM_TYPE
from callout_contracts import SCHEMA_VERSION
from callout_orders.imports.mapping import Config

TARGET: Final = Path(__file__).parents[4] / "mobile_contracts" / "openapi.json"
VERSION: Final = f"1.{SCHEMA_VERSION}"
ROUTES: Final = (*orders.ROUTES, *imports.ROUTES, *tables.ROUTES)
DESCRIPTION: Final = """The API of Callout for other systems.

**Signing in.** `X-Api-Key: ck_…` (or `Authorization: Bearer ck_…`) with a key that an admin has made; its scopes say what it
may do (`orders:read`, `orders:write`, `imports:read`, `imports:write`). People's access tokens of `POST /auth/login` work
too, within their role.

**How often.** A key has so many calls a second (3 unless an admin says otherwise, with a burst of 10). More are answered
with 429 and `Retry-After` in seconds.

**Again after a lost answer.** Orders are made once for each `references` pair and for each `Idempotency-Key`.

**Refusals** are problem details (RFC 9457) with a stable `code`, in English or Chinese by `Accept-Language`; everything that
is wrong with a form stands in `errors` at once. What is `retryable` may be sent again as it is.

**Being told.** An organisation's webhook gets each event as a POST with `Callout-Signature`, in order for each order; see
`webhooks` below.

工单系统开放接口。请求头 `X-Api-Key` 携带管理员创建的密钥;超过频率返回 429 与 `Retry-After`;
错误信息按 `Accept-Language` 以中文或英文返回。
"""
REFUSALS: Final[dict[str, str]] = {
    "400": "The request cannot be read.",
    "401": "No key or token, or one that is not good any more.",
    "403": "The key's scopes or the role do not allow it.",
    "404": "There is no such thing, or the caller may not see it.",
    "409": "It does not fit what is there.",
    "413": "The body is over the limit.",
    "415": "A body of this kind is not read here.",
    "422": "Something in it is not acceptable; `errors` names all of it.",
    "429": "Too many calls with this key; wait `Retry-After` seconds.",
    "500": "A fault of ours; it was recorded. `requestId` finds it again.",
    "503": "Busy; the same request may be sent again.",
}
EXAMPLE: Final = {
    "type": "urn:callout:problem:FIELDS_REFUSED",
    "title": "Fields refused",
    "status": 422,
    "detail": "2 fields are not acceptable: contactPhone: …; serial: ….",
    "code": "FIELDS_REFUSED",
    "retryable": False,
    "path": "contactPhone",
    "errors": [
        {
            "path": "contactPhone",
            "code": "BAD_FIELD",
            "reason": "phone_digits",
            "en": "a mobile number has 11 digits, this one has 10",
            "zh": "手机号应为 11 位,当前为 10 位",
        }
    ],
}


@cache
def document() -> dict[str, Any]:
    """The document."""
    app = Litestar(
        route_handlers=list(ROUTES),
        logging_config=None,
        openapi_config=OpenAPIConfig(
            title="Callout",
            version=VERSION,
            description=DESCRIPTION,
            use_handler_docstrings=True,
            security=[{"apiKey": []}, {"bearer": []}],
            components=Components(
                security_schemes={
                    "apiKey": SecurityScheme(
                        type="apiKey",
                        name="X-Api-Key",
                        security_scheme_in="header",
                        description="A key `ck_…`.",
                    ),
                    "bearer": SecurityScheme(
                        type="http", scheme="bearer", description="A key `ck_…`, or a person's access token."
                    ),
                }
            ),
            servers=[Server(url="/")],
            tags=[
                Tag(name="Orders", description="Orders from report to signature. 工单。"),
                Tag(name="Imports and exports", description="Tables in and out. 导入与导出。"),
            ],
        ),
    )
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(app.openapi_schema.to_schema()))
    _refusals(found)
    _webhooks(found)
    _flush(found)
    whole: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(found))
    return whole


def _refusals(found: dict[str, Any]) -> None:
    """Every operation may be refused, and always in the same form: Litestar knows its own errors only."""
    schemas = found["components"].setdefault("schemas", {})
    (_,), parts = msgspec.json.schema_components((Problem,), ref_template="#/components/schemas/{name}")
    (_,), config = msgspec.json.schema_components((Config,), ref_template="#/components/schemas/{name}")
    schemas |= parts
    schemas |= {"ImportConfig" if name == "Config" else name: part for name, part in config.items()}
    for path, operations in found["paths"].items():
        for method, operation in operations.items():
            answers = operation["responses"]
            if CSV in answers.get("200", {}).get("content", {}):
                answers["200"]["content"][XLSX] = answers["200"]["content"][CSV]
            for status in [status for status in answers if status >= "400"]:
                del answers[status]
            for status, text in REFUSALS.items():
                if status in ("413", "415") and method == "get":
                    continue
                if status == "404" and "{" not in path and method == "get":
                    continue
                answers[status] = {
                    "description": text,
                    "content": {
                        PROBLEM_TYPE: {
                            "schema": {"$ref": "#/components/schemas/Problem"},
                            **({"example": EXAMPLE} if status == "422" else {}),
                        }
                    },
                    **(
                        {
                            "headers": {
                                "Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}
                            }
                        }
                        if status in ("429", "503")
                        else {}
                    ),
                }


EVENT: Final = {
    "type": "object",
    "description": "A journal line: `kind` says what happened (`work_order.created`, `visit.arrived`, `sla.missed` …), "
    "`data` holds its values. The same `id` is the same event, however often it is delivered.",
    "required": ["id", "kind", "at", "entity", "entityId", "data"],
    "properties": {
        "id": {"type": "string", "format": "uuid"},
        "kind": {"type": "string", "examples": ["work_order.created"]},
        "at": {"type": "string", "format": "date-time"},
        "entity": {"type": "string"},
        "entityId": {"type": "string", "format": "uuid"},
        "orderId": {"type": ["string", "null"], "format": "uuid"},
        "visitId": {"type": ["string", "null"], "format": "uuid"},
        "actorId": {"type": ["string", "null"], "format": "uuid"},
        "actorRole": {"type": "string"},
        "data": {"type": "object", "additionalProperties": True},
    },
}


def _webhooks(found: dict[str, Any]) -> None:
    found["components"]["schemas"]["Event"] = EVENT
    found["webhooks"] = {
        "event": {
            "post": {
                "operationId": "onEvent",
                "summary": "Something happened",
                "description": "Sent to the organisation's webhook address. Answer with 2xx within 10 seconds; anything else "
                "is tried again with growing pauses, in order for each order.",
                "tags": ["Webhooks"],
                "security": [],
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Event"}}},
                },
                "responses": {"2XX": {"description": "It was taken in."}},
            }
        }
    }
    found["tags"].append({"name": "Webhooks", "description": "What an organisation is told. 事件推送。"})


def _flush(value: Any) -> None:
    """Descriptions with their lines flush left: Python 3.13 strips a docstring's indent, older ones do not."""
    if isinstance(value, dict):
        for key, one in value.items():
            if key == "description" and isinstance(one, str):
                value[key] = inspect.cleandoc(one)
            else:
                _flush(one)
    elif isinstance(value, list):
        for one in value:
            _flush(one)


def text() -> str:
    """As it lies in mobile_contracts/."""
    packed = msgspec.json.encode(document(), order="sorted")
    return msgspec.json.format(packed, indent=2).decode() + "\n"


def main() -> int:
    """Write the file."""
    TARGET.write_text(text(), "utf-8")
    print(TARGET.name)
    return 0


if __name__ == "__main__":
    sys.exit(main())

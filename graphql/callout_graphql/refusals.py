"""Refusals that only this door knows: the document, its variables, and HTTP's own manners."""

from typing import Any

from callout_store.errors import Refusal


class QueryUnreadable(Refusal):
    code, status = "GRAPHQL_PARSE_FAILED", 400
    en = "The GraphQL document cannot be read: {why}"
    zh = "无法解析 GraphQL 文档:{why}"


class QueryInvalid(Refusal):
    code, status = "GRAPHQL_VALIDATION_FAILED", 400
    en = "The GraphQL document does not fit the schema: {why}"
    zh = "GraphQL 文档与模式不符:{why}"


class OperationUnknown(Refusal):
    code, status = "OPERATION_UNKNOWN", 400
    en = "Name one of the document's operations: {why}"
    zh = "请指定文档中的一个操作:{why}"


class VariablesInvalid(Refusal):
    code, status = "VARIABLES_INVALID", 400
    en = "The variables do not fit: {why}"
    zh = "变量不符合要求:{why}"


class NulCharacter(Refusal):
    code, status = "NUL_CHARACTER", 400
    en = "A text holds the character U+0000, which cannot be stored."
    zh = "文本包含无法保存的字符 U+0000。"


class IntrospectionClosed(Refusal):
    code, status = "INTROSPECTION_CLOSED", 400
    en = "Sign in to ask for the schema; it is also in mobile_contracts/schema.graphqls."
    zh = "请登录后再查询模式;模式文件见 mobile_contracts/schema.graphqls。"


class OnlyQueriesByGet(Refusal):
    code, status = "ONLY_QUERIES_BY_GET", 405
    en = "Only queries may be sent by GET. Use POST."
    zh = "GET 仅可用于查询,请使用 POST。"


class OperationNotHere(Refusal):
    code, status = "OPERATION_NOT_HERE", 400
    en = "Subscriptions are served over a WebSocket with the protocol graphql-transport-ws."
    zh = "订阅须通过 WebSocket(协议 graphql-transport-ws)使用。"


class NotAcceptable(Refusal):
    code, status = "NOT_ACCEPTABLE", 406
    en = "The answer comes as application/graphql-response+json or application/json only."
    zh = "仅提供 application/graphql-response+json 或 application/json。"


class SessionOver(Refusal):
    code, status = "SESSION_OVER", 401
    en = "The session has ended or the device was revoked. Sign in again."
    zh = "会话已结束或设备已被吊销,请重新登录。"


def as_error(refusal: Refusal, locale: str, **more: Any) -> dict[str, Any]:
    """The refusal as an entry of `errors`; `more` adds `locations` and the response's `path`."""
    return {"message": refusal.message(locale), **more, "extensions": refusal.extensions()}

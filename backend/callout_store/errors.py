"""Refusals: one class each, with a stable code. Doors turn them into problem details (REST) or `errors` (GraphQL).

`code` never changes once published; the sentences may. `{name}` in a sentence is filled from the refusal's details.
"""

from collections.abc import Iterator
from typing import Any, ClassVar

from callout_store import whys
from callout_store.nouns import ENTITIES, LIMITED, STATES


class Refusal(Exception):
    """A request that was understood and refused; nothing of it was stored.

    `path` names the offending field (`commands.3.location.lat`), `details` are safe to show, `retry_after_ms` says
    when the same request may succeed (only where `retryable`).
    """

    code: ClassVar[str] = "REFUSED"
    status: ClassVar[int] = 400
    retryable: ClassVar[bool] = False
    en: ClassVar[str] = "The request was refused."
    zh: ClassVar[str] = "请求被拒绝。"

    def __init__(self, *, path: str | None = None, retry_after_ms: int | None = None, **details: Any) -> None:
        self.path = path
        self.retry_after_ms = retry_after_ms
        self.details = details
        super().__init__(self.message("en"))

    def message(self, locale: str = "en") -> str:
        """The sentence for a person, in `en` or `zh`."""
        chinese = locale.startswith("zh")
        values = _Blank(self.details)
        if "entity" in values:
            entity = str(values["entity"]).replace("_", " ")
            values["entity"] = ENTITIES.get(entity, entity) if chinese else entity
        if chinese and "what" in values:
            values["what"] = LIMITED.get(str(values["what"]), values["what"])
        if chinese and "why" in values:
            values["why"] = whys.chinese(str(values["why"]))
        for name in ("state", "needed") if chinese else ():
            if name in values:
                values[name] = STATES.get(str(values[name]), values[name])
        return (self.zh if chinese else self.en).format_map(values)

    def extensions(self) -> dict[str, Any]:
        """What both doors send beside the sentence."""
        out: dict[str, Any] = {"code": self.code, "retryable": self.retryable}
        if self.retry_after_ms is not None:
            out["retryAfterMs"] = self.retry_after_ms
        if self.path is not None:
            out["path"] = self.path
        if self.details:
            out["details"] = {
                k: v if isinstance(v, int | float | bool) else str(v) for k, v in self.details.items()
            }
        return out


class _Blank(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "?"


# --- the request itself ------------------------------------------------------------------------------------------


class BadRequestBody(Refusal):
    code, status = "BAD_BODY", 400
    en = "The body cannot be read: {why}. Send one JSON object in UTF-8."
    zh = "无法读取请求体:{why}。请发送一个 UTF-8 编码的 JSON 对象。"


class BodyTooLarge(Refusal):
    code, status = "BODY_TOO_LARGE", 413
    en = "The body is larger than the limit of {limit} bytes. Send smaller batches."
    zh = "请求体超过上限 {limit} 字节,请分批发送。"


class BodyTooSlow(Refusal):
    code, status, retryable = "BODY_TOO_SLOW", 408, True
    en = "The body did not arrive within {seconds} seconds. Send smaller batches over a slow line."
    zh = "请求体未在 {seconds} 秒内送达,网络较慢时请分批发送。"


class UnsupportedBody(Refusal):
    code, status = "UNSUPPORTED_BODY", 415
    en = "A body of this kind is not read here. Send JSON with `Content-Type: application/json`."
    zh = "不支持此类型的请求体,请使用 `Content-Type: application/json` 发送 JSON。"


class UnsupportedEncoding(Refusal):
    code, status = "UNSUPPORTED_ENCODING", 415
    en = "A body packed as {given} is not read here. Send it plain, or with `Content-Encoding: gzip` or `zstd`."
    zh = "不支持以 {given} 压缩的请求体,请不压缩,或使用 `Content-Encoding: gzip` 或 `zstd`。"


class NoSuchAddress(Refusal):
    code, status = "NO_SUCH_ADDRESS", 404
    en = "Nothing lives at this address."
    zh = "该地址不存在。"


class MethodRefused(Refusal):
    code, status = "METHOD_REFUSED", 405
    en = "This address does not take {method}."
    zh = "该地址不支持 {method} 方法。"


class BadField(Refusal):
    code, status = "BAD_FIELD", 422
    en = "A field is not acceptable: {why}."
    zh = "字段不符合要求:{why}。"


class BadFields(Refusal):
    code, status = "FIELDS_REFUSED", 422
    en = "{count} fields are not acceptable: {why}."
    zh = "{count} 个字段不符合要求:{why}。"


class LimitExceeded(Refusal):
    code, status = "LIMIT_EXCEEDED", 422
    en = "{what} is limited to {limit}; {given} were given."
    zh = "{what}的上限为 {limit},收到 {given}。"


class QueryTooComplex(Refusal):
    code, status = "QUERY_TOO_COMPLEX", 400
    en = "The query is over the limit for {what}: {given} of {limit}. Ask for less at a time."
    zh = "查询超过{what}的上限:{given}/{limit},请减少一次请求的内容。"


class TooManyRequests(Refusal):
    code, status, retryable = "TOO_MANY_REQUESTS", 429, True
    en = "Too many requests. Wait before trying again."
    zh = "请求过于频繁,请稍后再试。"


class Busy(Refusal):
    code, status, retryable = "BUSY", 503, True
    en = "The server is busy with {what}. Try again shortly."
    zh = "服务器正忙({what}),请稍后重试。"


class DatabaseUnavailable(Refusal):
    code, status, retryable = "DATABASE_UNAVAILABLE", 503, True
    en = "The database does not answer. Nothing was stored; the same request may be sent again."
    zh = "数据库暂时无响应,未保存任何内容,可原样重试。"


class InternalFault(Refusal):
    code, status, retryable = "INTERNAL", 500, True
    en = "Something broke on our side; it was recorded under request {request_id}."
    zh = "服务器内部错误,已记录,请求编号 {request_id}。"


# --- who is asking -----------------------------------------------------------------------------------------------


class NotAuthenticated(Refusal):
    code, status = "NOT_AUTHENTICATED", 401
    en = "Sign in first: the access token is missing, expired or not ours."
    zh = "请先登录:访问令牌缺失、过期或无效。"


class BadCredentials(Refusal):
    code, status = "BAD_CREDENTIALS", 401
    en = "Organisation, e-mail or password is wrong."
    zh = "组织、邮箱或密码不正确。"


class TooManyAttempts(Refusal):
    code, status, retryable = "TOO_MANY_ATTEMPTS", 429, True
    en = "Too many attempts. Wait before trying again."
    zh = "尝试次数过多,请稍后再试。"


class RefreshTokenReused(Refusal):
    code, status = "REFRESH_TOKEN_REUSED", 401
    en = "This refresh token was used before; the whole session was ended. Sign in again."
    zh = "该刷新令牌已被使用,会话已终止,请重新登录。"


class RefreshTokenInvalid(Refusal):
    code, status = "REFRESH_TOKEN_INVALID", 401
    en = "The refresh token is unknown or expired. Sign in again."
    zh = "刷新令牌无效或已过期,请重新登录。"


class NotAllowed(Refusal):
    code, status = "NOT_ALLOWED", 403
    en = "Your role ({role}) may not do this: {what}."
    zh = "您的角色({role})无权执行此操作:{what}。"


class DeviceRevoked(Refusal):
    code, status = "DEVICE_REVOKED", 403
    en = "This device was revoked. Enrol it again with a new code."
    zh = "该设备已被吊销,请用新的注册码重新注册。"


class DeviceRequired(Refusal):
    code, status = "DEVICE_REQUIRED", 403
    en = "Only an enrolled device may do this: {what}."
    zh = "只有已注册的设备才能执行此操作:{what}。"


class EnrolmentCodeInvalid(Refusal):
    code, status = "ENROLMENT_CODE_INVALID", 403
    en = "The enrolment code is unknown, used or expired. Ask the dispatcher for a new one."
    zh = "注册码无效、已使用或已过期,请向调度员索取新的注册码。"


# --- things that are asked for -----------------------------------------------------------------------------------


class NotFound(Refusal):
    code, status = "NOT_FOUND", 404
    en = "There is no {entity} with this id, or you may not see it."
    zh = "找不到该{entity},或您无权查看。"


class AlreadyExists(Refusal):
    code, status = "ALREADY_EXISTS", 409
    en = "This {key} belongs to another {entity} already."
    zh = "具有相同 {key} 的 {entity} 已存在。"


class StaleRevision(Refusal):
    code, status = "STALE_REVISION", 409
    en = "The {entity} was changed meanwhile (revision {current}, you had {given}). Read it again."
    zh = "{entity} 已被他人修改(当前版本 {current},您的版本 {given}),请重新读取。"


class WrongState(Refusal):
    code, status = "WRONG_STATE", 409
    en = "The {entity} is {state}; this needs {needed}."
    zh = "{entity}当前状态为“{state}”,此操作要求:{needed}。"


class NotCompleted(WrongState):
    """An order that cannot be closed yet: where its flow stands, and what lies ahead."""

    en = (
        "The {entity} is {state}; it can be closed once it is {needed}. "
        "Its flow stands at the step {step}. Missing: {missing}. Then: {ahead}."
    )
    zh = (
        "{entity}当前状态为“{state}”,{needed}后方可关闭。流程停在步骤“{step}”。尚缺:{missing}。之后:{ahead}。"
    )


class EngineerUnavailable(Refusal):
    code, status = "ENGINEER_UNAVAILABLE", 409
    en = "This engineer cannot take the visit: {why}. Assign by hand with `override` to insist."
    zh = "该工程师无法接单:{why}。如需坚持,请手动指派并注明 override。"


class NoEngineerFits(Refusal):
    code, status = "NO_ENGINEER_FITS", 409
    en = "No engineer fits this order; the answer lists why for each."
    zh = "没有合适的工程师,详见各工程师的原因。"


class PlanStale(Refusal):
    code, status = "PLAN_STALE", 409
    en = "The proposal is out of date ({why}). Ask for a new plan, or accept with `skipStale`."
    zh = "方案已过期({why})。请重新排程,或使用 skipStale 跳过这些变更。"


class PlanInfeasible(Refusal):
    code, status = "PLAN_INFEASIBLE", 409
    en = "These changes would break rules by now ({why}). Take what they depend on as well, or accept with `skipStale`."
    zh = "这些变更现在会违反规则({why})。请一并采纳其依赖的变更,或使用 skipStale 跳过。"


class PointInvalid(Refusal):
    code, status = "POINT_INVALID", 422
    en = "The point is not a place on earth: {why}."
    zh = "坐标无效:{why}。"


# --- sync --------------------------------------------------------------------------------------------------------


class CursorInvalid(Refusal):
    code, status = "CURSOR_INVALID", 400
    en = "The cursor is not one of ours. Start again without a cursor; pending work stays on the phone."
    zh = "游标无效,请不带游标重新同步,手机上的待上传内容会保留。"


class CursorOfAnotherDevice(Refusal):
    code, status = "CURSOR_OF_ANOTHER_DEVICE", 403
    en = "The cursor belongs to another device. Start again without a cursor."
    zh = "该游标属于另一台设备,请不带游标重新同步。"


class ResyncRequired(Refusal):
    code, status = "RESYNC_REQUIRED", 409
    en = "The copy on the phone is of an earlier epoch. Pull again from the start; pending work stays on the phone."
    zh = "手机上的数据属于旧纪元,请从头拉取,待上传内容会保留。"


class UpgradeRequired(Refusal):
    code, status = "UPGRADE_REQUIRED", 426
    en = "This version of the app ({given}) is too old; {needed} or newer is needed. What it has to send is still taken."
    zh = "应用版本({given})过旧,需要 {needed} 或更高版本。未上传的内容仍会被接收。"


class DeviceWiped(Refusal):
    code, status = "DEVICE_WIPED", 403
    en = "The office asked this phone to forget everything. Enrol it again with a new code."
    zh = "办公室已要求清除此手机的数据,请用新的注册码重新注册。"


# --- sign-off ----------------------------------------------------------------------------------------------------


class SignOffLinkInvalid(Refusal):
    code, status = "SIGN_OFF_LINK_INVALID", 404
    en = "This link is not valid. Ask the engineer for a new one."
    zh = "链接无效,请向工程师索取新的链接。"


class SignOffLinkExpired(Refusal):
    code, status = "SIGN_OFF_LINK_EXPIRED", 410
    en = "This link has expired. Ask the engineer for a new one."
    zh = "链接已过期,请向工程师索取新的链接。"


class TrackLinkInvalid(Refusal):
    code, status = "TRACK_LINK_INVALID", 404
    en = "This link is not valid. Ask for a new one."
    zh = "链接无效,请索取新的链接。"


class TrackLinkExpired(Refusal):
    code, status = "TRACK_LINK_EXPIRED", 410
    en = "This link has expired. Ask for a new one."
    zh = "链接已过期,请索取新的链接。"


class NoticeLinkInvalid(Refusal):
    code, status = "NOTICE_LINK_INVALID", 404
    en = "This link is not valid. Ask for a new notice."
    zh = "链接无效,请重新获取通知。"


class AnswerLinkInvalid(Refusal):
    code, status = "ANSWER_LINK_INVALID", 404
    en = "This link is not valid. Ask for a new one."
    zh = "链接无效,请索取新的链接。"


class AnswerLinkExpired(Refusal):
    code, status = "ANSWER_LINK_EXPIRED", 410
    en = "This link has expired. Ask for a new one."
    zh = "链接已过期,请索取新的链接。"


class AnswerLinkUsed(Refusal):
    code, status = "ANSWER_LINK_USED", 410
    en = "This has been answered already, or the order is over."
    zh = "您已反馈过,或该工单已结束。"


class SignOffLinkUsed(Refusal):
    code, status = "SIGN_OFF_LINK_USED", 410
    en = "This visit has been signed off already with this link."
    zh = "该链接已用于签收。"


# --- the flow of an order ---------------------------------------------------------------------------------------


class SurveyLinkInvalid(Refusal):
    code, status = "SURVEY_LINK_INVALID", 404
    en = "This link is not valid."
    zh = "链接无效。"


class SurveyLinkExpired(Refusal):
    code, status = "SURVEY_LINK_EXPIRED", 410
    en = "This survey is over. Thank you all the same."
    zh = "评价已截止,感谢您的关注。"


class SurveyLinkUsed(Refusal):
    code, status = "SURVEY_LINK_USED", 410
    en = "This survey has been answered already. Thank you."
    zh = "您已评价过,谢谢!"


class FlowNotThere(Refusal):
    code, status = "FLOW_NOT_THERE", 409
    en = "The order's flow stands at the step {step}. Missing: {missing}."
    zh = "工单流程停在步骤“{step}”。尚缺:{missing}。"


class NotYours(Refusal):
    code, status = "NOT_YOURS", 403
    en = "This is for {who} to do, or for a supervisor."
    zh = "此操作须由{who_zh}或主管执行。"


def refusal_classes() -> Iterator[type[Refusal]]:
    """Every refusal there is, for the list in the contracts and for the test that codes are unique."""
    yield from Refusal.__subclasses__()

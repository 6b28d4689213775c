"""What a journal line says to a person, in English and Chinese; programs read the line's `kind` and `data`.

`{name}` is filled from the line's data. What stands in brackets is left out where its data is not there.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from callout_store.nouns import STATES

TEXTS: Final[Mapping[str, tuple[str, str]]] = {
    # Orders
    "work_order.created": ("Order {number} was taken in[ ({channel})]", "工单 {number} 已创建[({channel})]"),
    "work_order.state_changed": ("The order went from {from} to {to}", "工单状态由 {from} 变为 {to}"),
    "work_order.fields_set": ("Fields were filled in[: {fields}]", "已填写字段[:{fields}]"),
    "work_order.tagged": ("Tags were set[: {tags}]", "已设置标签[:{tags}]"),
    "work_order.duplicate_linked": ("Linked as a duplicate[ of {ofNumber}]", "已关联为重复工单[(原工单 {ofNumber})]"),
    "work_order.duplicate_unlinked": ("No longer a duplicate[ of {ofNumber}]", "已取消重复关联[(原工单 {ofNumber})]"),
    "work_order.merged": ("Merged[ into {intoNumber}][ with {fromNumber}]", "已合并[至 {intoNumber}][,并入 {fromNumber}]"),
    "work_order.held": ("Put on hold[: {reason}]", "已挂起[:{reason}]"),
    "work_order.resumed": ("Work goes on", "已恢复处理"),
    "work_order.responded": ("First answer to the customer", "已首次响应客户"),
    "work_order.answered": ("The customer was answered[: {text}]", "已答复客户[:{text}]"),
    "work_order.handler_set": ("A handler was set[ ({why})]", "已指定处理人[({why})]"),
    "work_order.turned_over": ("Turned over to the fallback[ ({why})]", "已转交兜底人[({why})]"),
    "work_order.taken_over": ("Taken over[: {why}]", "已被接管[:{why}]"),
    "work_order.handed_on": ("Handed on[: {why}]", "已改派[:{why}]"),
    "work_order.team_set": ("A team was set", "已指定小组"),
    "work_order.deadline_moved": ("The deadline was moved[ by {minutes} minutes][: {reason}]",
                                  "时限已调整[ {minutes} 分钟][:{reason}]"),
    "work_order.deadline_restored": ("The deadline is the agreed one again", "时限已恢复"),
    "work_order.reopened": ("Reopened[: {reason}]", "已重新打开[:{reason}]"),
    "work_order.answers_offered": ("Answers were offered to the customer", "已向客户提供解答"),
    "work_order.no_answer_found": ("No answer was found: a person takes over", "未找到解答,转人工处理"),
    "work_order.solved_by_answer": ("An answer solved it", "客户已通过解答自助解决"),
    "work_order.answer_did_not_help": ("The answers did not help", "解答未能解决问题"),
    "work_order.survey_asked": ("The customer was asked how it went", "已向客户发出满意度调查"),
    "work_order.survey_answered": ("The customer answered[ with {score}]", "客户已评价[:{score} 分]"),
    "work_order.survey_reminded": ("The customer was reminded of the survey", "已提醒客户填写满意度调查"),
    "work_order.survey_expired": ("The survey ended without an answer", "满意度调查已过期"),
    "work_order.visit_offered": ("A second visit was offered", "已建议再次上门"),
    "work_order.visit_offer_accepted": ("The second visit was accepted", "再次上门已确认"),
    "work_order.visit_offer_declined": ("The second visit was declined[: {reason}]", "再次上门已拒绝[:{reason}]"),
    "work_order.archived": ("Archived", "已归档"),
    "work_order.priority_changed": ("Priority went from {from} to {to}[: {reason}]", "优先级由 {from} 变为 {to}[:{reason}]"),
    "work_order.tier_changed": ("The customer's tier went from {from} to {to}", "客户等级由 {from} 变为 {to}"),
    "work_order.canceled": ("Called off[: {reason}]", "已取消[:{reason}]"),
    "work_order.closed": ("Closed", "已关闭"),
    "work_order.reference_linked": ("Linked with {reference} of {system}", "已关联 {system} 的编号 {reference}"),
    "work_order.note_added": ("Note[: {text}]", "备注[:{text}]"),
    "work_order.parts_set": ("The parts it needs were set", "已设置所需备件"),
    "work_order.planning_set": ("What its planning must respect was set", "已设置排程要求"),
    "work_order.not_assigned": ("No engineer could be given it", "未能派出工程师"),
    "work_order.flagged": ("Nobody answers the order[ ({flag})]", "工单无人响应[({flag})]"),
    "work_order.edited": ("Edited", "已编辑"),
    # Visits
    "visit.scheduled": ("A visit was planned", "已安排上门任务"),
    "visit.dispatched": ("The visit was sent to the engineer", "任务已派发给工程师"),
    "visit.reassigned": ("The visit went to another engineer[: {reason}]", "任务已改派其他工程师[:{reason}]"),
    "visit.moved": ("The visit was moved", "任务时间已调整"),
    "visit.canceled": ("The visit was called off[: {reason}]", "任务已取消[:{reason}]"),
    "visit.displaced": ("The visit gave way to a more urgent one", "任务已为更紧急的任务让路"),
    "visit.crew_set": ("The visit's crew was set", "已设置任务的协同人员"),
    "visit.held": ("The visit is held[: {reason}]", "任务已锁定[:{reason}]"),
    "visit.released": ("The visit is no longer held", "任务已解除锁定"),
    "visit.state_changed": ("The visit went from {from} to {to}", "任务状态由 {from} 变为 {to}"),
    "visit.signed_off": ("The customer signed", "客户已签收"),
    "visit.eta_told": ("The expected arrival changed", "预计到达时间有变"),
    "visit.window_missed": ("The agreed window will be missed", "将错过约定时段"),
    "visit.accepted": ("The engineer accepted", "工程师已接单"),
    "visit.declined": ("The engineer declined[: {reason}]", "工程师已拒单[:{reason}]"),
    "visit.travelling": ("The engineer set out", "工程师已出发"),
    "visit.arrived": ("The engineer arrived", "工程师已到场"),
    "visit.diagnosed": ("Diagnosis[: {diagnosis}]", "已诊断[:{diagnosis}]"),
    "visit.part_replaced": ("A part was replaced[ × {quantity}]", "已更换备件[ × {quantity}]"),
    "visit.note": ("Note of the engineer[: {text}]", "工程师备注[:{text}]"),
    "visit.photo": ("A photo was taken[: {caption}]", "已拍照[:{caption}]"),
    "visit.form_filled": ("A form was filled in", "已填写表单"),
    "visit.customer_signed": ("The customer signed[: {signerName}]", "客户已签名[:{signerName}]"),
    "visit.completed": ("The work was done", "工作已完成"),
    "visit.could_not_complete": ("The work could not be done[: {reason}]", "工作未能完成[:{reason}]"),
    "visit.left": ("The engineer left", "工程师已离场"),
    "visit.edited": ("The visit was edited", "任务已编辑"),
    "sign_off.link_created": ("A link to sign was made", "已生成签收链接"),
    "track.link_created": ("A link to follow the engineer was made", "已生成行程查询链接"),
    "red_lane.offered": ("The urgent order was offered to an engineer", "已向工程师发出紧急派单"),
    "red_lane.accepted": ("An engineer took the urgent order", "工程师已接下紧急工单"),
    "red_lane.declined": ("An engineer declined the urgent order", "工程师已拒绝紧急工单"),
    "red_lane.timed_out": ("An engineer did not answer in time", "工程师未及时响应紧急派单"),
    "red_lane.exhausted": ("Everybody was asked in vain: a dispatcher has to decide", "已问遍所有工程师,需调度员处理"),
    "red_lane.canceled": ("The red lane was stopped", "红色通道已取消"),
    # Flow, parts, deadlines, to-dos
    "flow.step_entered": ("Step {step} began", "进入步骤 {step}"),
    "flow.step_done": ("Step {step} was done", "步骤 {step} 已完成"),
    "flow.step_left": ("Step {step} was left", "已离开步骤 {step}"),
    "flow.led_back": ("Led back to step {step}[: {reason}]", "已退回步骤 {step}[:{reason}]"),
    "flow.settled": ("A step was settled by hand[: {reason}]", "步骤已人工处理[:{reason}]"),
    "flow.visit_wanted": ("A visit is wanted", "需要安排上门"),
    "flow.step_late": ("Step {step} is late", "步骤 {step} 已超时"),
    "flow.approval_asked": ("Approval was asked for[: {code}]", "已发起审批[:{code}]"),
    "flow.approved": ("Approved[: {comment}]", "审批通过[:{comment}]"),
    "flow.rejected": ("Rejected[: {comment}]", "审批驳回[:{comment}]"),
    "flow.blocked": ("Step {step} cannot go on", "步骤 {step} 受阻"),
    "parts.requested": ("Parts were requested[: {number}]", "已提交备件申请[:{number}]"),
    "parts.approved": ("The parts' requisition was approved[: {number}]", "备件申请已批准[:{number}]"),
    "parts.ordered": ("Parts were ordered[: {number}]", "备件已下单[:{number}]"),
    "parts.received": ("Parts came in[: {number}]", "备件已到货[:{number}]"),
    "parts.order_changed": ("The parts' order was changed[: {number}]", "备件订单已变更[:{number}]"),
    "parts.ready": ("All parts are there", "备件已齐"),
    "parts.canceled": ("The parts' requisition was called off[: {number}]", "备件申请已取消[:{number}]"),
    "parts.named": ("The requisition's parts were named[: {number}]", "备件申请已填写备件[:{number}]"),
    "parts.not_needed": (
        "Parts were ordered that are needed no more[: {number}]",
        "已下单的备件不再需要[:{number}]",
    ),
    "stock.negative": ("The book of stock is behind the truth", "库存账面为负"),
    "sla.warned": ("{mark} minutes left for {milestone}", "{milestone} 剩余 {mark} 分钟"),
    "sla.missed": ("{milestone} was missed", "{milestone} 已超时"),
    "sla.paused": ("The clock stands still[: {reason}]", "计时已暂停[:{reason}]"),
    "sla.resumed": ("The clock runs again", "计时已恢复"),
    "todo.asked": ("Somebody was asked to do something[: {text}]", "已生成待办[:{text}]"),
    "todo.passed_on": (
        "A to-do went to somebody else[: {text}]",
        "待办已转交他人[:{text}]",
    ),
    "todo.acknowledged": ("A to-do was acknowledged", "待办已确认"),
    "todo.done": ("A to-do was done", "待办已完成"),
    "todo.canceled": ("A to-do is no longer wanted", "待办已取消"),
    # What is no journal line, and stands in an order's timeline beside them
    "dispatch.decided": ("Decided who goes[: {engineer}]", "已决定派工[:{engineer}]"),
    "file.added": ("A file came[: {name}]", "收到文件[:{name}]"),
    "message.received": ("A message came in[ by {channel}][: {text}]", "收到消息[({channel})][:{text}]"),
    "message.sent": ("A message went out[ by {channel}][: {text}]", "已发出消息[({channel})][:{text}]"),
    "notice.owed": ("{to} is to be told[ by {medium}][: {title}]", "待通知 {to}[({medium})][:{title}]"),
    "notice.delivered": ("{to} was told[ by {medium}][: {title}]", "已通知 {to}[({medium})][:{title}]"),
    "notice.read": ("{to} was told[ by {medium}] and has read it[: {title}]", "{to} 已读通知[({medium})][:{title}]"),
    "notice.acknowledged": ("{to} was told[ by {medium}] and has confirmed[: {title}]",
                            "{to} 已确认通知[({medium})][:{title}]"),
    "notice.failed": ("{to} could not be told[ by {medium}][: {title}]", "通知 {to} 失败[({medium})][:{title}]"),
    "stock.moved": ("Stock of {part} changed by {quantity}", "备件 {part} 库存变动 {quantity}"),
    # Intake
    "intake.received": ("A message came in", "收到来信"),
    "intake.refused": ("A request was refused", "请求未通过预检"),
    "intake.completed": ("A request was completed", "请求已补全"),
    "intake.closed": ("A request was closed", "请求已关闭"),
    "intake.agent_wanted": ("An agent is wanted", "请求转人工"),
    "intake_channel.saved": ("A channel was set up", "渠道已保存"),
    "import.started": ("An import began[: {file}]", "导入开始[:{file}]"),
    "import.finished": ("An import ended[: {ok} taken in, {failed} failed]", "导入完成[:成功 {ok} 行,失败 {failed} 行]"),
    "import.canceled": ("An import was stopped", "导入已取消"),
    "import.failed": ("An import broke off[: {fault}]", "导入中断[:{fault}]"),
    # Synchronisation
    "sync.held": ("A command of the phone waits for another one", "手机命令等待前置命令"),
    "sync.forced": ("A waiting command was applied", "等待中的命令已强制执行"),
    "sync.mended": ("A command was mended by hand", "命令已人工修正"),
    "sync.quarantined": ("A command of the phone could not be applied", "手机命令无法执行,已隔离"),
    "sync.conflict": ("Recorded, and a person has to decide what follows", "已记录,需人工处理后续"),
    "sync.applied": ("A kept command was applied", "隔离的命令已执行"),
    "sync.dismissed": ("A command was dismissed", "命令已驳回"),
    "sync.field_conflict": ("Two people changed the same field", "同一字段被两人修改"),
    "sync.parallel_update": ("Two people changed it at the same time", "同一记录被同时修改"),
    "sync.conflict_settled": ("A conflict was settled", "冲突已处理"),
    # What is set up
    "absence.changed": ("An absence was changed", "请假已变更"),
    "api_key.created": ("An API key was made[: {prefix}…]", "已创建 API 密钥[:{prefix}…]"),
    "api_key.rotated": ("An API key was replaced", "API 密钥已轮换"),
    "api_key.revoked": ("An API key was revoked", "API 密钥已吊销"),
    "article.created": ("An article was written", "知识文章已创建"),
    "article.changed": ("An article was changed", "知识文章已修改"),
    "article.made_standing": (
        "An article became the standing answer to {faultCode}",
        "知识文章已设为 {faultCode} 的常驻答复",
    ),
    "article.standing_ended": (
        "An article is no longer the standing answer to {faultCode}",
        "知识文章不再是 {faultCode} 的常驻答复",
    ),
    "article.retired": ("An article was retired", "知识文章已停用"),
    "asset.created": ("A machine was entered", "设备已登记"),
    "asset.edited": ("A machine's record was edited", "设备信息已编辑"),
    "contact.created": ("A contact was entered", "联系人已登记"),
    "contact.edited": ("A contact's record was edited", "联系人信息已编辑"),
    "customer.tier_changed": ("The customer's tier went from {from} to {to}", "客户等级由 {from} 变为 {to}"),
    "customer.created": ("A customer was entered", "客户已登记"),
    "demo.played": ("The demo's day was played", "演示日已运行"),
    "depot.saved": ("A depot was saved", "仓库已保存"),
    "device.code_made": ("A code to enrol a phone was made", "已生成手机注册码"),
    "device.enrolled": ("A phone was enrolled", "手机已注册"),
    "device.revoked": ("A phone was revoked", "手机已吊销"),
    "device.wipe_requested": ("A phone shall forget everything", "已要求清除手机数据"),
    "device.wipe_canceled": ("A phone's wipe was called off", "已取消清除手机数据"),
    "device.wiped": ("A phone has forgotten everything", "手机数据已清除"),
    "engineer.created": ("An engineer was entered", "工程师已登记"),
    "engineer.changed": ("An engineer's record was changed", "工程师信息已修改"),
    "engineer.activated": ("An engineer is active again", "工程师已启用"),
    "engineer.deactivated": ("An engineer was deactivated", "工程师已停用"),
    "engineer.absence_set": ("An absence was entered", "请假已登记"),
    "engineer.absence_removed": ("An absence was removed", "请假已删除"),
    "engineer.preference_set": ("A preference was set", "工程师偏好已设置"),
    "engineer.preference_removed": ("A preference was removed", "工程师偏好已删除"),
    "engineer.shifts_set": ("Shifts were set", "班次已设置"),
    "engineer.skills_set": ("Skills were set", "技能已设置"),
    "engineer.terms_set": ("An engineer's terms were set", "工程师工作条件已设置"),
    "engineer.territories_set": ("An engineer's territories were set", "工程师服务区域已设置"),
    "engineer.territory_set": ("An engineer's territory was set", "工程师服务区域已设置"),
    "form.saved": ("A form was saved", "表单已保存"),
    "form.retired": ("A form was retired", "表单已停用"),
    "kind.saved": ("A kind of order was saved", "工单类型已保存"),
    "kind.activated": ("A kind of order became active", "工单类型已启用"),
    "kind.retired": ("A kind of order was retired", "工单类型已停用"),
    "organisation.created": ("The organisation was made", "组织已创建"),
    "organisation.changed": ("The organisation's settings were changed", "组织设置已修改"),
    "organisation.places_configured": ("Settings of places were changed", "位置设置已修改"),
    "part.created": ("A part was entered", "备件已登记"),
    "part.edited": ("A part's record was edited", "备件信息已编辑"),
    "plan.failed": ("A plan could not be made", "排程失败"),
    "policy.saved": ("A scheduling policy was saved", "排程策略已保存"),
    "policy.activated": ("A scheduling policy became active", "排程策略已启用"),
    "product.saved": ("Product {code} was saved", "产品 {code} 已保存"),
    "precheck.keywords_saved": ("{written} keywords were saved", "已保存 {written} 个关键词"),
    "precheck.keywords_removed": ("{removed} keywords were removed", "已删除 {removed} 个关键词"),
    "precheck.settings_saved": ("Settings of the pre-check were changed", "预检设置已修改"),
    "presence.changed": ("Somebody's presence changed", "在线状态已变更"),
    "session.opened": ("Somebody signed in", "已登录"),
    "session.ended": ("A session ended", "会话已结束"),
    "site.created": ("A site was entered", "现场已登记"),
    "site.edited": ("A site's record was edited", "现场信息已编辑"),
    "site.placed": ("A site's point was set", "现场坐标已设置"),
    "site.not_placed": ("A site's point was not found", "未能找到现场坐标"),
    "site.territory_set": ("A site's territory was set", "现场所属区域已设置"),
    "site.visiting_hours_set": ("A site's visiting hours were set", "现场开放时间已设置"),
    "sla_policy.saved": ("An SLA policy was saved", "SLA 策略已保存"),
    "sla_policy.activated": ("An SLA policy became active", "SLA 策略已启用"),
    "staff.saved": ("A colleague's entry was saved", "员工信息已保存"),
    "staff.posts_set": ("A colleague's posts were set", "员工岗位已设置"),
    "team.saved": ("A team was saved", "小组已保存"),
    "team.duty_set": ("A team's duty was set", "小组值班已设置"),
    "territory.saved": ("A territory was saved", "服务区域已保存"),
    "territory.retired": ("A territory was retired", "服务区域已停用"),
    "user.created": ("A user was made", "用户已创建"),
    "user.reactivated": ("A user was let in again", "用户已恢复启用"),
    "user.deactivated": ("A user was deactivated[: {reason}]", "用户已停用[:{reason}]"),
    "user.password_set": ("A password was set", "密码已设置"),
}  # fmt: skip

WORDS: Final[Mapping[str, Mapping[str, tuple[str, str]]]] = {
    "channel": {
        "web_form": ("web form", "网页表单"),
        "hotline": ("hotline", "热线"),
        "app": ("app", "应用"),
        "chat": ("chat", "聊天"),
        "email": ("e-mail", "邮件"),
        "api": ("API", "接口"),
    },
    "medium": {
        "wecom_robot": ("WeCom robot", "企业微信机器人"),
        "wecom": ("WeCom", "企业微信"),
        "dingtalk_robot": ("DingTalk robot", "钉钉机器人"),
        "feishu_robot": ("Feishu robot", "飞书机器人"),
        "email": ("e-mail", "邮件"),
        "sms": ("text message", "短信"),
        "voice": ("telephone", "语音电话"),
        "push": ("push", "推送"),
        "web_push": ("web push", "网页推送"),
        "inbox": ("inbox", "站内信"),
    },
    "milestone": {
        "first_response": ("the first response", "首次响应"),
        "arrival": ("the arrival", "到场"),
        "resolution": ("the resolution", "解决"),
    },
    "reason": {
        "parts": ("waiting for parts", "等待备件"),
        "customer": ("waiting for the customer", "等待客户"),
        "access": ("no access", "无法进入现场"),
        "no_access": ("no access", "无法进入现场"),
        "part_missing": ("a part was missing", "缺少备件"),
        "wrong_skill": ("another skill is needed", "技能不符"),
        "customer_absent": ("the customer was not there", "客户不在"),
        "unsafe": ("it was not safe", "现场不安全"),
        "other": ("another reason", "其他原因"),
    },
    "why": {
        "late": ("about to be late", "即将超时"),
        "offline": ("whoever had it is offline", "原处理人离线"),
        "nobody": ("nobody of its team is online", "小组无人在线"),
        "left": ("whoever had it has left", "原处理人已离开"),
    },
    "flag": {
        "nobody_on_duty": ("nobody is on duty", "无人值班"),
        "nobody_answers": ("nobody on duty answers", "当班人员均未响应"),
        "no_team": ("no team answers for such orders", "没有小组负责此类工单"),
    },
}
"""Codes in the data of lines, by the name of the value, as people say them. What is not there is shown as it is."""

_LABELLED: Final = frozenset({"step", "code"})
_OPTIONAL: Final = re.compile(r"\[([^\[\]]*)\]")
_NAME: Final = re.compile(r"\{(\w+)\}")
VALUE_CHARS_MAX: Final = 300


def texts(kind: str, data: Mapping[str, Any]) -> tuple[str, str]:
    """The line in English and Chinese; of an unknown kind (of a newer version that was taken back) the kind itself."""
    english, chinese = TEXTS.get(kind, (kind, kind))
    return _filled(english, kind, data, 0), _filled(chinese, kind, data, 1)


def _filled(text: str, kind: str, data: Mapping[str, Any], n: int) -> str:
    def value(name: str) -> str:
        # A step is known to people by its label, where the line has one.
        given = data.get("label") if name in _LABELLED and "label" in data else data.get(name)
        if kind.endswith(".state_changed") and name in ("from", "to"):
            return (str(given).replace("_", " "), STATES.get(str(given), str(given)))[n]
        word = WORDS.get(name, {}).get(given) if isinstance(given, str) else None
        return word[n] if word is not None else _plain(given, n)

    def optional(found: re.Match[str]) -> str:
        names = _NAME.findall(found[1])
        return found[1] if all(value(name) for name in names) else ""

    return _NAME.sub(lambda found: value(found[1]) or "?", _OPTIONAL.sub(optional, text))


def _plain(value: Any, n: int) -> str:
    if isinstance(value, dict):
        return str(value.get(("en", "zh")[n], ""))[:VALUE_CHARS_MAX]
    if value is None:
        return ""
    if isinstance(value, list):
        return ", ".join(_plain(one, n) for one in value)[:VALUE_CHARS_MAX]
    return str(value)[:VALUE_CHARS_MAX]

"""What is said about a kind of order, in English and Chinese."""

from typing import Any, Final

import msgspec


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to be said: a stable code, the place in the text (`steps.3.next.0.to`), `error` or `warning`, and why."""

    code: str
    path: str
    level: str
    en: str
    zh: str

    def text(self, locale: str) -> str:
        """The sentence in `en` or `zh`."""
        return self.zh if locale.startswith("zh") else self.en


TEXTS: Final[dict[str, tuple[str, str]]] = {
    "code": (
        "{given} is no code: a small letter, then up to 39 of a-z, 0-9 and underscore",
        "{given} 不是有效代码:须以小写字母开头,后接至多 39 个小写字母、数字或下划线",
    ),
    "code_twice": ("the code {given} is there twice; rename one", "代码 {given} 重复,请改名"),
    "options_missing": ("a choice needs options", "选择类字段须有选项"),
    "options_unused": ("only choices have options; take them out", "只有选择类字段才有选项,请删除"),
    "bounds_unused": (
        "only numbers have `low` and `high`; take them out",
        "只有数字类字段才有 low 和 high,请删除",
    ),
    "bounds_endless": (
        "`low` and `high` are numbers; `inf` and `nan` are none",
        "low 和 high 须为数字,不能是 inf 或 nan",
    ),
    "bounds_crossed": ("`low` {low} lies above `high` {high}", "low {low} 大于 high {high}"),
    "text_rules_unused": (
        "only texts have `chars_max` and `pattern`; take them out",
        "只有文本类字段才有 chars_max 和 pattern,请删除",
    ),
    "range": ("it must lie between {low} and {high}", "必须在 {low} 与 {high} 之间"),
    "pattern": ("it is not a regular expression: {fault}", "不是有效的正则表达式:{fault}"),
    "pattern_long": ("a pattern has at most {limit} characters", "正则表达式最多 {limit} 个字符"),
    "name": ("there is no {given}; there are: {known}", "{given} 不存在;可用:{known}"),
    "country": ("{given} is no country code of two letters (CN)", "{given} 不是两位国家代码(如 CN)"),
    "words": ("{given} words; the limit is {limit}", "共 {given} 个词,上限为 {limit}"),
    "blank": ("it is blank", "内容为空"),
    "media": (
        "{given} is no media type or the start of one (image/, video/mp4)",
        "{given} 不是媒体类型或其前缀(如 image/、video/mp4)",
    ),
    "owner": ("{given} owns nothing; an owner is one of: {known}", "{given} 不是有效责任人;可用:{known}"),
    "post_empty": (
        "nobody holds the post {given} in the directory; its supervisors would be asked",
        "通讯录中没有人担任 {given},届时将询问主管",
    ),
    "nobody_by_hand": (
        "{step} can never end: it is ended by hand, but its owner is `system`, which is nobody",
        "{step} 永远不会结束:须手动完成,但责任人为 system",
    ),
    "approves_itself": (
        "{given} would approve its own work; name another",
        "{given} 不能审批自己的工作,请指定他人",
    ),
    "action_value": (
        "the action {given} needs a `value`: a code such as parts",
        "动作 {given} 须填写 value(代码,如 parts)",
    ),
    "action_value_unused": (
        "the action {given} takes no value; take it out",
        "动作 {given} 不使用 value,请删除",
    ),
    "may_be_blank": (
        "{given} need not be filled in when {step} is done; ask for it in that step, at intake, or with has(fields.{given})",
        "{step} 完成时 {given} 可能未填写;请在该步骤或受理时设为必填,或用 has(fields.{given}) 判断",
    ),
    "no_steps": ("it has no steps; one is the least", "没有任何步骤,至少需要一个"),
    "unreachable": (
        "no way leads to {step}; lead a branch to it, or take it out",
        "没有任何路径到达 {step};请添加分支或删除该步骤",
    ),
    "dead_end": (
        "from {step} no way leads to an end; lead a branch to a step without `next`",
        "从 {step} 出发无法到达终点;请添加通往终点的分支",
    ),
    "cycle": (
        "{steps} lead back to themselves, and none of them may be entered twice; "
        "give `times_max` to the one that is led back to",
        "{steps} 循环相连,但都只能进入一次;请为返回的步骤设置 times_max",
    ),
    "spins": (
        "{steps} lead back to themselves and wait for nothing: the flow would go round by itself; let one of them be ended "
        "by hand, or wait for an event",
        "{steps} 循环相连且无需等待任何事项,流程会自行循环;请让其中一步手动完成或等待事件",
    ),
    "no_way_on": (
        "of the branches of {step} none may hold; let the last one be without `when`",
        "{step} 的分支可能都不成立;请让最后一个分支不带 when 条件",
    ),
    "loop_runs_out": (
        "{step} may be stuck: {to} can be entered {given} times, but up to {needed} ways may lead to it; "
        "raise its `times_max`, or add a last branch that leads out of the loop",
        "{step} 可能无路可走:{to} 只能进入 {given} 次,但最多可能被进入 {needed} 次;"
        "请提高 times_max,或增加一个离开循环的最后分支",
    ),
    "branch_never": (
        "this branch is never taken, for one before it always is; put it first or take it out",
        "前面的分支总是成立,此分支永远不会被选择;请前移或删除",
    ),
    "waits_in_vain": (
        "{step} waits for {event}, which nothing before it brings about; add the action {action}",
        "{step} 等待 {event},但此前没有任何动作会触发它;请添加动作 {action}",
    ),
}


def finding(code: str, path: str, *, level: str = "error", **details: Any) -> Finding:
    """A finding with its sentences filled in."""
    en, zh = TEXTS[code]
    return Finding(code=code, path=path, level=level, en=en.format_map(details), zh=zh.format_map(details))

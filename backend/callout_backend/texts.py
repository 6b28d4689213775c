"""What the command line says, in the language of the terminal (LC_ALL, LC_MESSAGES, LANG)."""

import os

TEXTS: dict[str, dict[str, str]] = {
    "migrating": {"en": "Bringing the database to its newest version", "zh": "正在将数据库升级到最新版本"},
    "playing": {"en": "Loading the demo and playing its day", "zh": "正在载入演示数据并演示一个工作日"},
    "migrated": {"en": "The database is at its newest version", "zh": "数据库已是最新版本"},
    "unreachable": {
        "en": "The database cannot be reached: {why}. `callout doctor` says more.",
        "zh": "无法连接数据库:{why}。`callout doctor` 可给出详情。",
    },
    "no_tables": {
        "en": "The database has no tables yet: `callout migrate` makes them.",
        "zh": "数据库中还没有表:请先运行 `callout migrate`。",
    },
    "password": {"en": "Password", "zh": "密码"},
    "ended": {"en": "Everything has ended. The data is kept.", "zh": "已全部停止,数据已保留。"},
    "page": {"en": "Start page", "zh": "首页"},
    "organisation": {"en": "Organisation", "zh": "组织"},
    "state": {"en": "State", "zh": "运行状态"},
    "logs": {"en": "Logs", "zh": "日志"},
    "end_with": {"en": "Ctrl-C ends it", "zh": "按 Ctrl-C 结束"},
    "mend": {"en": "How to mend it", "zh": "处理办法"},
    "check": {"en": "Check", "zh": "检查项"},
    "found": {"en": "Found", "zh": "结果"},
    "all_well": {"en": "Nothing is wrong.", "zh": "一切正常。"},
    "error": {"en": "error", "zh": "错误"},
    "warning": {"en": "warning", "zh": "提醒"},
    "flow_well": {"en": "nothing is wrong", "zh": "没有问题"},
    "some_wrong": {"en": "Something is wrong, see above.", "zh": "存在问题,见上表。"},
}


class Say:
    """`say("migrating")`, with `name=value` for what stands in braces."""

    def locale(self) -> str:
        """`zh` for any Chinese terminal, else `en`."""
        spoken = os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG") or ""
        return "zh" if spoken.lower().startswith("zh") else "en"

    def __call__(self, key: str, **details: object) -> str:
        return TEXTS[key][self.locale()].format(**details)


say = Say()

"""What the swarm's table says, in English and Chinese."""

from collections.abc import Mapping
from typing import Final

from callout_backend.texts import say

TEXTS: Final[dict[str, dict[str, str]]] = {
    "title": {
        "en": "{devices} phones, {days} days, seed {seed}",
        "zh": "{devices} 部手机,{days} 天,种子 {seed}",
    },
    "commands": {"en": "Commands written on phones", "zh": "手机记录的操作"},
    "became": {"en": "Events / quarantined / edits", "zh": "事件 / 隔离 / 字段修改"},
    "lost": {"en": "Lost", "zh": "丢失"},
    "doubled": {"en": "Doubled", "zh": "重复"},
    "wrong": {"en": "Events from nowhere / stock wrong", "zh": "来源不明事件 / 库存不符"},
    "pictures": {"en": "Pictures / lost", "zh": "照片 / 丢失"},
    "copies": {"en": "Documents on phones / different from the tables", "zh": "手机文档数 / 与数据库不一致"},
    "faults": {"en": "Network faults", "zh": "网络故障"},
    "troubles": {"en": "Troubles", "zh": "故障与意外"},
    "office": {"en": "Office", "zh": "调度室"},
    "rates": {"en": "Commands/s, documents/s while playing", "zh": "运行期间 操作/秒、文档/秒"},
    "laps": {"en": "A sync: p50, p95, p99 in ms", "zh": "单次同步 p50、p95、p99(毫秒)"},
    "seconds": {"en": "Seconds: played, settled, judged", "zh": "用时(秒):运行、收尾、核对"},
}
"""The rows of the table, in their order after the title."""

WORDS: Final[dict[str, tuple[str, str]]] = {
    "lost_before": ("requests lost", "请求丢失"),
    "lost_answer": ("answers lost", "应答丢失"),
    "repeated": ("requests repeated", "请求重复"),
    "held": ("requests that came late", "请求迟到"),
    "cut": ("uploads cut", "上传中断"),
    "kills": ("apps killed", "应用被终止"),
    "dark spells": ("phones without a network for days", "手机多日无网络"),
    "clocks set": ("clocks set wrong", "时钟被改错"),
    "reboots": ("phones rebooted", "手机重启"),
    "syncs": ("syncs", "同步"),
    "syncs given up": ("syncs given up", "放弃的同步"),
    "API processes killed": ("API processes killed", "API 进程被终止"),
    "PostgreSQL crashes": ("PostgreSQL crashes", "PostgreSQL 崩溃"),
    "phones with commands forced": ("phones with commands forced", "有操作被强制执行的手机"),
    "visits": ("visits", "上门任务"),
    "reassigned": ("reassigned", "改派"),
    "canceled": ("called off", "取消"),
    "crews changed": ("crews changed", "协作人员变更"),
    "fields edited": ("fields edited", "字段修改"),
}
"""What was counted, by its name in the JSON."""


def words(counts: Mapping[str, int]) -> str:
    """What was counted at least once, in the language of the terminal."""
    chinese = say.locale() == "zh"
    told = [f"{WORDS[name][chinese]} {value:,}" for name, value in sorted(counts.items()) if value]
    return ("、" if chinese else ", ").join(told)

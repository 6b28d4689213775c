"""The sentences of `explain`, in English and Chinese, by the code of the reason."""

from collections.abc import Mapping
from typing import Final

TEXTS: Final[dict[str, tuple[str, str]]] = {
    "VISIT_IS_YOURS": ("Visit {visit} is this engineer's.", "上门任务 {visit} 由该工程师负责。"),
    "CREW": (
        "This engineer is in the crew of visit {visit}, which {who} leads.",
        "该工程师是任务 {visit} 的协作人员,负责人为 {who}。",
    ),
    "VISIT_OPEN": ("Visit {visit} has not ended.", "任务 {visit} 尚未结束。"),
    "WITHIN_WINDOW": (
        "Visit {visit} has ended, and stays on phones until {until}.",
        "任务 {visit} 已结束,在手机上保留至 {until}。",
    ),
    "VIA_VISIT": ("It belongs to visit {visit}.", "它属于任务 {visit}。"),
    "ORGANISATION_WIDE": ("It lies on every phone of the organisation.", "它保存在本组织的所有手机上。"),
    "IN_VAN": ("It is in this engineer's van.", "它在该工程师的车上。"),
    "OF_THIS_DEVICE": ("It tells what became of a command of this device.", "它说明了此设备某个操作的结果。"),
    "NOT_DISPATCHED": ("Visit {visit} has not been dispatched.", "任务 {visit} 尚未派工。"),
    "OTHER_ENGINEER": ("Visit {visit} is {who}'s.", "任务 {visit} 由 {who} 负责。"),
    "WINDOW_PASSED": (
        "Visit {visit} ended too long ago: it left the phones at {at}.",
        "任务 {visit} 结束已久,已于 {at} 从手机上移除。",
    ),
    "NO_VISIT_NEEDS_IT": (
        "No visit of this engineer brings it to the phone.",
        "该工程师没有需要它的上门任务。",
    ),
    "NO_ENGINEER": (
        "The device's user is not an engineer in service.",
        "该设备的用户不是在岗工程师。",
    ),
    "NO_HISTORY": (
        "No visit to this equipment has ended yet, or phones keep no history.",
        "该设备尚无已结束的任务,或手机不保存历史记录。",
    ),
    "OTHER_TERRITORY": ("It is for another territory.", "它属于其他区域。"),
    "OTHER_VAN": ("It is in the van of {who}.", "它在 {who} 的车上。"),
    "OTHER_DEVICE": ("It is for another device.", "它属于另一台设备。"),
    "RETIRED": ("It was retired, and lies on no phone.", "它已停用,不在任何手机上。"),
    "NEVER_HELD": (
        "It was never on this device, as far back as deletes are kept.",
        "在保留删除记录的期限内,它从未出现在此设备上。",
    ),
    "LEFT": ("It left this device's scope at {at}.", "它已于 {at} 离开此设备的范围。"),
    "ENTITY_TOO_NEW_FOR_APP": (
        "The app speaks schema {given}; records of this kind need {needed}.",
        "应用的数据版本为 {given},此类记录需要 {needed}。",
    ),
    "NOT_PULLED_YET": (
        "The device has not pulled the present state yet.",
        "设备尚未拉取最新状态。",
    ),
    "DEVICE_REVOKED": ("The device was revoked at {at}.", "该设备已于 {at} 被吊销。"),
    "DEVICE_WIPED": ("The device was asked to forget everything.", "已要求该设备清除全部数据。"),
    "UNKNOWN_RECORD": ("There is no such record.", "没有这条记录。"),
}


def sentence(code: str, facts: Mapping[str, str], locale: str) -> str:
    """The sentence of a reason for a person, in `en` or `zh`."""
    return TEXTS[code][locale.startswith("zh")].format_map(facts)

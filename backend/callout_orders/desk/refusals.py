"""Refusals of the agent's desk, which name people: who has the right, who was faster."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from callout_store.errors import Refusal

ACTS: Final[Mapping[str, Mapping[str, str]]] = {
    "take_over": {"en": "take this order over", "zh": "接管该工单"},
    "hand_on": {"en": "hand this order on", "zh": "转派该工单"},
    "move_deadline": {"en": "move this order's deadline", "zh": "调整该工单的时限"},
}
"""The three rights of the fallback."""


class FallbackOnly(Refusal):
    """Only whoever is on duty for the order's team, and supervisors, may do this. `holders`: (id, name, until) of those who
    may now; `until` None for supervisors."""

    code, status = "FALLBACK_ONLY", 403
    en = "Only whoever is on duty for this order's team, or a supervisor, may {act}. Now that is: {who}."
    zh = "只有该工单所属小组的当班兜底人或主管可以{act}。当前有权者:{who}。"

    def __init__(self, act: str, holders: Sequence[tuple[UUID, str, datetime | None]]) -> None:
        self.act, self.holders = act, tuple(holders)
        super().__init__(act=ACTS[act]["en"], who=self._who("en"))

    def _who(self, locale: str) -> str:
        names = [name for _, name, _ in self.holders]
        if locale.startswith("zh"):
            return "、".join(names) or "无(请联系管理员)"
        return ", ".join(names) or "nobody (ask an administrator)"

    def message(self, locale: str = "en") -> str:
        """The sentence for a person, in `en` or `zh`."""
        if locale.startswith("zh"):
            return self.zh.format(act=ACTS[self.act]["zh"], who=self._who(locale))
        return super().message(locale)

    def extensions(self) -> dict[str, Any]:
        """As of every refusal, and `holders`."""
        return super().extensions() | {
            "right": self.act,
            "holders": [
                {"userId": str(id_), "name": name, "until": until.isoformat() if until else None}
                for id_, name, until in self.holders
            ],
        }


class HandlerChanged(Refusal):
    """Somebody was faster: the order is in other hands than the caller saw. `handler` has it now, `epoch` is to be given with
    the next try."""

    code, status = "HANDLER_CHANGED", 409
    en = "{who} has this order by now, since {since}. Look at it again before you decide."
    zh = "该工单已由{who}处理(自 {since} 起),请重新查看后再决定。"

    def __init__(self, *, handler: UUID | None, name: str | None, since: datetime, epoch: int) -> None:
        self.name = name
        super().__init__(
            path="epoch",
            who=name or "nobody",
            since=f"{since:%Y-%m-%d %H:%M:%S} UTC",
            handlerId=handler,
            epoch=epoch,
        )

    def message(self, locale: str = "en") -> str:
        """The sentence for a person, in `en` or `zh`."""
        if locale.startswith("zh"):
            return self.zh.format(who=self.name or "无人", since=self.details["since"])
        return super().message(locale)

"""The words of the service desk, as they are stored and sent."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

TAGS_MAX: Final = 40
"""Of an order."""


class Priority(StrEnum):
    """How urgent an order is. The text sorts from most to least urgent."""

    P0 = "P0"
    """Service down: the red lane, only engineers who are online."""
    P1 = "P1"
    """Malfunction: by skill and load."""
    P2 = "P2"
    """Question or ordinary request."""


class OrderKind(StrEnum):
    """Codes of the five kinds of order that are built in (L5); an organisation may have others (`kinds.versions`)."""

    SERVICE = "service"
    REPAIR = "repair"
    AFTER_SALES = "after_sales"
    PRODUCTION = "production"
    GENERAL = "general"


class Channel(StrEnum):
    """Where an order came in."""

    WEB_FORM = "web_form"
    HOTLINE = "hotline"
    APP = "app"
    CHAT = "chat"
    EMAIL = "email"
    API = "api"


class OrderState(StrEnum):
    """A work order's state. Only `callout_orders.order_states.derive` makes one; nobody sets it."""

    NEW = "new"
    """No live visit and no outcome: waits to be planned."""
    SCHEDULED = "scheduled"
    """A visit is planned, told or accepted."""
    IN_PROGRESS = "in_progress"
    """An engineer is on the way or on site."""
    COMPLETED = "completed"
    """The last visit to end did the work; waits for sign-off."""
    CANNOT_COMPLETE = "cannot_complete"
    """The last visit to end could not do the work: waits to be planned again."""
    CLOSED = "closed"
    """Signed off; final."""
    CANCELED = "canceled"
    """Called off; final."""


#: States in which an order waits for a dispatcher (or the day planner) to give it a visit.
TO_BE_PLANNED: frozenset[OrderState] = frozenset({OrderState.NEW, OrderState.CANNOT_COMPLETE})

#: States that no visit can change any more.
FINAL: frozenset[OrderState] = frozenset({OrderState.CLOSED, OrderState.CANCELED})

PRIORITY_LABELS: dict[Priority, dict[str, str]] = {
    Priority.P0: {"en": "P0 · service down", "zh": "P0 · 服务中断"},
    Priority.P1: {"en": "P1 · malfunction", "zh": "P1 · 功能异常"},
    Priority.P2: {"en": "P2 · question", "zh": "P2 · 一般咨询"},
}

ORDER_KIND_LABELS: dict[OrderKind, dict[str, str]] = {
    OrderKind.SERVICE: {"en": "Service", "zh": "服务"},
    OrderKind.REPAIR: {"en": "Repair", "zh": "维修"},
    OrderKind.AFTER_SALES: {"en": "After-sales", "zh": "售后"},
    OrderKind.PRODUCTION: {"en": "Production", "zh": "生产"},
    OrderKind.GENERAL: {"en": "General", "zh": "通用"},
}

CHANNEL_LABELS: dict[Channel, dict[str, str]] = {
    Channel.WEB_FORM: {"en": "Web form", "zh": "网页表单"},
    Channel.HOTLINE: {"en": "Hotline", "zh": "热线电话"},
    Channel.APP: {"en": "App", "zh": "应用"},
    Channel.CHAT: {"en": "Chat account", "zh": "聊天账号"},
    Channel.EMAIL: {"en": "E-mail", "zh": "邮件"},
    Channel.API: {"en": "API", "zh": "接口"},
}

ORDER_STATE_LABELS: dict[OrderState, dict[str, str]] = {
    OrderState.NEW: {"en": "New", "zh": "新建"},
    OrderState.SCHEDULED: {"en": "Scheduled", "zh": "已排程"},
    OrderState.IN_PROGRESS: {"en": "In progress", "zh": "进行中"},
    OrderState.COMPLETED: {"en": "Completed", "zh": "已完成"},
    OrderState.CANNOT_COMPLETE: {"en": "Could not be completed", "zh": "未能完成"},
    OrderState.CLOSED: {"en": "Closed", "zh": "已关闭"},
    OrderState.CANCELED: {"en": "Canceled", "zh": "已取消"},
}

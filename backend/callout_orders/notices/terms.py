"""The words of notices: media, kinds, roles, and which line of the journal concerns whom. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

import msgspec


class Medium(StrEnum):
    """How somebody is told. `inbox` is the list of one's own notices, which everybody has."""

    INBOX = "inbox"
    WECOM = "wecom"
    """A card of the organisation's own WeCom application, to one person."""
    WECOM_ROBOT = "wecom_robot"
    DINGTALK_ROBOT = "dingtalk_robot"
    FEISHU_ROBOT = "feishu_robot"
    EMAIL = "email"
    SMS = "sms"
    VOICE = "voice"
    PUSH = "push"
    WEB_PUSH = "web_push"


ROBOTS: Final = frozenset({Medium.WECOM_ROBOT, Medium.DINGTALK_ROBOT, Medium.FEISHU_ROBOT})
"""They write to a group, where persons are mentioned."""
MEDIA: Final = frozenset(one.value for one in Medium)
STAFF_MEDIA: Final = ("wecom", "wecom_robot", "dingtalk_robot", "feishu_robot", "push", "email", "sms")
CUSTOMER_MEDIA: Final = ("email", "sms")
"""What the house itself tries, in this order; what has no channel is passed over."""
EVERYBODY: Final = frozenset({"all", "@all"})
"""What WeCom, DingTalk and Feishu read as all of them, where one person's id is expected."""
ROBOT_PER_MINUTE: Final = 20
"""WeCom, DingTalk and Feishu take no more of one robot; who sends more is shut out for ten minutes."""

MARKDOWN: Final = frozenset({Medium.WECOM_ROBOT, Medium.DINGTALK_ROBOT})
HTML: Final = frozenset({Medium.EMAIL})


class Provider(StrEnum):
    """Who carries a medium."""

    WECOM_APP = "wecom_app"
    WECOM_ROBOT = "wecom_robot"
    DINGTALK_ROBOT = "dingtalk_robot"
    FEISHU_ROBOT = "feishu_robot"
    GATEWAY = "gateway"
    """A plain signed POST, for SMS and voice vendors behind a small bridge."""
    APPRISE = "apprise"
    SINK = "sink"
    """Nothing leaves; what would have been sent is shown on the sink's page."""


CARRIES: Final[Mapping[str, frozenset[str]]] = {
    Medium.WECOM: frozenset({Provider.WECOM_APP, Provider.SINK}),
    Medium.WECOM_ROBOT: frozenset({Provider.WECOM_ROBOT, Provider.SINK}),
    Medium.DINGTALK_ROBOT: frozenset({Provider.DINGTALK_ROBOT, Provider.SINK}),
    Medium.FEISHU_ROBOT: frozenset({Provider.FEISHU_ROBOT, Provider.SINK}),
    Medium.EMAIL: frozenset({Provider.APPRISE, Provider.SINK}),
    Medium.SMS: frozenset({Provider.GATEWAY, Provider.APPRISE, Provider.SINK}),
    Medium.VOICE: frozenset({Provider.GATEWAY, Provider.APPRISE, Provider.SINK}),
    Medium.PUSH: frozenset({Provider.GATEWAY, Provider.APPRISE, Provider.SINK}),
    Medium.WEB_PUSH: frozenset({Provider.GATEWAY, Provider.APPRISE, Provider.SINK}),
}


class Role(StrEnum):
    """What somebody is in the matter. Who is several is told as the first of these."""

    ENGINEER = "engineer"
    HANDLER = "handler"
    NEXT = "next"
    CUSTOMER = "customer"
    SUPERVISOR = "supervisor"
    INITIATOR = "initiator"
    ADDRESSEE = "addressee"
    """The one whom a line itself names: whose to-do it is, whom an offer is made to."""


DESK: Final = frozenset({Role.INITIATOR, Role.HANDLER, Role.NEXT, Role.SUPERVISOR})
CREW: Final = frozenset({Role.ENGINEER})


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of notice, whom it is for, and how pressing it is.

    `urgent`: always; a P0's is urgent wherever `of_p0`. `wants_ack`: somebody must say that they have it. `named`: the
    field of the line's data that names the addressee, a user (`userId`) or an engineer (`engineerId`).
    """

    kind: str
    roles: frozenset[Role] = DESK
    urgent: bool = False
    of_p0: bool = False
    wants_ack: bool = False
    named: str | None = None


_BOTH: Final = DESK | {Role.CUSTOMER}
_ALL: Final = DESK | {Role.CUSTOMER, Role.ENGINEER}

TOLD: Final[Mapping[str, Told]] = {
    "work_order.created": Told(kind="created", roles=_BOTH, of_p0=True, wants_ack=True),
    "work_order.state_changed": Told(kind="state_changed"),
    "work_order.canceled": Told(kind="canceled", roles=_ALL),
    "work_order.closed": Told(kind="closed", roles=_BOTH),
    "work_order.priority_changed": Told(
        kind="priority_changed", roles=DESK | CREW, of_p0=True, wants_ack=True
    ),
    "work_order.held": Told(kind="held", roles=_BOTH),
    "work_order.resumed": Told(kind="resumed", roles=_BOTH),
    "work_order.responded": Told(kind="answered", roles=frozenset({Role.CUSTOMER})),
    "work_order.answered": Told(kind="answered", roles=frozenset({Role.CUSTOMER})),
    "work_order.handler_set": Told(kind="handler_set", of_p0=True, wants_ack=True),
    "work_order.turned_over": Told(kind="turned_over", urgent=True, wants_ack=True),
    "work_order.taken_over": Told(kind="taken_over"),
    "work_order.handed_on": Told(kind="handed_on", wants_ack=True),
    "work_order.deadline_moved": Told(kind="deadline_moved"),
    "work_order.deadline_restored": Told(kind="deadline_restored"),
    "work_order.reopened": Told(kind="reopened", roles=_BOTH),
    "work_order.merged": Told(kind="merged", roles=_BOTH),
    "work_order.answers_offered": Told(kind="answers_offered", roles=frozenset({Role.CUSTOMER})),
    "work_order.solved_by_answer": Told(kind="solved_by_answer"),
    "work_order.answer_did_not_help": Told(kind="answer_did_not_help"),
    "work_order.survey_asked": Told(kind="survey_asked", roles=frozenset({Role.CUSTOMER})),
    "work_order.survey_reminded": Told(kind="survey_asked", roles=frozenset({Role.CUSTOMER})),
    "work_order.survey_answered": Told(kind="survey_answered"),
    "flow.step_entered": Told(kind="step_entered"),
    "flow.step_late": Told(kind="step_late", urgent=True),
    "flow.approval_asked": Told(kind="approval_asked", wants_ack=True),
    "flow.approved": Told(kind="approved"),
    "flow.rejected": Told(kind="rejected"),
    "flow.blocked": Told(kind="blocked"),
    "work_order.visit_offered": Told(
        kind="visit_offered", roles=frozenset({Role.HANDLER, Role.NEXT, Role.SUPERVISOR})
    ),
    "parts.requested": Told(kind="parts_requested"),
    "parts.ordered": Told(kind="parts_ordered"),
    "parts.ready": Told(kind="parts_ready", roles=_BOTH),
    "sla.warned": Told(kind="sla_warned", roles=frozenset({Role.HANDLER, Role.NEXT}), urgent=True),
    "sla.missed": Told(kind="sla_missed", urgent=True),
    "todo.asked": Told(
        kind="todo", roles=frozenset({Role.ADDRESSEE}), named="userId", of_p0=True, wants_ack=True
    ),
    "visit.dispatched": Told(kind="assigned", roles=CREW | {Role.CUSTOMER, Role.HANDLER, Role.INITIATOR}),
    "visit.reassigned": Told(kind="reassigned", roles=CREW | {Role.CUSTOMER, Role.HANDLER}),
    "visit.moved": Told(kind="moved", roles=CREW | {Role.HANDLER}),
    "visit.canceled": Told(kind="visit_canceled", roles=CREW | {Role.CUSTOMER, Role.HANDLER, Role.NEXT}),
    "visit.eta_told": Told(kind="eta", roles=frozenset({Role.CUSTOMER})),
    "visit.window_missed": Told(kind="window_missed", roles=frozenset({Role.CUSTOMER, Role.HANDLER})),
    "visit.state_changed": Told(kind="visit_state", roles=frozenset({Role.CUSTOMER})),
    "red_lane.offered": Told(
        kind="offered", roles=frozenset({Role.ADDRESSEE}), named="engineerId", urgent=True, wants_ack=True
    ),
    "red_lane.exhausted": Told(
        kind="exhausted",
        roles=frozenset({Role.NEXT, Role.SUPERVISOR, Role.HANDLER}),
        urgent=True,
        wants_ack=True,
    ),
}
"""Which lines are told. What is not here is nobody's business but the reader's of the timeline."""

VISIT_STATES: Final[Mapping[str, str]] = {"travelling": "on_the_way", "in_progress": "arrived"}
"""Of a visit's states, those that its customer hears of; that work is done they hear with the order's state."""
CUSTOMER_STATES: Final = frozenset({"completed"})
"""Of an order's states, those that its customer hears of by `work_order.state_changed`."""
SUPERVISOR_MARK_MINUTES: Final = 3
"""At a warning of so few minutes, or fewer, the supervisor is told as well (R3)."""

KINDS: Final = frozenset({one.kind for one in TOLD.values()} - {"visit_state"}) | {
    *VISIT_STATES.values(),
    "done",
    "escalated",
}


def told(kind: str, data: Mapping[str, Any]) -> Told | None:
    """What is told of a line of this kind with this data; None where nothing is."""
    found = TOLD.get(kind)
    if found is None or (kind == "work_order.created" and data.get("doneAt")):
        return None
    if found.kind == "answered" and (not data.get("text") or data.get("carried")):
        # Nothing was said, or it was said in the conversation that the order came out of.
        return None
    to = data.get("to")
    if kind == "visit.state_changed":
        stage = VISIT_STATES.get(str(to))
        return None if stage is None else msgspec.structs.replace(found, kind=stage)
    if kind == "work_order.state_changed" and to in CUSTOMER_STATES:
        return msgspec.structs.replace(found, kind="done", roles=found.roles | {Role.CUSTOMER})
    if kind == "sla.warned":
        mark = data.get("mark")
        if isinstance(mark, int | float) and mark <= SUPERVISOR_MARK_MINUTES:
            return msgspec.structs.replace(found, roles=found.roles | {Role.SUPERVISOR}, wants_ack=True)
    return found

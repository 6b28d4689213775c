"""Who is asking, and what each role may do. The table of rights is here and nowhere else."""

from enum import StrEnum
from typing import Final
from uuid import UUID

from msgspec import Struct

from callout_store.errors import DeviceRequired, DeviceWiped, NotAllowed
from callout_store.work import Actor


class Role(StrEnum):
    """What a user is to the organisation. One role each; the value is what the database and the tokens hold."""

    ADMIN = "admin"
    DISPATCHER = "dispatcher"
    ENGINEER = "engineer"
    SUPERVISOR = "supervisor"
    CUSTOMER_CONTACT = "customer_contact"
    INTEGRATION = "integration"
    """Another system. It signs in by its keys alone; what it may do stands in a key's scopes."""


class Right(StrEnum):
    """Something that a role may or may not do. The value is shown in refusals, so it is a code and not a sentence."""

    USERS_READ = "users.read"
    USERS_MANAGE = "users.manage"
    ORGANISATION_MANAGE = "organisation.manage"
    DEVICES_READ = "devices.read"
    DEVICES_ENROL = "devices.enrol"
    DEVICES_REVOKE = "devices.revoke"
    CUSTOMERS_READ = "customers.read"
    CUSTOMERS_MANAGE = "customers.manage"
    ORDERS_READ = "orders.read"
    ORDERS_MANAGE = "orders.manage"
    VISITS_READ = "visits.read"
    VISITS_ASSIGN = "visits.assign"
    ENGINEERS_READ = "engineers.read"
    ENGINEERS_MANAGE = "engineers.manage"
    BOARD_READ = "board.read"
    STOCK_MANAGE = "stock.manage"
    POLICY_READ = "policy.read"
    POLICY_MANAGE = "policy.manage"
    QUARANTINE_SETTLE = "quarantine.settle"
    SIGN_OFF_LINK = "sign_off.link"
    KINDS_MANAGE = "kinds.manage"
    SYNC = "sync"
    DESK_READ = "desk.read"
    DESK_WORK = "desk.work"
    DESK_MANAGE = "desk.manage"
    IMPORTS_READ = "imports.read"
    IMPORTS_MANAGE = "imports.manage"
    API_KEYS_MANAGE = "api_keys.manage"
    CHANNELS_MANAGE = "channels.manage"


_OFFICE: Final = frozenset({Role.ADMIN, Role.DISPATCHER})
_WATCH: Final = _OFFICE | {Role.SUPERVISOR}

RIGHTS: Final[dict[Right, frozenset[Role]]] = {
    Right.USERS_READ: _WATCH,
    Right.USERS_MANAGE: frozenset({Role.ADMIN}),
    Right.ORGANISATION_MANAGE: frozenset({Role.ADMIN}),
    Right.DEVICES_READ: _WATCH,
    Right.DEVICES_ENROL: _OFFICE,
    Right.DEVICES_REVOKE: _OFFICE,
    Right.CUSTOMERS_READ: _WATCH,
    Right.CUSTOMERS_MANAGE: _OFFICE,
    Right.ORDERS_READ: _WATCH,
    Right.ORDERS_MANAGE: _OFFICE,
    Right.VISITS_READ: _WATCH,
    Right.VISITS_ASSIGN: _OFFICE,
    Right.ENGINEERS_READ: _WATCH,
    Right.ENGINEERS_MANAGE: _OFFICE,
    Right.BOARD_READ: _WATCH,
    Right.STOCK_MANAGE: _OFFICE,
    Right.POLICY_READ: _WATCH,
    Right.POLICY_MANAGE: frozenset({Role.ADMIN, Role.SUPERVISOR}),
    Right.QUARANTINE_SETTLE: _OFFICE,
    Right.SIGN_OFF_LINK: _OFFICE | {Role.ENGINEER},
    Right.KINDS_MANAGE: frozenset({Role.ADMIN, Role.SUPERVISOR}),
    Right.SYNC: frozenset({Role.ENGINEER, Role.SUPERVISOR}),
    Right.DESK_READ: _WATCH,
    Right.DESK_WORK: _WATCH,
    Right.DESK_MANAGE: frozenset({Role.ADMIN, Role.SUPERVISOR}),
    Right.IMPORTS_READ: _WATCH,
    Right.IMPORTS_MANAGE: _OFFICE,
    Right.API_KEYS_MANAGE: frozenset({Role.ADMIN}),
    Right.CHANNELS_MANAGE: frozenset({Role.ADMIN}),
}
"""Which roles hold a right over the whole organisation. What an engineer sees of their own visits is sync's scope."""

SCOPES: Final[dict[str, frozenset[Right]]] = {
    "orders:read": frozenset({Right.ORDERS_READ}),
    "orders:write": frozenset({Right.ORDERS_READ, Right.ORDERS_MANAGE}),
    "imports:read": frozenset({Right.IMPORTS_READ}),
    "imports:write": frozenset({Right.IMPORTS_READ, Right.IMPORTS_MANAGE}),
}
"""What an API key's scope allows."""

MAY_ENROL: Final[dict[Role, frozenset[Role]]] = {
    # A code signs in as the user it was made for. Were a dispatcher able to make one for an admin, they would be admin.
    Role.ADMIN: frozenset({Role.ADMIN, Role.DISPATCHER, Role.ENGINEER, Role.SUPERVISOR}),
    Role.DISPATCHER: frozenset({Role.ENGINEER}),
}


class Principal(Struct, frozen=True, kw_only=True):
    """A caller whose token was verified and whose session, user and device were found in good standing.

    `wiped`: their phone was stolen and shall forget everything. It may do nothing but say that it has; whatever lets such
    a caller in must call `refuse_wiped` or allow just that.
    """

    org_id: UUID
    user_id: UUID
    role: Role
    session_id: UUID
    device_id: UUID | None = None
    locale: str = "en"
    name: str = ""
    wiped: bool = False
    scopes: frozenset[str] = frozenset()
    """Of the key that another system came with; `session_id` is that key's."""

    def refuse_wiped(self) -> None:
        """Raise DeviceWiped for a stolen phone."""
        if self.wiped:
            raise DeviceWiped()

    def actor(self, engineer_id: UUID | None = None) -> Actor:
        """The actor of a unit of work. Who is an engineer is known to dispatch, which may say which one."""
        return Actor(
            user_id=self.user_id,
            device_id=self.device_id,
            role=self.role.value,
            engineer_id=engineer_id,
            locale=self.locale,
        )

    def may(self, right: Right) -> bool:
        """Whether the role holds the right, or the key's scopes allow it."""
        if self.role is Role.INTEGRATION:
            return any(right in SCOPES[scope] for scope in self.scopes)
        return self.role in RIGHTS[right]


def require(principal: Principal, *roles: Role, what: str) -> None:
    """Raise NotAllowed unless the principal has one of the roles. `what` names the act in the refusal."""
    if principal.role not in roles:
        raise NotAllowed(role=principal.role.value, what=what)


def require_right(principal: Principal, right: Right) -> None:
    """Raise NotAllowed unless the principal's role holds the right."""
    if not principal.may(right):
        raise NotAllowed(role=principal.role.value, what=right.value)


def require_device(principal: Principal, *, what: str) -> UUID:
    """The id of the enrolled device that asks; raises DeviceRequired for a session without one."""
    if principal.device_id is None:
        raise DeviceRequired(what=what)
    return principal.device_id

"""Who may use which field: one table. A root field that is not in it keeps the schema from being built.

`IN_SIGHT` fields are for everybody who has signed in: they show what `sight.py` lets the caller see. Everything else is
held to a right of `callout_people.principals`.
"""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Final

from graphql import GraphQLField, GraphQLObjectType, GraphQLSchema

from callout_contracts.rows import COLUMNS, COMMAND, collection_name
from callout_graphql.context import Context
from callout_people.principals import RIGHTS, Right, Role
from callout_store.errors import NotAllowed

IN_SIGHT: Final = frozenset(Role) - {Role.INTEGRATION}
STAFF: Final = IN_SIGHT - {Role.CUSTOMER_CONTACT}

FIELDS: Final[dict[str, Right | frozenset[Role]]] = {
    "Query.viewer": IN_SIGHT,
    "Query.pull": Right.SYNC,
    "Query.order": IN_SIGHT,
    "Query.orders": IN_SIGHT,
    "Query.visit": IN_SIGHT,
    "Query.visits": IN_SIGHT,
    "Query.attachments": IN_SIGHT,
    "Query.board": Right.BOARD_READ,
    "Query.plan": Right.BOARD_READ,
    "Query.plans": Right.BOARD_READ,
    "Query.checkDrag": Right.BOARD_READ,
    "Query.proposeEngineers": Right.VISITS_ASSIGN,
    "Query.redLane": Right.VISITS_READ,
    "Query.redLanes": Right.VISITS_READ,
    "Query.engineer": Right.ENGINEERS_READ,
    "Query.engineers": Right.ENGINEERS_READ,
    "Query.skills": STAFF,
    "Query.decision": Right.VISITS_READ,
    "Query.replayDecision": Right.VISITS_READ,
    "Query.whyNot": Right.VISITS_READ,
    "Query.schedulingPolicy": Right.POLICY_READ,
    "Query.schedulingPolicies": Right.POLICY_READ,
    "Query.dispatchSettings": Right.POLICY_READ,
    "Query.slaPolicy": Right.POLICY_READ,
    "Query.slaPolicies": Right.POLICY_READ,
    "Query.checkSlaPolicy": Right.POLICY_READ,
    "Query.previewSla": Right.POLICY_READ,
    "Query.engineerTime": Right.ENGINEERS_READ,
    "Query.engineerTerms": Right.ENGINEERS_READ,
    "Query.engineerPreferences": Right.ENGINEERS_READ,
    "Query.depots": STAFF,
    "Query.customer": Right.CUSTOMERS_READ,
    "Query.site": Right.CUSTOMERS_READ,
    "Query.parts": STAFF,
    "Query.articles": STAFF,
    "Query.suggestAnswers": STAFF,
    "Query.articleVersions": STAFF,
    "Query.forms": STAFF,
    "Query.orderKinds": IN_SIGHT,
    "Query.orderKind": IN_SIGHT,
    "Query.orderKindVersions": STAFF,
    "Query.checkOrderKind": Right.KINDS_MANAGE,
    "Query.desk": Right.DESK_READ,
    "Query.deskOrder": Right.DESK_READ,
    "Query.rightHolders": Right.DESK_READ,
    "Query.teams": Right.DESK_READ,
    "Query.directory": STAFF,
    "Query.whoAnswers": STAFF,
    "Query.presences": STAFF,
    "Query.myTodos": IN_SIGHT,
    "Query.checkOrder": Right.ORDERS_MANAGE,
    "Query.possibleDuplicates": Right.ORDERS_READ,
    "Query.orderReporters": Right.ORDERS_READ,
    "Query.products": STAFF,
    "Query.keywords": Right.ORDERS_READ,
    "Query.precheckSettings": Right.ORDERS_READ,
    "Query.intakeChannels": Right.CHANNELS_MANAGE,
    "Query.intakeDrafts": Right.ORDERS_READ,
    "Query.intakeDraft": Right.ORDERS_READ,
    "Query.callers": Right.CUSTOMERS_READ,
    "Query.users": Right.USERS_READ,
    "Query.devices": Right.DEVICES_READ,
    "Query.explain": Right.DEVICES_READ,
    "Query.quarantined": Right.VISITS_READ,
    "Query.heldCommands": Right.VISITS_READ,
    "Query.conflicts": Right.VISITS_READ,
    "Query.territories": STAFF,
    "Query.territoryAt": STAFF,
    "Query.unplacedSites": Right.CUSTOMERS_READ,
    "Query.geocode": Right.CUSTOMERS_MANAGE,
    "Query.livePositions": STAFF,
    "Query.engineerTrack": STAFF,
    "Query.travelSpeeds": Right.BOARD_READ,
    "Query.notices": Right.ORDERS_READ,
    "Query.myNotices": IN_SIGHT,
    "Query.noticeMessages": Right.ORGANISATION_MANAGE,
    "Query.noticeChannels": Right.ORGANISATION_MANAGE,
    "Query.noticeSettings": Right.POLICY_READ,
    "Query.noticeCounts": Right.POLICY_READ,
    "Query.noticePreferences": IN_SIGHT,
    "Query.noticeTemplates": Right.POLICY_READ,
    "Query.noticePlaceholders": Right.POLICY_READ,
    "Query.previewNotice": Right.POLICY_READ,
    "Query.approvals": Right.ORDERS_READ,
    "Query.requisitions": Right.ORDERS_READ,
    "Query.visitOffers": Right.VISITS_READ,
    "Query.deadLetters": Right.ORGANISATION_MANAGE,
    "Mutation.push": Right.SYNC,
    "Mutation.createCustomer": Right.CUSTOMERS_MANAGE,
    "Mutation.createContact": Right.CUSTOMERS_MANAGE,
    "Mutation.createSite": Right.CUSTOMERS_MANAGE,
    "Mutation.createAsset": Right.CUSTOMERS_MANAGE,
    "Mutation.createPart": Right.STOCK_MANAGE,
    "Mutation.createWorkOrder": Right.ORDERS_MANAGE,
    "Mutation.setOrderParts": Right.ORDERS_MANAGE,
    "Mutation.saveArticle": Right.ORDERS_MANAGE,
    "Mutation.retireArticle": Right.ORDERS_MANAGE,
    "Mutation.offerAnswers": Right.ORDERS_MANAGE,
    "Mutation.offerAnswerToAll": RIGHTS[Right.ORDERS_MANAGE] | {Role.SUPERVISOR},
    "Mutation.setStandingAnswer": RIGHTS[Right.ORDERS_MANAGE] | {Role.SUPERVISOR},
    "Mutation.answerSolved": RIGHTS[Right.ORDERS_MANAGE] | {Role.SUPERVISOR, Role.CUSTOMER_CONTACT},
    "Mutation.answersDidNotHelp": RIGHTS[Right.ORDERS_MANAGE] | {Role.SUPERVISOR, Role.CUSTOMER_CONTACT},
    "Mutation.resolveByAnswer": RIGHTS[Right.ORDERS_MANAGE] | {Role.SUPERVISOR},
    "Mutation.createAnswerLink": Right.ORDERS_MANAGE,
    "Mutation.saveOrderKind": Right.KINDS_MANAGE,
    "Mutation.activateOrderKind": Right.KINDS_MANAGE,
    "Mutation.retireOrderKind": Right.KINDS_MANAGE,
    "Mutation.setOrderFields": RIGHTS[Right.ORDERS_MANAGE] | {Role.SUPERVISOR, Role.ENGINEER},
    "Mutation.respondToOrder": Right.DESK_WORK,
    # Somebody of any role may be on duty: who may is asked again for the order's team and hour.
    "Mutation.takeOver": STAFF,
    "Mutation.handOn": STAFF,
    "Mutation.moveDeadline": STAFF,
    "Mutation.restoreDeadline": STAFF,
    "Mutation.heartbeat": STAFF,
    "Mutation.setPresence": STAFF,
    "Mutation.acknowledgeTodo": IN_SIGHT,
    "Mutation.finishTodo": IN_SIGHT,
    "Mutation.saveTeam": Right.DESK_MANAGE,
    "Mutation.setDuty": Right.DESK_MANAGE,
    "Mutation.saveStaff": Right.DESK_MANAGE,
    "Mutation.setStaffPosts": Right.DESK_MANAGE,
    "Mutation.unlinkDuplicate": Right.ORDERS_MANAGE,
    "Mutation.mergeWorkOrders": Right.ORDERS_MANAGE,
    "Mutation.saveProduct": Right.KINDS_MANAGE,
    "Mutation.saveKeywords": Right.KINDS_MANAGE,
    "Mutation.removeKeywords": Right.KINDS_MANAGE,
    "Mutation.savePrecheckSettings": Right.KINDS_MANAGE,
    "Mutation.saveIntakeChannel": Right.CHANNELS_MANAGE,
    "Mutation.answerDraft": Right.DESK_WORK,
    "Mutation.completeDraft": Right.ORDERS_MANAGE,
    "Mutation.closeDraft": Right.DESK_WORK,
    "Mutation.fetchFileAgain": Right.DESK_WORK,
    "Mutation.submitRequest": frozenset({Role.CUSTOMER_CONTACT}),
    "Mutation.saveForm": Right.ORDERS_MANAGE,
    "Mutation.retireForm": Right.ORDERS_MANAGE,
    "Mutation.configurePhones": Right.ORGANISATION_MANAGE,
    "Mutation.setVisitingHours": Right.CUSTOMERS_MANAGE,
    "Mutation.setOrderPlanning": Right.ORDERS_MANAGE,
    "Mutation.cancelWorkOrder": Right.ORDERS_MANAGE,
    "Mutation.closeWorkOrder": Right.ORDERS_MANAGE,
    "Mutation.changePriority": Right.ORDERS_MANAGE,
    "Mutation.dispatchWorkOrder": Right.VISITS_ASSIGN,
    "Mutation.assignWorkOrder": Right.VISITS_ASSIGN,
    "Mutation.reassignVisit": Right.VISITS_ASSIGN,
    "Mutation.moveVisit": Right.VISITS_ASSIGN,
    "Mutation.dragVisit": Right.VISITS_ASSIGN,
    "Mutation.dispatchVisit": Right.VISITS_ASSIGN,
    "Mutation.setVisitCrew": Right.VISITS_ASSIGN,
    "Mutation.setEngineerTerritory": Right.ENGINEERS_MANAGE,
    "Mutation.cancelVisit": Right.VISITS_ASSIGN,
    "Mutation.holdVisit": Right.VISITS_ASSIGN,
    "Mutation.startRedLane": Right.VISITS_ASSIGN,
    "Mutation.answerOffer": RIGHTS[Right.VISITS_ASSIGN] | {Role.ENGINEER},
    "Mutation.dispatchDay": Right.VISITS_ASSIGN,
    "Mutation.askPlan": Right.VISITS_ASSIGN,
    "Mutation.askWhatIf": Right.VISITS_ASSIGN,
    "Mutation.cancelPlan": Right.VISITS_ASSIGN,
    "Mutation.acceptPlan": Right.VISITS_ASSIGN,
    "Mutation.rejectPlan": Right.VISITS_ASSIGN,
    "Mutation.createTrackLink": Right.SIGN_OFF_LINK,
    "Mutation.createSignOffLink": Right.SIGN_OFF_LINK,
    "Mutation.createEnrolmentCode": Right.DEVICES_ENROL,
    "Mutation.revokeDevice": Right.DEVICES_REVOKE,
    "Mutation.deactivateUser": Right.USERS_MANAGE,
    "Mutation.reactivateUser": Right.USERS_MANAGE,
    "Mutation.wipeDevice": Right.DEVICES_REVOKE,
    "Mutation.cancelWipe": Right.DEVICES_REVOKE,
    "Mutation.confirmWipe": Right.SYNC,
    "Mutation.setAbsence": Right.ENGINEERS_MANAGE,
    "Mutation.removeAbsence": Right.ENGINEERS_MANAGE,
    "Mutation.saveSkill": Right.ENGINEERS_MANAGE,
    "Mutation.saveEngineer": Right.ENGINEERS_MANAGE,
    "Mutation.setShifts": Right.ENGINEERS_MANAGE,
    "Mutation.setEngineerPreference": Right.ENGINEERS_MANAGE,
    "Mutation.saveDepot": Right.STOCK_MANAGE,
    "Mutation.moveStock": Right.STOCK_MANAGE,
    "Mutation.saveSchedulingPolicy": Right.POLICY_MANAGE,
    "Mutation.activateSchedulingPolicy": Right.POLICY_MANAGE,
    "Mutation.setDispatchSettings": Right.POLICY_MANAGE,
    "Mutation.saveSlaPolicy": Right.POLICY_MANAGE,
    "Mutation.activateSlaPolicy": Right.POLICY_MANAGE,
    "Mutation.holdWorkOrder": RIGHTS[Right.ORDERS_MANAGE] | {Role.SUPERVISOR},
    "Mutation.resumeWorkOrder": RIGHTS[Right.ORDERS_MANAGE] | {Role.SUPERVISOR},
    "Mutation.changeCustomerTier": Right.CUSTOMERS_MANAGE,
    "Mutation.forceHeld": Right.QUARANTINE_SETTLE,
    "Mutation.quarantineMend": Right.QUARANTINE_SETTLE,
    "Mutation.quarantineRetry": Right.QUARANTINE_SETTLE,
    "Mutation.quarantineDismiss": Right.QUARANTINE_SETTLE,
    "Mutation.editRecord": Right.CUSTOMERS_MANAGE,
    "Mutation.settleConflict": Right.QUARANTINE_SETTLE,
    "Mutation.saveTerritory": Right.ENGINEERS_MANAGE,
    "Mutation.retireTerritory": Right.ENGINEERS_MANAGE,
    "Mutation.setSiteTerritory": Right.CUSTOMERS_MANAGE,
    "Mutation.setSitePoint": Right.CUSTOMERS_MANAGE,
    "Mutation.setSitePlace": Right.CUSTOMERS_MANAGE,
    "Mutation.learnTravelSpeeds": Right.ENGINEERS_MANAGE,
    "Mutation.acknowledgeNotice": IN_SIGHT,
    "Mutation.readNotices": IN_SIGHT,
    "Mutation.setNoticePreferences": IN_SIGHT,
    "Mutation.addNoticeAddress": STAFF,
    "Mutation.removeNoticeAddress": STAFF,
    "Mutation.setNoticeSettings": Right.POLICY_MANAGE,
    "Mutation.saveNoticeChannel": Right.ORGANISATION_MANAGE,
    "Mutation.saveNoticeTemplate": Right.POLICY_MANAGE,
    "Mutation.useNoticeTemplate": Right.POLICY_MANAGE,
    "Mutation.replayNotices": Right.ORGANISATION_MANAGE,
    # Whose step it is stands in the order's kind and is asked for there; a post may be held by anybody of the staff.
    "Mutation.completeStep": STAFF,
    "Mutation.approveStep": STAFF,
    "Mutation.rejectStep": STAFF,
    "Mutation.requestParts": STAFF,
    "Mutation.leadFlowBack": frozenset({Role.SUPERVISOR, Role.ADMIN}),
    "Mutation.settleFlow": frozenset({Role.SUPERVISOR, Role.ADMIN}),
    "Mutation.reopenWorkOrder": RIGHTS[Right.ORDERS_MANAGE] | {Role.SUPERVISOR},
    "Mutation.setRequisitionParts": RIGHTS[Right.STOCK_MANAGE] | {Role.SUPERVISOR},
    "Mutation.approveRequisition": RIGHTS[Right.STOCK_MANAGE] | {Role.SUPERVISOR},
    "Mutation.orderRequisition": RIGHTS[Right.STOCK_MANAGE] | {Role.SUPERVISOR},
    "Mutation.receiveRequisition": RIGHTS[Right.STOCK_MANAGE] | {Role.SUPERVISOR},
    "Mutation.cancelRequisition": RIGHTS[Right.STOCK_MANAGE] | {Role.SUPERVISOR},
    "Mutation.offerSecondVisit": Right.VISITS_ASSIGN,
    "Mutation.acceptVisitOffer": Right.VISITS_ASSIGN,
    "Mutation.declineVisitOffer": Right.VISITS_ASSIGN,
    "Mutation.createSurveyLink": RIGHTS[Right.ORDERS_MANAGE] | {Role.SUPERVISOR},
    "Mutation.replayDeadLetters": Right.ORGANISATION_MANAGE,
    "Query.import": Right.IMPORTS_READ,
    "Query.imports": Right.IMPORTS_READ,
    "Query.importTemplates": Right.IMPORTS_READ,
    "Mutation.saveImportTemplate": Right.IMPORTS_MANAGE,
    "Mutation.startImport": Right.IMPORTS_MANAGE,
    "Mutation.cancelImport": Right.IMPORTS_MANAGE,
    "Query.apiKeys": Right.API_KEYS_MANAGE,
    "Mutation.createApiKey": Right.API_KEYS_MANAGE,
    "Mutation.rotateApiKey": Right.API_KEYS_MANAGE,
    "Mutation.revokeApiKey": Right.API_KEYS_MANAGE,
    "Query.timeline": Right.ORDERS_READ,
    "Query.orderByReference": Right.ORDERS_READ,
    "Subscription.changed": STAFF,
    "Subscription.orderMilestones": STAFF,
    # Below the roots: what is not for everybody who may see the row it stands in.
    # A customer fills in a kind's fields; who approves what, and from how much on, is the house's own.
    "OrderKind.source": STAFF,
    "OrderKind.body": STAFF,
    "OrderKind.svg": STAFF,
    "OrderKind.note": STAFF,
    "OrderKind.findings": STAFF,
    "WorkOrder.decisions": Right.VISITS_READ,
    "WorkOrder.redLane": Right.VISITS_READ,
    "WorkOrder.flow": STAFF,
    "WorkOrder.steps": STAFF,
    "WorkOrder.approvals": STAFF,
    "WorkOrder.requisitions": STAFF,
    "WorkOrder.surveys": Right.ORDERS_READ,
    "WorkOrder.visitOffers": Right.VISITS_READ,
    "StepApproval.order": Right.ORDERS_READ,
    "Requisition.order": Right.ORDERS_READ,
    "WorkOrder.holds": STAFF,
    "Milestone.why": STAFF,
    "RedLane.offers": Right.VISITS_READ,
    "RedLane.order": Right.ORDERS_READ,
    "RedLane.visit": Right.VISITS_READ,
    "WorkOrder.parts": STAFF,
    "Attachment.takenAt": STAFF,
    "Attachment.lat": STAFF,
    "Attachment.lng": STAFF,
    "WorkOrder.timeline": Right.ORDERS_READ,
    "Visit.events": STAFF,
    "Visit.crew": STAFF,
    "Visit.engineerNote": STAFF,
    "Customer.contacts": Right.CUSTOMERS_READ,
    "Site.assets": STAFF,
    "Site.accessNote": STAFF,
    "Asset.note": STAFF,
    "Engineer.home": Right.ENGINEERS_READ,
    "Engineer.position": Right.ENGINEERS_READ,
    "Engineer.stock": STAFF,
    "Engineer.skills": STAFF,
    "Engineer.lastSeenAt": STAFF,
    "Engineer.online": STAFF,
}

for _name in (collection_name(entity) for entity in COLUMNS):
    _upper = _name[0].upper() + _name[1:]
    FIELDS[f"Query.pull{_upper}"] = Right.SYNC
    FIELDS[f"Mutation.push{_upper}"] = Right.SYNC
    FIELDS[f"Subscription.stream{_upper}"] = Right.SYNC
FIELDS[f"Mutation.push{COMMAND.capitalize()}"] = Right.SYNC
FIELDS["Mutation.pushAnswers"] = Right.SYNC

CONFIRM_WIPE: Final = "Mutation.confirmWipe"
"""All that is left to a stolen phone."""

Resolver = Callable[..., Any]


def guard_fields(schema: GraphQLSchema) -> None:
    """Put the table's check before the resolvers it names. Raises LookupError for a root field without a row, and for a
    row without a field."""
    left = dict(FIELDS)
    for root in (schema.query_type, schema.mutation_type, schema.subscription_type):
        for name in root.fields if root is not None else ():
            if f"{root}.{name}" not in FIELDS:
                raise LookupError(f"{root}.{name} has no row in rights.FIELDS")
    for type_ in schema.type_map.values():
        if not isinstance(type_, GraphQLObjectType):
            continue
        for name, field in type_.fields.items():
            rule = left.pop(f"{type_.name}.{name}", None)
            if rule is not None:
                _guard(field, f"{type_.name}.{name}", rule)
    if left:
        raise LookupError(f"rights.FIELDS names fields that are not there: {', '.join(left)}")


def may(context: Context, name: str, rule: Right | frozenset[Role]) -> None:
    """Refuse unless the caller's role is among those of the rule, and their phone is not one that was stolen."""
    roles = RIGHTS[rule] if isinstance(rule, Right) else rule
    who = context.who
    if name != CONFIRM_WIPE:
        who.refuse_wiped()
    if who.role not in roles:
        raise NotAllowed(role=who.role.value, what=rule.value if isinstance(rule, Right) else name)


def _guard(field: GraphQLField, name: str, rule: Right | frozenset[Role]) -> None:
    if field.subscribe is not None:
        field.subscribe = _checked(field.subscribe, name, rule)
    elif field.resolve is not None:
        field.resolve = _checked(field.resolve, name, rule)


def _checked(resolve: Resolver, name: str, rule: Right | frozenset[Role]) -> Resolver:
    if inspect.iscoroutinefunction(resolve):

        async def checked_async(source: Any, info: Any, **arguments: Any) -> Any:
            may(info.context, name, rule)
            found: Awaitable[Any] = resolve(source, info, **arguments)
            return await found

        return checked_async

    def checked(source: Any, info: Any, **arguments: Any) -> Any:
        may(info.context, name, rule)
        return resolve(source, info, **arguments)

    return checked

"""The operations of our own clients: the phone, the dispatcher's screen. Exported for authors of other clients."""

from callout_graphql.operations.answering import DESK, DIRECTORY
from callout_graphql.operations.channels import CALLERS, CHANNELS, DRAFTS, SUBMIT_REQUEST
from callout_graphql.operations.content import CONTENT, PHONES
from callout_graphql.operations.desk import (
    CREATE_WORK_ORDER,
    DISPATCH,
    HELD,
    PROPOSE_ENGINEERS,
    QUARANTINE,
    SIGN_OFF_LINK,
)
from callout_graphql.operations.devices import DEVICES, WIPE
from callout_graphql.operations.edits import CONFLICTS, EDIT_RECORD
from callout_graphql.operations.flow import FLOW, REQUISITIONS, SECOND_VISIT
from callout_graphql.operations.imports import API_KEYS, IMPORTS, TIMELINE
from callout_graphql.operations.kinds import KINDS
from callout_graphql.operations.knowledge import KNOWLEDGE
from callout_graphql.operations.notices import NOTICE_SETUP, NOTICES
from callout_graphql.operations.places import POSITIONS, SITE_PLACES, TERRITORIES
from callout_graphql.operations.plans import (
    ACCEPT_PLAN,
    ASK_PLAN,
    ASK_WHAT_IF,
    CANCEL_PLAN,
    PLAN,
    PLANS,
    REJECT_PLAN,
)
from callout_graphql.operations.policy import DECISIONS, POLICY
from callout_graphql.operations.precheck import PRECHECK
from callout_graphql.operations.red import RED_LANE
from callout_graphql.operations.setup import DISPATCH_SETUP
from callout_graphql.operations.sla import SLA
from callout_graphql.operations.users import USERS

PULL = """
query Pull($cursor: String, $limit: Int! = 500, $schemaVersion: Int! = 1, $pending: Int, $holdLeaves: Boolean! = false) {
  pull(
    cursor: $cursor
    limit: $limit
    schemaVersion: $schemaVersion
    pending: $pending
    holdLeaves: $holdLeaves
  ) {
    cursor
    more
    epoch
    serverTime
    total
    documents
    stamp
    wipe
    budgetWarning
  }
}
"""

PUSH = """
mutation Push($input: PushInput!) {
  push(input: $input) {
    serverTime
    stamp
    wipe
    answers {
      index
      id
      status
      code
      path
      message
      firstStatus
    }
  }
}
"""

CHANGED = """
subscription Changed {
  changed {
    at
    kind
    scopes
  }
}
"""

VIEWER = """
query Viewer {
  viewer {
    userId
    name
    role
    locale
    deviceId
    organisation {
      id
      slug
      name
      locale
      timeZone
    }
    engineer {
      id
      name
    }
  }
}
"""

BOARD = """
query Board($start: DateTime!, $end: DateTime!, $first: Int! = 50, $after: String) {
  board(start: $start, end: $end, first: $first, after: $after) {
    endCursor
    hasMore
    rows {
      id
      name
      online
      shiftMinutes
      loadMinutes
      travelMinutes
      idleMinutes
      overbooked
      shifts {
        start
        end
      }
      absences {
        start
        end
      }
      visits {
        id
        orderId
        orderNumber
        priority
        kind
        state
        start
        end
        travelMinutes
        arriveDueAt
        siteName
        lat
        lng
        revision
      }
    }
  }
}
"""

ORDERS = """
query Orders($filter: OrderFilter, $first: Int! = 50, $after: String) {
  orders(filter: $filter, first: $first, after: $after) {
    endCursor
    hasMore
    nodes {
      id
      number
      priority
      kind
      description
      state
      createdAt
      respondDueAt
      arriveDueAt
      resolveDueAt
      customer {
        id
        name
        tier
      }
      site {
        id
        name
        address
      }
    }
  }
}
"""

VISITS = """
query Visits($filter: VisitFilter, $first: Int! = 50, $after: String) {
  visits(filter: $filter, first: $first, after: $after) {
    endCursor
    hasMore
    nodes {
      id
      number
      state
      scheduledStart
      scheduledEnd
      revision
      order {
        id
        number
        priority
        description
        state
        site {
          id
          name
          address
          lat
          lng
        }
      }
      engineer {
        id
        name
      }
    }
  }
}
"""

ORDER_DETAIL = """
query OrderDetail($id: UUID, $number: String, $system: String, $reference: String) {
  order(id: $id, number: $number, system: $system, reference: $reference) {
    id
    number
    priority
    kind
    description
    channel
    state
    durationMinutes
    createdAt
    respondDueAt
    arriveDueAt
    resolveDueAt
    respondedAt
    arrivedAt
    resolvedAt
    revision
    skills {
      skill
      level
    }
    customer {
      id
      name
      tier
    }
    site {
      id
      name
      address
      lat
      lng
    }
    contact {
      id
      name
      phone
      email
    }
    asset {
      id
      serial
      model
      name
    }
    parts {
      quantity
      part {
        id
        code
        name
        unit
      }
    }
    references {
      system
      reference
    }
    visits {
      id
      number
      state
      scheduledStart
      scheduledEnd
      revision
      engineer {
        id
        name
      }
      events {
        id
        kind
        at
        deviceTime
        receivedAt
        lat
        lng
        accuracyM
        geofence
        geofenceDistanceM
        flags
        data
      }
      signatures {
        id
        decision
        reason
        signerName
        rating
        signedAt
        signedSha256
        byLink
      }
    }
    decisions {
      id
      at
      method
      policyVersion
      engineerId
      reason
    }
    timeline(first: 200) {
      hasMore
      endCursor
      nodes {
        id
        at
        kind
        actorRole
        data
      }
    }
  }
}
"""

OPERATIONS: dict[str, str] = {
    "pull": PULL,
    "push": PUSH,
    "changed": CHANGED,
    "viewer": VIEWER,
    "imports": IMPORTS,
    "api_keys": API_KEYS,
    "timeline": TIMELINE,
    "board": BOARD,
    "orders": ORDERS,
    "visits": VISITS,
    "order_detail": ORDER_DETAIL,
    "propose_engineers": PROPOSE_ENGINEERS,
    "create_work_order": CREATE_WORK_ORDER,
    "dispatch": DISPATCH,
    "conflicts": CONFLICTS,
    "channels": CHANNELS,
    "drafts": DRAFTS,
    "callers": CALLERS,
    "submit_request": SUBMIT_REQUEST,
    "content": CONTENT,
    "kinds": KINDS,
    "knowledge": KNOWLEDGE,
    "flow": FLOW,
    "requisitions": REQUISITIONS,
    "second_visit": SECOND_VISIT,
    "desk": DESK,
    "directory": DIRECTORY,
    "edit_record": EDIT_RECORD,
    "phones": PHONES,
    "precheck": PRECHECK,
    "devices": DEVICES,
    "wipe": WIPE,
    "users": USERS,
    "sign_off_link": SIGN_OFF_LINK,
    "quarantine": QUARANTINE,
    "held": HELD,
    "notices": NOTICES,
    "notice_setup": NOTICE_SETUP,
    "policy": POLICY,
    "sla": SLA,
    "ask_plan": ASK_PLAN,
    "ask_what_if": ASK_WHAT_IF,
    "plan": PLAN,
    "plans": PLANS,
    "accept_plan": ACCEPT_PLAN,
    "cancel_plan": CANCEL_PLAN,
    "reject_plan": REJECT_PLAN,
    "decisions": DECISIONS,
    "dispatch_setup": DISPATCH_SETUP,
    "red_lane": RED_LANE,
    "territories": TERRITORIES,
    "site_places": SITE_PLACES,
    "positions": POSITIONS,
}
"""By the name of their file."""

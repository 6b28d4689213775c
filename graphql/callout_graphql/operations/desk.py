"""Operations of the dispatcher's screen that change things or prepare it."""

PROPOSE_ENGINEERS = """
query ProposeEngineers($orderId: UUID!, $parts: [PartNeed!], $first: Int! = 20) {
  proposeEngineers(orderId: $orderId, parts: $parts, first: $first) {
    best
    policyVersion
    rankedCount
    outCount
    ranked {
      engineerId
      name
      score
      slotStart
      slotEnd
      travelMinutes
      scores {
        component
        value
      }
      notes {
        code
        text
      }
    }
    out {
      engineerId
      name
      reasons {
        code
        text
      }
    }
  }
}
"""

CREATE_WORK_ORDER = """
mutation CreateWorkOrder($input: CreateWorkOrder!) {
  createWorkOrder(input: $input) {
    id
    number
    state
    respondDueAt
    arriveDueAt
    resolveDueAt
  }
}
"""

DISPATCH = """
mutation DispatchWorkOrder($orderId: UUID!, $parts: [PartNeed!]) {
  dispatchWorkOrder(orderId: $orderId, parts: $parts) {
    id
    state
    scheduledStart
    engineer {
      id
      name
    }
  }
}

mutation AssignWorkOrder(
  $orderId: UUID!
  $engineerId: UUID!
  $start: DateTime
  $override: Boolean! = false
  $reason: String! = ""
) {
  assignWorkOrder(
    orderId: $orderId
    engineerId: $engineerId
    start: $start
    override: $override
    reason: $reason
  ) {
    id
    state
    scheduledStart
    revision
  }
}

mutation ReassignVisit(
  $id: UUID!
  $engineerId: UUID!
  $revision: Int
  $start: DateTime
  $override: Boolean! = false
  $reason: String! = ""
) {
  reassignVisit(
    id: $id
    engineerId: $engineerId
    revision: $revision
    start: $start
    override: $override
    reason: $reason
  ) {
    id
    state
    scheduledStart
    revision
  }
}

mutation DispatchDay($start: DateTime!, $end: DateTime!, $limit: Int! = 500) {
  dispatchDay(start: $start, end: $end, limit: $limit) {
    considered
    assigned {
      orderId
      visitId
      engineerId
      start
      end
    }
    unassigned {
      orderId
      number
      reasons {
        code
        engineers
      }
    }
  }
}
"""

SIGN_OFF_LINK = """
mutation CreateSignOffLink($visitId: UUID!, $locale: String) {
  createSignOffLink(visitId: $visitId, locale: $locale) {
    url
    visitId
  }
}
"""

QUARANTINE = """
query Quarantined(
  $state: String = "open"
  $deviceId: UUID
  $visitId: UUID
  $category: String
  $code: String
  $first: Int! = 50
  $after: String
) {
  quarantined(
    state: $state
    deviceId: $deviceId
    visitId: $visitId
    category: $category
    code: $code
    first: $first
    after: $after
  ) {
    endCursor
    hasMore
    nodes {
      id
      commandId
      deviceId
      deviceName
      userName
      visitId
      category
      code
      path
      message
      body
      receivedAt
      state
      note
      mendedBody
      mendedAt
    }
  }
}

mutation QuarantineMend($id: UUID!, $body: JSON!) {
  quarantineMend(id: $id, body: $body)
}

mutation QuarantineRetry($id: UUID!) {
  quarantineRetry(id: $id) {
    status
    code
    path
    message
  }
}

mutation QuarantineDismiss($id: UUID!, $note: String!) {
  quarantineDismiss(id: $id, note: $note)
}
"""

HELD = """
query HeldCommands($state: String = "held", $deviceId: UUID, $first: Int! = 50, $after: String) {
  heldCommands(state: $state, deviceId: $deviceId, first: $first, after: $after) {
    endCursor
    hasMore
    nodes {
      id
      deviceId
      deviceName
      userName
      visitId
      sequence
      body
      receivedAt
      forceAt
      state
      settledAt
    }
  }
}

mutation ForceHeld($deviceId: UUID!) {
  forceHeld(deviceId: $deviceId)
}
"""

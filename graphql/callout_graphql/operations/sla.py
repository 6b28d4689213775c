"""Operations about the SLA clock."""

SLA = """
query SlaPolicy($version: Int) {
  slaPolicy(version: $version) {
    version
    name
    note
    body
    active
    createdAt
    createdBy
  }
}

query SlaPolicies($first: Int! = 50, $after: String) {
  slaPolicies(first: $first, after: $after) {
    endCursor
    hasMore
    nodes {
      version
      name
      note
      active
      createdAt
      createdBy
    }
  }
}

query CheckSlaPolicy($body: JSON!, $tries: [SlaTry!]!) {
  checkSlaPolicy(body: $body, tries: $tries) {
    ...Tried
  }
}

query PreviewSla($tries: [SlaTry!]!, $version: Int) {
  previewSla(tries: $tries, version: $version) {
    ...Tried
  }
}

fragment Tried on SlaTried {
  start
  tier
  kind
  priority
  rule
  named
  others
  milestones {
    name
    minutes
    calendar
    timeZone
    dueAt
    marks
    days {
      date
      kind
      hours
      name
    }
  }
}

mutation SaveSlaPolicy($body: JSON!, $note: String! = "", $activate: Boolean! = false) {
  saveSlaPolicy(body: $body, note: $note, activate: $activate) {
    version
    active
  }
}

mutation ActivateSlaPolicy($version: Int!) {
  activateSlaPolicy(version: $version) {
    version
    active
  }
}

query OrderMilestones($id: UUID!) {
  order(id: $id) {
    id
    number
    state
    holdReason
    milestones {
      name
      state
      dueAt
      originalDueAt
      movedUntil
      remainingSeconds
      serverNow
      pausedSince
      pausedReasons
      metAt
      inTime
      missedAt
      policyVersion
      rule
      calendar
      timeZone
      marks
      warned
      why {
        code
        en
        zh
        at
      }
    }
    holds {
      reason
      note
      since
      until
      byUserId
      endedAt
      endedByUserId
      milestones
    }
  }
}

mutation HoldWorkOrder($id: UUID!, $reason: String!, $note: String! = "", $until: DateTime) {
  holdWorkOrder(id: $id, reason: $reason, note: $note, until: $until) {
    id
    revision
    holdReason
    milestones {
      name
      state
      dueAt
      remainingSeconds
    }
  }
}

mutation ResumeWorkOrder($id: UUID!, $reason: String, $note: String! = "") {
  resumeWorkOrder(id: $id, reason: $reason, note: $note) {
    id
    revision
    holdReason
    milestones {
      name
      state
      dueAt
      remainingSeconds
    }
  }
}

mutation ChangeCustomerTier($id: UUID!, $tier: String!, $reason: String! = "") {
  changeCustomerTier(id: $id, tier: $tier, reason: $reason) {
    id
    tier
  }
}

subscription OrderMilestonesChanged($id: UUID!) {
  orderMilestones(id: $id) {
    name
    state
    dueAt
    remainingSeconds
    serverNow
    warned
    pausedReasons
    missedAt
  }
}
"""

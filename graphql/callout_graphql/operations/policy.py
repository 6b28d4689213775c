"""Operations about the scheduling policy, and about what was decided by it."""

POLICY = """
query SchedulingPolicy($version: Int) {
  schedulingPolicy(version: $version) {
    version
    name
    note
    body
    active
    createdAt
    createdBy
  }
}

query SchedulingPolicies($first: Int! = 50, $after: String) {
  schedulingPolicies(first: $first, after: $after) {
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

mutation SaveSchedulingPolicy($body: JSON!, $note: String! = "", $activate: Boolean! = false) {
  saveSchedulingPolicy(body: $body, note: $note, activate: $activate) {
    version
    active
  }
}

mutation ActivateSchedulingPolicy($version: Int!) {
  activateSchedulingPolicy(version: $version) {
    version
    active
  }
}

query DispatchSettings {
  dispatchSettings {
    policyVersion
    positionDays
    travelProvider
  }
}

mutation SetDispatchSettings($positionDays: Int, $travelProvider: String) {
  setDispatchSettings(positionDays: $positionDays, travelProvider: $travelProvider) {
    policyVersion
    positionDays
    travelProvider
  }
}
"""

DECISIONS = """
query WhyNot($engineerId: UUID!, $decisionId: UUID, $orderId: UUID) {
  whyNot(engineerId: $engineerId, decisionId: $decisionId, orderId: $orderId) {
    decisionId
    text
    name
    chosenId
    chosenName
    asOf
    recomputed
    policyVersion
    rank
    rankAtBest
    rankedCount
    score
    chosenScore
    slotStart
    slotEnd
    travelMinutes
    components {
      component
      label
      weight
      mine
      chosen
      points
    }
    reasons {
      code
      text
    }
    notes {
      code
      text
    }
  }
}

query ReplayDecision($id: UUID!, $policyVersion: Int, $first: Int! = 20) {
  replayDecision(id: $id, policyVersion: $policyVersion, first: $first) {
    same
    kept
    total
    decision {
      id
      at
      method
      policyVersion
      engineerId
    }
    policyVersion
    best
    rankedCount
    outCount
    ranked {
      engineerId
      name
      score
      slotStart
      travelMinutes
      scores {
        component
        value
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

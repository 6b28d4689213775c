"""Operations of running flows: where an order stands, approvals, parts that are bought, the second visit, the survey."""

FLOW = """
query OrderFlow($id: UUID!) {
  order(id: $id) {
    id
    number
    state
    flow {
      step
      labelEn
      labelZh
      owner
      fields
      events
      approvals
      byHand
      missingEn
      missingZh
      mayLeadTo
    }
    steps {
      id
      n
      step
      labelEn
      labelZh
      owner
      times
      state
      enteredAt
      doneAt
      dueAt
      lateAt
      blocked {
        code
        place
        why
      }
    }
    approvals {
      id
      code
      labelEn
      labelZh
      about
      state
      askedAt
      decidedAt
    }
    requisitions {
      id
      number
      state
      lines {
        quantity
        received
        part {
          code
          name
        }
      }
    }
    surveys {
      id
      askedAt
      score
      comment
    }
    visitOffers {
      id
      state
      proposedStart
      engineer {
        id
        name
      }
    }
  }
}

query Approvals($state: String = "asked", $first: Int! = 50, $after: String) {
  approvals(state: $state, first: $first, after: $after) {
    endCursor
    hasMore
    nodes {
      id
      orderId
      step
      code
      labelEn
      labelZh
      owner
      about
      state
      askedAt
      order {
        id
        number
      }
    }
  }
}

mutation CompleteStep($orderId: UUID!, $step: String, $fields: JSON, $comment: String! = "") {
  completeStep(orderId: $orderId, step: $step, fields: $fields, comment: $comment) {
    id
    state
    flow {
      step
      missingEn
      missingZh
    }
  }
}

mutation ApproveStep($id: UUID!, $comment: String! = "") {
  approveStep(id: $id, comment: $comment) {
    id
    state
  }
}

mutation RejectStep($id: UUID!, $comment: String!, $to: String) {
  rejectStep(id: $id, comment: $comment, to: $to) {
    id
    state
  }
}

mutation LeadFlowBack($orderId: UUID!, $to: String!, $reason: String!) {
  leadFlowBack(orderId: $orderId, to: $to, reason: $reason) {
    id
    flow {
      step
    }
  }
}

mutation SettleFlow($orderId: UUID!, $decision: String!, $reason: String!) {
  settleFlow(orderId: $orderId, decision: $decision, reason: $reason) {
    id
    flow {
      step
    }
  }
}

mutation ReopenWorkOrder($id: UUID!, $reason: String!, $to: String, $revision: Int) {
  reopenWorkOrder(id: $id, reason: $reason, to: $to, revision: $revision) {
    id
    state
    revision
  }
}

mutation CreateSurveyLink($surveyId: UUID!) {
  createSurveyLink(surveyId: $surveyId) {
    surveyId
    url
  }
}
"""

REQUISITIONS = """
query Requisitions($states: [String!], $number: String, $first: Int! = 50, $after: String) {
  requisitions(states: $states, number: $number, first: $first, after: $after) {
    endCursor
    hasMore
    nodes {
      id
      number
      state
      note
      supplier
      supplierRef
      expectedAt
      revision
      lines {
        quantity
        received
        part {
          id
          code
          name
        }
      }
      order {
        id
        number
      }
    }
  }
}

mutation RequestParts($orderId: UUID!, $parts: [PartNeed!]!, $note: String! = "", $visitId: UUID) {
  requestParts(orderId: $orderId, parts: $parts, note: $note, visitId: $visitId) {
    id
    number
    state
  }
}

mutation SetRequisitionParts($id: UUID!, $parts: [PartNeed!]!, $revision: Int) {
  setRequisitionParts(id: $id, parts: $parts, revision: $revision) {
    id
    state
    revision
  }
}

mutation ApproveRequisition($id: UUID!, $revision: Int) {
  approveRequisition(id: $id, revision: $revision) {
    id
    state
    revision
  }
}

mutation OrderRequisition(
  $id: UUID!
  $supplier: String
  $supplierRef: String
  $expectedAt: DateTime
  $revision: Int
) {
  orderRequisition(
    id: $id
    supplier: $supplier
    supplierRef: $supplierRef
    expectedAt: $expectedAt
    revision: $revision
  ) {
    id
    state
    revision
  }
}

mutation ReceiveRequisition(
  $id: UUID!
  $holderId: UUID!
  $delivered: [DeliveredPart!]
  $delivery: String! = ""
  $revision: Int
) {
  receiveRequisition(
    id: $id
    holderId: $holderId
    delivered: $delivered
    delivery: $delivery
    revision: $revision
  ) {
    id
    state
    revision
    lines {
      quantity
      received
    }
  }
}

mutation CancelRequisition($id: UUID!, $reason: String!, $revision: Int) {
  cancelRequisition(id: $id, reason: $reason, revision: $revision) {
    id
    state
  }
}
"""

SECOND_VISIT = """
query VisitOffers($state: String = "offered", $first: Int! = 50, $after: String) {
  visitOffers(state: $state, first: $first, after: $after) {
    endCursor
    hasMore
    nodes {
      id
      state
      because
      proposedStart
      proposedEnd
      reasonsEn
      reasonsZh
      engineer {
        id
        name
      }
      order {
        id
        number
      }
    }
  }
}

mutation OfferSecondVisit($orderId: UUID!) {
  offerSecondVisit(orderId: $orderId) {
    id
    state
  }
}

mutation AcceptVisitOffer(
  $id: UUID!
  $engineerId: UUID
  $start: DateTime
  $override: Boolean! = false
  $reason: String! = ""
) {
  acceptVisitOffer(
    id: $id
    engineerId: $engineerId
    start: $start
    override: $override
    reason: $reason
  ) {
    id
    state
    scheduledStart
  }
}

mutation DeclineVisitOffer($id: UUID!, $reason: String!) {
  declineVisitOffer(id: $id, reason: $reason) {
    id
    state
  }
}
"""

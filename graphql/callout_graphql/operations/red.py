"""Operations of the dispatcher's screen about urgent orders, and of the engineer who answers at another screen."""

RED_LANE = """
query RedLanes($state: String, $first: Int! = 50, $after: String) {
  redLanes(state: $state, first: $first, after: $after) {
    endCursor
    hasMore
    nodes {
      id
      orderId
      order {
        number
        state
      }
      state
      round
      visitId
      startedAt
      endedAt
    }
  }
}

query RedLane($id: UUID!) {
  redLane(id: $id) {
    ...Lane
    order {
      id
      number
      priority
      state
    }
  }
}

mutation StartRedLane($orderId: UUID!) {
  startRedLane(orderId: $orderId) {
    ...Lane
  }
}

mutation AnswerOffer($visitId: UUID!, $accept: Boolean!, $reason: String! = "") {
  answerOffer(visitId: $visitId, accept: $accept, reason: $reason) {
    id
    orderId
    state
    round
  }
}

mutation HoldVisit($id: UUID!, $hold: String, $revision: Int) {
  holdVisit(id: $id, hold: $hold, revision: $revision) {
    id
    hold
    state
    revision
  }
}

fragment Lane on RedLane {
  id
  orderId
  state
  visitId
  round
  startedAt
  endedAt
  offers {
    round
    engineerId
    engineer {
      id
      name
    }
    offeredAt
    expiresAt
    answer
    answeredAt
    answeredBy
    reason
    displaced {
      visitId
      orderId
      became
      fromEngineerId
      fromStart
      engineerId
      start
      end
    }
  }
}
"""

"""Operations by which the office enters what dispatch stands on."""

DISPATCH_SETUP = """
mutation SaveSkill($code: String!, $nameEn: String!, $nameZh: String!) {
  saveSkill(code: $code, nameEn: $nameEn, nameZh: $nameZh) {
    code
    name
  }
}

mutation SaveEngineer($id: UUID, $input: EngineerInput!) {
  saveEngineer(id: $id, input: $input) {
    id
    name
    active
  }
}

query EngineerTerms($engineerIds: [UUID!]!) {
  engineerTerms(engineerIds: $engineerIds) {
    engineerId
    endLat
    endLng
    travelMinutesMax
    workMinutesMax
    visitsMax
    secondaryTerritoryIds
  }
}

query EngineerTime($engineerIds: [UUID!]!, $start: DateTime!, $end: DateTime!) {
  engineerTime(engineerIds: $engineerIds, start: $start, end: $end) {
    engineerId
    shifts {
      id
      startsAt
      endsAt
      startLat
      startLng
      endLat
      endLng
      breaks {
        earliest
        latest
        minutes
      }
    }
    absences {
      id
      startsAt
      endsAt
      reason
    }
  }
}

mutation SetShifts($engineerId: UUID!, $start: DateTime!, $end: DateTime!, $shifts: [ShiftInput!]!) {
  setShifts(engineerId: $engineerId, start: $start, end: $end, shifts: $shifts) {
    id
    startsAt
    endsAt
  }
}

mutation RemoveAbsence($id: UUID!) {
  removeAbsence(id: $id)
}

mutation SetEngineerPreference($engineerId: UUID!, $kind: String, $customerId: UUID, $siteId: UUID, $orderId: UUID) {
  setEngineerPreference(
    engineerId: $engineerId
    kind: $kind
    customerId: $customerId
    siteId: $siteId
    orderId: $orderId
  ) {
    id
    kind
  }
}

query EngineerPreferences(
  $engineerId: UUID
  $customerId: UUID
  $siteId: UUID
  $orderId: UUID
  $first: Int! = 50
  $after: String
) {
  engineerPreferences(
    engineerId: $engineerId
    customerId: $customerId
    siteId: $siteId
    orderId: $orderId
    first: $first
    after: $after
  ) {
    endCursor
    hasMore
    nodes {
      id
      engineerId
      customerId
      siteId
      orderId
      kind
    }
  }
}

mutation SaveDepot($id: UUID, $input: DepotInput!) {
  saveDepot(id: $id, input: $input) {
    id
    code
    active
  }
}

query Depots($active: Boolean = true, $first: Int! = 50, $after: String) {
  depots(active: $active, first: $first, after: $after) {
    endCursor
    hasMore
    nodes {
      id
      code
      name
      lat
      lng
      pickupMinutes
      active
      stock {
        partId
        quantity
      }
    }
  }
}

mutation MoveStock($holderId: UUID!, $partId: UUID!, $quantity: Int!, $reason: String!) {
  moveStock(holderId: $holderId, partId: $partId, quantity: $quantity, reason: $reason) {
    id
    quantity
  }
}

mutation SetVisitingHours($siteId: UUID!, $hours: [OpeningHoursInput!]!) {
  setVisitingHours(siteId: $siteId, hours: $hours) {
    id
    visitingHours {
      weekday
      from
      until
    }
  }
}

mutation SetOrderPlanning($orderId: UUID!, $input: OrderPlanningInput!, $revision: Int) {
  setOrderPlanning(orderId: $orderId, input: $input, revision: $revision) {
    id
    revision
    requestedFrom
    requestedUntil
    crewSize
    followsOrderId
    followsGapMinutes
  }
}
"""

"""Operations of the dispatcher's screen about fields that phones may write too."""

CONFLICTS = """
query Conflicts($state: String = "open", $first: Int! = 50, $after: String) {
  conflicts(state: $state, first: $first, after: $after) {
    endCursor
    hasMore
    nodes {
      ...Card
    }
  }
}

mutation SettleConflict($id: UUID!, $choice: String!, $value: JSON, $note: String! = "") {
  settleConflict(id: $id, choice: $choice, value: $value, note: $note) {
    ...Card
  }
}

fragment Card on FieldConflict {
  id
  entity
  rowId
  label
  field
  visitId
  code
  policy
  base
  kept {
    ...Side
  }
  lost {
    ...Side
  }
  receivedAt
  state
  choice
  settledValue
  settledAt
  settledBy
  note
}

fragment Side on ConflictSide {
  value
  userId
  userName
  deviceId
  deviceName
  at
  stamp
  lat
  lng
}
"""

EDIT_RECORD = """
mutation EditRecord($entity: String!, $id: UUID!, $baseRevision: Int!, $changes: JSON!) {
  editRecord(entity: $entity, id: $id, baseRevision: $baseRevision, changes: $changes) {
    status
    code
    path
    message
    revision
  }
}
"""

"""Operations about imports, API keys, and an order's whole life."""

IMPORTS = """
query Import($id: UUID!, $first: Int! = 50, $after: String) {
  import(id: $id) {
    id
    state
    dryRun
    fileName
    rowsTotal
    rowsDone
    rowsOk
    rowsExisting
    rowsFailed
    secondsLeft
    fault
    rows(state: "failed", first: $first, after: $after) {
      endCursor
      hasMore
      nodes {
        row
        cells
        faults {
          column
          code
          reason
          text
        }
      }
    }
  }
}

query Imports($first: Int! = 50, $after: String) {
  imports(first: $first, after: $after) {
    endCursor
    hasMore
    nodes {
      id
      state
      dryRun
      fileName
      rowsTotal
      rowsDone
      rowsFailed
      createdAt
    }
  }
}

query ImportTemplates {
  importTemplates {
    id
    name
    config
    revision
  }
}

mutation SaveImportTemplate($name: String!, $config: JSON!, $id: UUID, $revision: Int) {
  saveImportTemplate(name: $name, config: $config, id: $id, revision: $revision) {
    id
    revision
  }
}

mutation StartImport($id: UUID!) {
  startImport(id: $id) {
    id
    state
  }
}

mutation CancelImport($id: UUID!) {
  cancelImport(id: $id) {
    id
    state
  }
}
"""

API_KEYS = """
query ApiKeys($ended: Boolean! = false) {
  apiKeys(ended: $ended) {
    id
    name
    prefix
    scopes
    ratePerS
    expiresAt
    lastUsedAt
    revokedAt
  }
}

mutation CreateApiKey($name: String!, $scopes: [String!]!, $days: Int, $ratePerS: Int! = 3, $burst: Int! = 10) {
  createApiKey(name: $name, scopes: $scopes, days: $days, ratePerS: $ratePerS, burst: $burst) {
    text
    key {
      id
      prefix
    }
  }
}

mutation RotateApiKey($id: UUID!, $overlapHours: Int! = 24, $days: Int) {
  rotateApiKey(id: $id, overlapHours: $overlapHours, days: $days) {
    text
    key {
      id
      prefix
      expiresAt
    }
  }
}

mutation RevokeApiKey($id: UUID!) {
  revokeApiKey(id: $id) {
    id
    revokedAt
  }
}
"""

TIMELINE = """
query Timeline($orderId: UUID, $number: String, $system: String, $reference: String, $first: Int! = 50, $after: String) {
  timeline(orderId: $orderId, number: $number, system: $system, reference: $reference, first: $first, after: $after) {
    orderId
    endCursor
    hasMore
    nodes {
      id
      at
      source
      kind
      actor
      role
      visitId
      text
      data
    }
  }
}

query OrderByReference($system: String!, $reference: String!) {
  orderByReference(system: $system, reference: $reference) {
    id
    number
    state
  }
}
"""

"""Operations of the office about what the phones hold."""

CONTENT = """
query Articles($active: Boolean = true, $search: String, $standing: Boolean, $first: Int! = 50, $after: String) {
  articles(active: $active, search: $search, standing: $standing, first: $first, after: $after) {
    endCursor
    hasMore
    nodes {
      id
      title
      body
      workaround
      forCustomers
      locale
      kind
      model
      faultCode
      territoryId
      active
      standingSince
      revision
      updatedAt
    }
  }
}

mutation SaveArticle($id: UUID, $revision: Int, $input: SaveArticle!) {
  saveArticle(id: $id, revision: $revision, input: $input) {
    id
    revision
  }
}

mutation RetireArticle($id: UUID!, $revision: Int) {
  retireArticle(id: $id, revision: $revision) {
    id
    active
    revision
  }
}

query Forms($active: Boolean = true, $code: String, $first: Int! = 50, $after: String) {
  forms(active: $active, code: $code, first: $first, after: $after) {
    endCursor
    hasMore
    nodes {
      id
      code
      version
      kind
      titleEn
      titleZh
      schema
      active
      createdAt
    }
  }
}

mutation SaveForm($input: SaveForm!) {
  saveForm(input: $input) {
    id
    code
    version
  }
}

mutation RetireForm($id: UUID!) {
  retireForm(id: $id) {
    id
    active
  }
}

mutation SetOrderParts($orderId: UUID!, $parts: [PartNeed!]!, $revision: Int) {
  setOrderParts(orderId: $orderId, parts: $parts, revision: $revision) {
    id
    revision
    parts {
      partId
      quantity
    }
  }
}
"""

PHONES = """
mutation ConfigurePhones(
  $windowDays: Int
  $historyEvents: Int
  $budgetMb: Int
  $parts: String
  $holdMinutes: Int
  $tombstoneDays: Int
  $appVersionMin: String
) {
  configurePhones(
    windowDays: $windowDays
    historyEvents: $historyEvents
    budgetMb: $budgetMb
    parts: $parts
    holdMinutes: $holdMinutes
    tombstoneDays: $tombstoneDays
    appVersionMin: $appVersionMin
  ) {
    id
    phoneWindowDays
    phoneHistoryEvents
    phoneBudgetMb
    phoneParts
    holdMinutes
    tombstoneDays
    appVersionMin
  }
}
"""

"""Operations about channels: their accounts, conversations, callers, and requests of customers' contacts."""

CHANNELS = """
query IntakeChannels {
  intakeChannels {
    id
    code
    kind
    name
    enabled
    settings
    secretsSet
    defaultKind
    defaultPriority
    locale
    mayCreate
    answers
    patienceMinutes
    revision
    address
    mailbox {
      polledAt
      failedSince
      lastError
    }
  }
}

mutation SaveIntakeChannel($id: UUID, $revision: Int, $input: ChannelInput!) {
  saveIntakeChannel(id: $id, revision: $revision, input: $input) {
    id
    code
    revision
    address
    secretsSet
  }
}
"""

DRAFTS = """
query IntakeDrafts($states: [String!], $first: Int! = 50, $after: String) {
  intakeDrafts(states: $states, first: $first, after: $after) {
    endCursor
    hasMore
    nodes {
      id
      channelCode
      channelKind
      peer
      state
      reason
      description
      createdAt
      updatedAt
    }
  }
}

query IntakeDraft($id: UUID!) {
  intakeDraft(id: $id) {
    id
    channelCode
    channelKind
    peer
    state
    reason
    locale
    description
    kind
    values
    faults {
      path
      reason
      en
      zh
    }
    messages {
      id
      direction
      text
      state
      at
    }
    files {
      id
      name
      mediaType
      state
      url
      thumbUrl
    }
    orderId
  }
}

mutation AnswerDraft($id: UUID!, $text: String!) {
  answerDraft(id: $id, text: $text) {
    id
    state
  }
}

mutation CompleteDraft($id: UUID!, $values: JSON, $kind: String, $tell: Boolean! = true) {
  completeDraft(id: $id, values: $values, kind: $kind, tell: $tell) {
    orderId
    order {
      number
    }
    draft {
      id
      state
      faults {
        path
        en
        zh
      }
    }
  }
}

mutation CloseDraft($id: UUID!, $reason: String!) {
  closeDraft(id: $id, reason: $reason) {
    id
    state
  }
}

mutation FetchFileAgain($id: UUID!) {
  fetchFileAgain(id: $id) {
    id
    state
  }
}
"""

CALLERS = """
query Callers($search: String!, $first: Int! = 10) {
  callers(search: $search, first: $first) {
    by
    customerId
    customerName
    customerNumber
    tier
    contactId
    contactName
    contactPhone
    siteId
    siteName
    address
    assetId
    serial
    model
    openOrders
  }
}
"""

SUBMIT_REQUEST = """
mutation SubmitRequest($input: SubmitRequest!) {
  submitRequest(input: $input) {
    orderId
    number
    existing
    duplicateOf
  }
}
"""

"""Operations of whoever takes orders in: the dry run, duplicates, and what the pre-check works with."""

PRECHECK = """
query CheckOrder($input: CreateWorkOrder!) {
  checkOrder(input: $input) {
    ok
    kind
    kindVersion
    priority
    missing
    makes
    existingId
    request {
      contactName
      contactPhone
      contactEmail
      serial
      product
      errorCode
      address
    }
    faults {
      path
      code
      reason
      text
    }
    found {
      field
      value
      start
      end
      confidence
      used
    }
    tags {
      tag
      word
      start
      end
    }
    proposals {
      field
      value
      en
      zh
    }
    known {
      customer {
        id
        name
        tier
      }
      site {
        id
        name
        address
      }
      contact {
        id
        name
        phone
      }
      asset {
        id
        serial
        model
      }
    }
    duplicates {
      orderId
      number
      state
      score
      sure
      reasons {
        code
        points
        en
        zh
      }
    }
  }
}

query PossibleDuplicates($orderId: UUID!) {
  possibleDuplicates(orderId: $orderId) {
    orderId
    number
    state
    description
    score
    sure
    reasons {
      code
      points
      en
      zh
    }
  }
}

query OrderReporters($orderId: UUID!) {
  orderReporters(orderId: $orderId) {
    id
    fromOrderId
    contactId
    name
    phone
    email
    locale
    addedAt
  }
}

mutation UnlinkDuplicate($orderId: UUID!, $reason: String! = "", $revision: Int) {
  unlinkDuplicate(orderId: $orderId, reason: $reason, revision: $revision) {
    id
    number
    duplicateOfId
    revision
  }
}

mutation MergeWorkOrders($into: UUID!, $from: UUID!, $reason: String! = "", $acrossCustomers: Boolean! = false) {
  mergeWorkOrders(into: $into, from: $from, reason: $reason, acrossCustomers: $acrossCustomers) {
    intoNumber
    fromNumber
    references
    duplicates
    into {
      id
      revision
      tags
    }
  }
}

query Products($active: Boolean = true, $first: Int! = 50, $after: String) {
  products(active: $active, first: $first, after: $after) {
    endCursor
    hasMore
    nodes {
      id
      code
      nameEn
      nameZh
      names
      serialPattern
      serialExample
      active
      revision
    }
  }
}

mutation SaveProduct($input: SaveProduct!, $revision: Int) {
  saveProduct(input: $input, revision: $revision) {
    id
    code
    revision
  }
}

query Keywords($tag: String, $search: String, $first: Int! = 50, $after: String) {
  keywords(tag: $tag, search: $search, first: $first, after: $after) {
    endCursor
    hasMore
    nodes {
      id
      word
      tag
      priority
      kind
    }
  }
}

mutation SaveKeywords($keywords: [KeywordInput!]!) {
  saveKeywords(keywords: $keywords)
}

mutation RemoveKeywords($ids: [UUID!]!) {
  removeKeywords(ids: $ids)
}

query PrecheckSettings {
  precheckSettings {
    revision
    regions
    confidence
    duplicates {
      link
      sure
      possible
      hours
      openDays
      closedHours
      metres
    }
    channels {
      channel
      create
      kind
      priority
      raiseTo
    }
  }
}

mutation SavePrecheckSettings($input: PrecheckSettingsInput!, $revision: Int) {
  savePrecheckSettings(input: $input, revision: $revision) {
    revision
  }
}
"""

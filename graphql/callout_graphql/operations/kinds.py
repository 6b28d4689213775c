"""Operations about kinds of order."""

KINDS = """
query OrderKinds($retired: Boolean! = false) {
  orderKinds(retired: $retired) {
    code
    version
    label
    active
    retired
    jsonSchema
  }
}

query OrderKind($code: String!, $version: Int) {
  orderKind(code: $code, version: $version) {
    code
    version
    label
    note
    source
    active
    retired
    createdAt
    jsonSchema
    svg
    findings {
      code
      path
      level
      text
    }
  }
}

query OrderKindVersions($code: String!, $first: Int! = 50, $after: Int) {
  orderKindVersions(code: $code, first: $first, after: $after) {
    version
    note
    active
    createdAt
  }
}

query CheckOrderKind($toml: String!) {
  checkOrderKind(toml: $toml) {
    ok
    code
    svg
    jsonSchema
    findings {
      code
      path
      level
      text
    }
  }
}

mutation SaveOrderKind($toml: String!, $note: String! = "", $activate: Boolean! = false) {
  saveOrderKind(toml: $toml, note: $note, activate: $activate) {
    code
    version
    active
  }
}

mutation ActivateOrderKind($code: String!, $version: Int!) {
  activateOrderKind(code: $code, version: $version) {
    code
    version
    active
  }
}

mutation RetireOrderKind($code: String!) {
  retireOrderKind(code: $code) {
    code
    retired
  }
}

mutation SetOrderFields($orderId: UUID!, $fields: JSON!, $revision: Int) {
  setOrderFields(orderId: $orderId, fields: $fields, revision: $revision) {
    id
    revision
    fields
  }
}
"""

"""What a phone asks of the GraphQL API; those ending in _1 are what an app of schema version 1 asks."""

PULL = """query PhonePull($cursor: String, $limit: Int!, $schemaVersion: Int!, $pending: Int!) {
  pull(cursor: $cursor, limit: $limit, schemaVersion: $schemaVersion, pending: $pending) {
    cursor more epoch serverTime total documents stamp wipe budgetWarning
  }
}"""
PULL_1 = """query PhonePull($cursor: String, $limit: Int!) {
  pull(cursor: $cursor, limit: $limit) { cursor more epoch serverTime total documents }
}"""
PUSH = """mutation PhonePush($input: PushInput!) {
  push(input: $input) { stamp wipe answers { index status id code path message firstStatus } }
}"""
PUSH_1 = """mutation PhonePush($input: PushInput!) {
  push(input: $input) { answers { index status id code path message firstStatus } }
}"""
CONFIRM_WIPE = "mutation PhoneConfirmWipe { confirmWipe }"

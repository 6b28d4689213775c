"""Operations of the office's page of phones, and a phone's word that it was wiped."""

DEVICES = """
query Devices(
  $userId: UUID
  $revoked: Boolean
  $staleBefore: DateTime
  $sort: DeviceSort! = NEWEST
  $first: Int! = 50
  $after: String
) {
  devices(
    userId: $userId
    revoked: $revoked
    staleBefore: $staleBefore
    sort: $sort
    first: $first
    after: $after
  ) {
    endCursor
    hasMore
    nodes {
      id
      userId
      userName
      name
      platform
      appVersion
      schemaVersion
      enrolledAt
      revokedAt
      revokedReason
      lastSeenAt
      pulledAt
      pushedAt
      pending
      clockOffsetMs
      storageUsedBytes
      storageFreeBytes
      wipeMode
      wipeReason
      wipeRequestedAt
      wipedAt
      progress {
        lagRows
        lagSeconds
        conflictsOpen
        quarantinedOpen
        held
      }
      copy {
        rows
        bytes
        budgetBytes
        overBudget
      }
    }
  }
}

mutation RevokeDevice($id: UUID!, $reason: String!) {
  revokeDevice(id: $id, reason: $reason) {
    id
    revokedAt
  }
}
"""

WIPE = """
mutation WipeDevice($id: UUID!, $mode: WipeMode!, $reason: String!) {
  wipeDevice(id: $id, mode: $mode, reason: $reason) {
    id
    wipeMode
    wipeRequestedAt
  }
}

mutation CancelWipe($id: UUID!) {
  cancelWipe(id: $id) {
    id
    wipeMode
  }
}

mutation ConfirmWipe {
  confirmWipe
}
"""

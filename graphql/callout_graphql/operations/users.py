"""Operations of the admin's page of people."""

USERS = """
query Users($role: String, $active: Boolean, $first: Int! = 50, $after: String) {
  users(role: $role, active: $active, first: $first, after: $after) {
    endCursor
    hasMore
    nodes {
      id
      name
      email
      role
      active
    }
  }
}

mutation DeactivateUser($id: UUID!, $reason: String! = "") {
  deactivateUser(id: $id, reason: $reason) {
    id
    active
  }
}

mutation ReactivateUser($id: UUID!) {
  reactivateUser(id: $id) {
    id
    active
  }
}
"""

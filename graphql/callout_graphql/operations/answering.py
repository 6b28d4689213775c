"""Operations of the agent's desk, and of whoever sets up teams, duty and the directory."""

DESK = """
query Desk($filter: DeskFilter, $first: Int! = 50, $after: String) {
  desk(filter: $filter, first: $first, after: $after) {
    now
    hasMore
    endCursor
    nodes {
      ...DeskRow
    }
  }
}

query DeskOrder($orderId: UUID!) {
  deskOrder(orderId: $orderId) {
    ...DeskRow
  }
  rightHolders(orderId: $orderId) {
    userId
    name
    by
    rank
    until
  }
}

query MyTodos($states: [String!], $orderId: UUID, $locale: String! = "en", $first: Int! = 50, $after: String) {
  myTodos(states: $states, orderId: $orderId, first: $first, after: $after) {
    hasMore
    endCursor
    nodes {
      id
      orderId
      kind
      text(locale: $locale)
      state
      urgent
      dueAt
      createdAt
      acknowledgedAt
    }
  }
}

mutation RespondToOrder($orderId: UUID!, $text: String) {
  respondToOrder(orderId: $orderId, text: $text) {
    orderId
    respondedAt
    first
  }
}

mutation TakeOver($orderId: UUID!, $epoch: Int!, $reason: String!) {
  takeOver(orderId: $orderId, epoch: $epoch, reason: $reason) {
    orderId
    handlerId
    epoch
  }
}

mutation HandOn($orderId: UUID!, $epoch: Int!, $reason: String!, $userId: UUID, $teamId: UUID) {
  handOn(orderId: $orderId, epoch: $epoch, reason: $reason, userId: $userId, teamId: $teamId) {
    orderId
    handlerId
    teamId
    epoch
  }
}

mutation MoveDeadline($orderId: UUID!, $milestone: String!, $minutes: Int!, $reason: String!, $until: DateTime) {
  moveDeadline(orderId: $orderId, milestone: $milestone, minutes: $minutes, reason: $reason, until: $until) {
    orderId
    milestone
    dueAt
    originalDueAt
    until
  }
}

mutation RestoreDeadline($orderId: UUID!, $milestone: String!) {
  restoreDeadline(orderId: $orderId, milestone: $milestone)
}

mutation Heartbeat {
  heartbeat {
    state
    since
    byHand
  }
}

mutation SetPresence($state: String!) {
  setPresence(state: $state) {
    state
    since
    byHand
  }
}

mutation AcknowledgeTodo($id: UUID!) {
  acknowledgeTodo(id: $id) {
    id
    state
  }
}

mutation FinishTodo($id: UUID!) {
  finishTodo(id: $id) {
    id
    state
  }
}

fragment DeskRow on DeskOrder {
  orderId
  number
  priority
  red
  kind
  state
  channel
  description
  customerName
  siteName
  tags
  duplicates
  teamId
  teamCode
  teamNameEn
  teamNameZh
  handlerId
  handlerName
  handlerPresence
  handlerSince
  byWhat
  epoch
  flag
  holdReason
  dueAt
  respondedAt
  resolveDueAt
  remainingSeconds
  paused
  late
}
"""

DIRECTORY = """
query Directory($filter: DirectoryFilter, $days: Int! = 30, $first: Int! = 50, $after: String) {
  directory(filter: $filter, days: $days, first: $first, after: $after) {
    hasMore
    endCursor
    nodes {
      ...Entry
    }
  }
}

query WhoAnswers($kind: String!, $channel: String! = "hotline", $territoryId: UUID, $at: DateTime) {
  whoAnswers(kind: $kind, channel: $channel, territoryId: $territoryId, at: $at) {
    teamId
    teamBy
    members
    online
    fallback {
      userId
      name
      rank
      until
    }
    supervisors {
      userId
      name
    }
  }
}

query Presences($userIds: [UUID!]!) {
  presences(userIds: $userIds) {
    userId
    state
    since
    seenAt
    byHand
  }
}

query Teams($active: Boolean = true, $at: DateTime) {
  teams(active: $active, at: $at) {
    ...TeamRow
  }
}

mutation SaveTeam($input: TeamInput!, $id: UUID, $revision: Int) {
  saveTeam(input: $input, id: $id, revision: $revision) {
    ...TeamRow
  }
}

mutation SetDuty($teamId: UUID!, $duties: [DutyInput!]!) {
  setDuty(teamId: $teamId, duties: $duties) {
    ...TeamRow
  }
}

mutation SaveStaff($userId: UUID!, $input: StaffInput!, $revision: Int) {
  saveStaff(userId: $userId, input: $input, revision: $revision) {
    ...Entry
  }
}

mutation SetStaffPosts($userId: UUID!, $posts: [PostInput!]!) {
  setStaffPosts(userId: $userId, posts: $posts) {
    ...Entry
  }
}

fragment Entry on StaffEntry {
  userId
  name
  email
  role
  department
  title
  phone
  chatIds
  kinds
  revision
  presence
  teams
  posts {
    post
    territoryId
    teamId
  }
  response {
    days
    answers
    meanSeconds
  }
}

fragment TeamRow on Team {
  id
  code
  nameEn
  nameZh
  timeZone
  kinds
  channels
  territoryIds
  isDefault
  active
  lateMinutes
  offlineMinutes
  stepMinutes
  moveMinutesMax
  moveHoursMax
  revision
  members {
    userId
    name
    lead
    active
  }
  duties {
    userId
    name
    rank
    weekday
    onDate
    starts
    ends
  }
  onDuty {
    userId
    rank
    until
  }
}
"""

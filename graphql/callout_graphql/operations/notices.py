"""Operations about notices."""

NOTICES = """
query MyNotices($unread: Boolean! = false, $first: Int! = 50, $after: String) {
  myNotices(unread: $unread, first: $first, after: $after) {
    endCursor
    hasMore
    nodes {
      id
      orderId
      kind
      title
      body
      urgent
      wantsAck
      state
      createdAt
      readAt
      acknowledgedAt
    }
  }
}

query OrderNotices($orderId: UUID!, $first: Int! = 50) {
  notices(orderId: $orderId, first: $first) {
    id
    kind
    name
    role
    medium
    title
    state
    digest
    messageId
    error
    createdAt
    deliveredAt
    readAt
    acknowledgedAt
  }
}

mutation AcknowledgeNotice($id: UUID!) {
  acknowledgeNotice(id: $id) {
    id
    state
    acknowledgedAt
  }
}

mutation ReadNotices($ids: [UUID!]!) {
  readNotices(ids: $ids)
}

query NoticePreferences {
  noticePreferences {
    media
    quiet
    timeZone
    locale
    muted
    addresses {
      id
      medium
      address
      broken
    }
  }
}

mutation SetNoticePreferences($input: NoticePreferencesInput!) {
  setNoticePreferences(input: $input) {
    media
    quiet
    timeZone
    locale
    muted
  }
}

mutation AddNoticeAddress($medium: String!, $address: String!) {
  addNoticeAddress(medium: $medium, address: $address) {
    addresses {
      id
      medium
      address
    }
  }
}
"""

NOTICE_SETUP = """
query NoticeChannels {
  noticeChannels {
    id
    medium
    provider
    name
    secrets
    perMinute
    active
    restUntil
    failures
    lastError
    waiting
  }
}

mutation SaveNoticeChannel($id: UUID, $input: NoticeChannelInput!) {
  saveNoticeChannel(id: $id, input: $input) {
    id
    secrets
    perMinute
  }
}

query NoticeSettings {
  noticeSettings {
    staffMedia
    customerMedia
    quiet
    fallbackMinutes
    acknowledgeSeconds
    mailPixel
    orderUrl
    keepDays
  }
}

mutation SetNoticeSettings($input: NoticeSettingsInput!) {
  setNoticeSettings(input: $input) {
    staffMedia
    quiet
  }
}

query NoticeTemplates($medium: String!, $kind: String! = "*", $locale: String! = "en") {
  noticeTemplates(medium: $medium, kind: $kind, locale: $locale) {
    version
    title
    body
    active
  }
  noticePlaceholders(locale: $locale) {
    name
    meaning
  }
}

query PreviewNotice(
  $medium: String!
  $kind: String!
  $locale: String! = "en"
  $title: String
  $body: String
  $orderId: UUID
) {
  previewNotice(medium: $medium, kind: $kind, locale: $locale, title: $title, body: $body, orderId: $orderId) {
    title
    body
  }
}

mutation SaveNoticeTemplate(
  $medium: String!
  $kind: String!
  $locale: String!
  $title: String!
  $body: String!
  $activate: Boolean! = false
) {
  saveNoticeTemplate(
    medium: $medium
    kind: $kind
    locale: $locale
    title: $title
    body: $body
    activate: $activate
  ) {
    version
    active
  }
}

query NoticeCounts($since: Date!, $until: Date!) {
  noticeCounts(since: $since, until: $until) {
    day
    medium
    state
    notices
  }
}

query FailedNotices($first: Int! = 50) {
  noticeMessages(state: "failed", first: $first) {
    nodes {
      id
      medium
      subject
      attempts
      error
      numbers
      names
    }
  }
}

mutation ReplayNotices($messageIds: [UUID!]!) {
  replayNotices(messageIds: $messageIds)
}
"""

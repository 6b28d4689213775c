"""Operations about expected arrivals."""

ARRIVALS = """
mutation CreateTrackLink($orderId: UUID!, $locale: String) {
  createTrackLink(orderId: $orderId, locale: $locale) {
    url
    orderId
  }
}

query VisitEta($id: UUID!) {
  visit(id: $id) {
    id
    state
    scheduledStart
    eta {
      eta
      computedAt
      because
      provider
      toldEta
      toldAt
      missedAt
    }
  }
}
"""

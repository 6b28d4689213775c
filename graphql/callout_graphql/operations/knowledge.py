"""Operations about answers."""

KNOWLEDGE = """
query SuggestAnswers($text: String!, $kind: String, $model: String, $errorCode: String, $locale: String, $first: Int! = 5) {
  suggestAnswers(text: $text, kind: $kind, model: $model, errorCode: $errorCode, locale: $locale, first: $first) {
    articleId
    revision
    title
    body
    workaround
    locale
    score
    why
  }
}

query ArticleVersions($id: UUID!, $first: Int! = 50, $after: Int) {
  articleVersions(id: $id, first: $first, after: $after) {
    revision
    title
    body
    workaround
    active
    updatedAt
    updatedBy
  }
}

query OrderAnswers($orderId: UUID!) {
  order(id: $orderId) {
    id
    state
    priority
    answers {
      id
      articleId
      articleRevision
      title
      body
      workaround
      score
      state
      decidedVia
      withdrawn
    }
  }
}

mutation OfferAnswers($orderId: UUID!, $articleIds: [UUID!]) {
  offerAnswers(orderId: $orderId, articleIds: $articleIds) {
    id
    answers {
      id
      title
      state
    }
  }
}

mutation OfferAnswerToAll($articleId: UUID!) {
  offerAnswerToAll(articleId: $articleId)
}

mutation SetStandingAnswer($articleId: UUID!, $on: Boolean!, $revision: Int) {
  setStandingAnswer(articleId: $articleId, on: $on, revision: $revision) {
    id
    faultCode
    standingSince
    standingBy
    revision
  }
}

mutation AnswerSolved($orderId: UUID!, $offerId: UUID) {
  answerSolved(orderId: $orderId, offerId: $offerId) {
    id
    state
    revision
  }
}

mutation AnswersDidNotHelp($orderId: UUID!, $reason: String! = "") {
  answersDidNotHelp(orderId: $orderId, reason: $reason) {
    id
    state
    priority
    revision
  }
}

mutation ResolveByAnswer($orderIds: [UUID!]!, $articleId: UUID!) {
  resolveByAnswer(orderIds: $orderIds, articleId: $articleId) {
    closed
    left {
      orderId
      state
    }
  }
}

mutation CreateAnswerLink($orderId: UUID!, $locale: String) {
  createAnswerLink(orderId: $orderId, locale: $locale) {
    url
  }
}
"""

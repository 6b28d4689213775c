"""Articles and canned answers, versioned and searched; the self-service route of P2."""

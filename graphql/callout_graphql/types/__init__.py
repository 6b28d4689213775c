"""GraphQL types, by topic: what the API shows."""

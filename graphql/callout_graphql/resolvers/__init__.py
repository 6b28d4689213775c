"""Queries and mutations, by topic: mixed into the roots of `schema`."""

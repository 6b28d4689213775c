"""Plans as the office has them: asked for, proposed, accepted whole or in part, compared; the database side of planning."""

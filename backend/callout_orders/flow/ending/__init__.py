"""How an order ends: closed, surveyed, archived, opened again."""

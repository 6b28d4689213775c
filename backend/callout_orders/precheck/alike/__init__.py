"""Orders about the same matter: found, scored, linked, merged."""

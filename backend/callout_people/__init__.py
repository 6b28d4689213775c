"""People: organisations, users with roles, passwords, tokens, sessions and the limits on attempts. Knows no devices."""

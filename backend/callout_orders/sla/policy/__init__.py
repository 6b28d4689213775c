"""The SLA policy: its terms, how it is read from JSON, its versions, and what one would promise."""

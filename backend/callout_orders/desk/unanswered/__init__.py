"""Orders that nobody answers (R4): watched, turned over, taken over, handed on."""

"""Carrying notices outside: one adapter a provider, the pump that drives them, links that tell what was read."""

"""`callout swarm`: many phones over many days on a network that fails in every way, and a verdict at the end."""

from callout_backend.swarm.run import main

__all__ = ["main"]

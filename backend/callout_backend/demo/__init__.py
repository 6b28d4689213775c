"""The demo: real input, a day of field service with real phones over real HTTP, and proof that nothing was lost."""

from callout_backend.demo.day import main

__all__ = ["main"]

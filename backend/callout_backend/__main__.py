"""`python -m callout_backend` is `callout`: how `callout run` starts its children in its own interpreter."""

from callout_backend.cli import main

main()

"""REST doors: sign-in, sign-off, intake, and the page that lists them."""

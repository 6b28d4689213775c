"""Parts that an order waits for: asked for, bought, taken into stock."""

"""What the people who run Callout need: logs, health and metrics."""

"""When an engineer is expected, who is told of it, and what the customer sees."""

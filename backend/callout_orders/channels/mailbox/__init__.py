"""What mailboxes bring: messages, their words, machines that answer machines, how far each box was read."""

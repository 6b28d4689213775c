"""The running flow of an order: its steps, approvals, purchase requisitions, survey and archive."""

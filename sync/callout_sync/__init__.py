"""Phones: devices, what each may see (scope), the feed they pull, the commands they push, receipts and quarantine."""

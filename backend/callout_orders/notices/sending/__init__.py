"""How notices leave: batches, buckets, leases, what became of them, who is pressed."""

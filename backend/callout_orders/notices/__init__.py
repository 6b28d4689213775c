"""Who is told what, where and when: templates, preferences, quiet hours, buckets, states, digests."""

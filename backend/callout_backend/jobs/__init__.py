"""Work that happens later or elsewhere: the worker, its handlers, and what wakes it.

The truth about owed work is `callout_store.outbox` and `callout_store.timers`; nothing here is lost when a process or
Redis dies.
"""

"""Engine room: one unit of work over PostgreSQL, the journal, the outbox and timers, ids, the clock and refusals."""

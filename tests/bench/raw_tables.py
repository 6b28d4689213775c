"""Tables of the raw limit: the same columns and indexes as Callout's own, without foreign keys or row-level security."""

RAW_TABLES = """
create table bench_event (like visit_event including defaults including indexes);
create table bench_receipt (like receipt including defaults including indexes);
create table bench_journal (like journal including defaults including indexes);
create table bench_feed (like sync_feed including defaults including indexes);
"""

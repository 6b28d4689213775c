-- Rows that are written by the hundred have no keys that say what the statement's policy or a lock of its transaction says
-- already (see docs/decisions/0017): the check of one key costs as much as the writing of an index entry.
alter table journal drop constraint journal_org_id_fkey;

"""What lies on the phone: documents, the queues of commands and of pictures, a few marks. SQLite, in a file or in memory.

Nothing that the server says ever removes a command from the queue but the answer to that command, and no row leaves the
copy while work on it waits to be sent.
"""

import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from callout_client.pictures import PictureQueue
from callout_contracts.commands import Answer

SCHEMA = """
pragma secure_delete = on;
create table if not exists mark (name text primary key, value text not null) without rowid;
-- leaving: the server has deleted the row, but work on it waits to be sent
create table if not exists document (
    entity text not null, id text not null, doc text not null, round integer not null,
    leaving integer not null default 0, primary key (entity, id)
) without rowid;
-- state: pending (to be sent), answered (kept until its effect was pulled), held (the server keeps it for the one before
-- it), rejected (a person must look). entity and row_id: what a record.edit is about
create table if not exists command (
    sequence integer primary key, id text not null, visit_id text, kind text, entity text, row_id text,
    body blob not null, state text not null default 'pending', answer text
);
create index if not exists command_state on command (state, sequence);
"""

STATE_AFTER = {
    "visit.accept": "accepted",
    "visit.decline": "canceled",
    "visit.travel": "travelling",
    "visit.arrive": "in_progress",
    "visit.complete": "completed",
    "visit.could_not_complete": "could_not_complete",
}
"""What a visit looks like on the phone once a command was recorded, before the server has said so."""
AHEAD = ("pending", "answered", "held")
"""States of commands that the documents do not tell yet."""


class PageItem(msgspec.Struct, frozen=True):
    """One row of a page, its document left as the text it came as."""

    entity: str
    id: str
    op: str
    doc: msgspec.Raw = msgspec.Raw(b"")


class Fate(msgspec.Struct, frozen=True):
    """What the screen says of a command: waiting, held, applied, duplicate, conflict, quarantined, dismissed, rejected."""

    status: str
    code: str | None = None
    path: str | None = None
    message: str | None = None
    note: str | None = None


class Store:
    """One phone's database; `path` ":memory:" forgets with the process."""

    def __init__(self, path: str | Path = ":memory:", *, synced: bool = True) -> None:
        """`synced` False does not wait for the disk: what is written then outlives the app, but not a power cut."""
        self._path = Path(path)
        self._db = sqlite3.connect(str(path), isolation_level=None)
        if not synced:
            self._db.execute("pragma synchronous = off")
        self._bring_up_to_date()
        self._db.executescript(SCHEMA)
        self.pictures = PictureQueue(self._db)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    # ------------------------------------------------------------------------------------------------ marks

    def mark(self, name: str) -> str | None:
        """A kept value: `cursor`, `epoch`, `stamp`, `access`, `refresh`, `device` …"""
        row = self._db.execute("select value from mark where name = ?", (name,)).fetchone()
        return row[0] if row else None

    def set_marks(self, **values: str) -> None:
        """Keep values."""
        with self.transaction():
            self._db.executemany("insert or replace into mark values (?, ?)", values.items())

    def drop_marks(self, *names: str) -> None:
        """Forget values."""
        self._db.executemany("delete from mark where name = ?", [(name,) for name in names])

    def heard(self, stamp: str | None) -> None:
        """Keep the highest stamp that any answer brought; as text they sort like their values."""
        if stamp is not None and stamp > (self.mark("stamp") or ""):
            self.set_marks(stamp=stamp)

    # -------------------------------------------------------------------------------------------- documents

    def apply_page(
        self, items: Iterable[PageItem], *, cursor: str, epoch: str, last: bool, stamp: str | None = None
    ) -> None:
        """Apply a page and move the cursor in one transaction: a crash between the two would lose rows or time.

        After the last page of a round that began without a cursor, rows that the round did not bring are gone. Rows
        with work that waits to be sent stay either way, until it was answered.
        """
        round_ = self._round()
        with self.transaction():
            worked_on = self._worked_on()
            for item in items:
                if item.op != "delete":
                    self._db.execute(
                        "insert or replace into document (entity, id, doc, round) values (?, ?, ?, ?)",
                        (item.entity, item.id, bytes(item.doc).decode(), round_),
                    )
                else:
                    self._leave(item.entity, item.id, worked_on)
            if last:
                stale = "select entity, id from document where round <> ? and leaving = 0"
                for entity, id_ in self._db.execute(stale, (round_,)).fetchall():
                    self._leave(entity, id_, worked_on)
            self.set_marks(cursor=cursor, epoch=epoch)
            self.heard(stamp)

    def start_again(self) -> None:
        """Forget the cursor, not the work: the next pull begins a new round from the start."""
        with self.transaction():
            self.drop_marks("cursor")
            self.set_marks(round=str(self._round() + 1))

    def documents(self, entity: str | None = None) -> list[tuple[str, str, str]]:
        """`(entity, id, JSON text)` as the server last sent them."""
        where, given = ("", ()) if entity is None else (" where entity = ?", (entity,))
        return self._db.execute(
            f"select entity, id, doc from document{where} order by entity, id", given
        ).fetchall()

    def get(self, entity: str, id_: str) -> dict[str, Any] | None:
        """One document, with what this phone's own edits made of it that no pull has brought back yet."""
        doc = self._sent(entity, id_)
        if doc is None:
            return None
        edits = self._db.execute(
            f"select body from command where entity = ? and row_id = ? and state in {AHEAD} order by sequence",
            (entity, id_),
        )
        for (body,) in edits:
            payload = msgspec.json.decode(body)["payload"]
            doc |= payload.get("changes") or {}
            for field, amount in (payload.get("add") or {}).items():
                doc[field] = doc.get(field, 0) + amount
        return doc

    def visits(self) -> list[dict[str, Any]]:
        """The visits by planned start, each with its state as this phone's unpulled commands leave it."""
        visits = [msgspec.json.decode(doc) for _, _, doc in self.documents("visit")]
        ahead: dict[str, str] = dict(
            self._db.execute(
                f"select visit_id, kind from command where state in {AHEAD} and kind in "
                f"({', '.join('?' * len(STATE_AFTER))}) order by sequence",
                tuple(STATE_AFTER),
            )
        )
        for visit in visits:
            if visit["state"] != "canceled" and visit["id"] in ahead:
                visit["state"] = STATE_AFTER[ahead[visit["id"]]]
        return sorted(visits, key=lambda visit: (visit["scheduledStart"] or "", visit["id"]))

    def _sent(self, entity: str, id_: str) -> dict[str, Any] | None:
        row = self._db.execute(
            "select doc from document where entity = ? and id = ?", (entity, id_)
        ).fetchone()
        return msgspec.json.decode(row[0]) if row else None

    def _worked_on(self) -> set[tuple[str, str]]:
        """Rows that commands wait to be sent for: what they edit, their visit, and what its engineer needs on site."""
        rows: set[tuple[str, str]] = set()
        waiting = self._db.execute(
            "select distinct visit_id, entity, row_id from command where state = 'pending'"
        )
        for visit_id, entity, row_id in waiting.fetchall():
            if entity is not None:
                rows.add((entity, row_id))
            if visit_id is None or ("visit", visit_id) in rows:
                continue
            rows.add(("visit", visit_id))
            visit = self._sent("visit", visit_id) or {}
            order = self._sent("work_order", str(visit.get("orderId")))
            if order is not None:
                rows.add(("work_order", visit["orderId"]))
                rows |= {
                    (name, order[f"{name}Id"])
                    for name in ("site", "contact", "asset")
                    if order.get(f"{name}Id")
                }
        return rows

    def _leave(self, entity: str, id_: str, worked_on: set[tuple[str, str]]) -> None:
        if (entity, id_) in worked_on:
            self._db.execute("update document set leaving = 1 where entity = ? and id = ?", (entity, id_))
        else:
            self._db.execute("delete from document where entity = ? and id = ?", (entity, id_))

    # ------------------------------------------------------------------------------------------------ queue

    def next_sequence(self) -> int:
        """One above the highest ever used: the rows of answered commands may be gone, the count goes on."""
        sequence = int(self.mark("sequence") or 0) + 1
        self.set_marks(sequence=str(sequence))
        return sequence

    def enqueue(
        self,
        sequence: int,
        id_: str,
        visit_id: str | None,
        kind: str | None,
        body: bytes,
        about: tuple[str | None, str | None] = (None, None),
    ) -> None:
        """Put a command at the end of the queue. Its bytes never change again: a replay must be the same."""
        self._db.execute(
            "insert into command (sequence, id, visit_id, kind, entity, row_id, body) values (?, ?, ?, ?, ?, ?, ?)",
            (sequence, id_, visit_id, kind, *about, body),
        )

    def pending(self, limit: int = -1) -> list[tuple[int, bytes]]:
        """`(sequence, body)` of what was not answered yet, the oldest first."""
        return self._db.execute(
            "select sequence, body from command where state = 'pending' order by sequence limit ?", (limit,)
        ).fetchall()

    def waiting(self) -> tuple[int, int | None]:
        """How many commands were not answered yet, and the lowest sequence of them."""
        row: tuple[int, int | None] = self._db.execute(
            "select count(*), min(sequence) from command where state = 'pending'"
        ).fetchone()
        return row

    def answered(self, answers: Sequence[tuple[int, Answer]]) -> list[Answer]:
        """Take commands out of the queue by their answers; those answers that leave theirs in it (`TRY_AGAIN` …).

        Rows that the server had deleted leave with the last command that was to be sent for them.
        """
        left = []
        with self.transaction():
            for sequence, answer in answers:
                if answer.status == "held":
                    state = "held"
                elif answer.status != "refused":
                    state = "answered"
                elif answer.code == "COMMAND_ID_REUSED":
                    state = "rejected"
                else:
                    left.append(answer)
                    continue
                self._db.execute(
                    "update command set state = ?, answer = ? where sequence = ?",
                    (state, msgspec.json.encode(answer).decode(), sequence),
                )
            leaving = self._db.execute("select entity, id from document where leaving = 1").fetchall()
            if leaving:
                worked_on = self._worked_on()
                for entity, id_ in leaving:
                    self._leave(entity, id_, worked_on)
        return left

    def answered_sequences(self) -> list[int]:
        """Commands that were answered, and whose effect was not pulled yet."""
        return [
            n for (n,) in self._db.execute("select sequence from command where state in ('answered', 'held')")
        ]

    def forget(self, sequences: Iterable[int]) -> None:
        """Drop answered commands: a pull that began after their answers is complete, so the documents tell them now.

        One that the server holds stays for as long as its `outcome` document says so.
        """
        with self.transaction():
            self._db.executemany(
                """
                delete from command where sequence = ? and not (state = 'held' and exists (
                    select 1 from document d where d.entity = 'outcome' and d.id = command.id
                      and json_extract(d.doc, '$.status') = 'held'))
                """,
                [(n,) for n in sequences],
            )

    def rejected(self) -> list[Answer]:
        """The answers to commands that were refused for good."""
        rows = self._db.execute("select answer from command where state = 'rejected' order by sequence")
        return [msgspec.json.decode(answer, type=Answer) for (answer,) in rows]

    def fate(self, command_id: str) -> Fate:
        """What became of a command, for the screen: its `outcome` document, else its answer, else that it waits."""
        outcome = self._sent("outcome", command_id)
        if outcome is not None:
            return msgspec.convert({key: outcome.get(key) for key in Fate.__struct_fields__}, Fate)
        row = self._db.execute(
            "select state, answer from command where id = ? order by sequence desc", (command_id,)
        ).fetchone()
        if row is None:
            return Fate("applied")
        if row[1] is None:
            return Fate("waiting")
        answer = msgspec.json.decode(row[1], type=Answer)
        status = "rejected" if row[0] == "rejected" else answer.status
        return Fate(status, answer.code, answer.path, answer.message)

    # ------------------------------------------------------------------------------------------------- room

    def room(self) -> tuple[int, int | None]:
        """Bytes that this database takes, and bytes free where it lies (None: in memory)."""
        (pages,) = self._db.execute("pragma page_count").fetchone()
        (size,) = self._db.execute("pragma page_size").fetchone()
        in_memory = str(self._path) == ":memory:"
        return pages * size, None if in_memory else shutil.disk_usage(self._path.parent).free

    def erase(self, *, keep: Sequence[str] = ()) -> None:
        """Forget everything but these marks. What is deleted is overwritten (`secure_delete`)."""
        with self.transaction():
            for table in ("document", "command", "picture"):
                self._db.execute(f"delete from {table}")
            self._db.execute(
                f"delete from mark where name not in ({', '.join('?' * len(keep))})", tuple(keep)
            )
        self._db.execute("vacuum")

    def _bring_up_to_date(self) -> None:
        """An app that was upgraded finds the file of the older one, perhaps with unsent work: it goes on with it."""
        old = {
            table: {row[1] for row in self._db.execute(f"pragma table_info({table})")}
            for table in ("document", "command")
        }
        if old["document"] and "leaving" not in old["document"]:
            self._db.execute("alter table document add column leaving integer not null default 0")
        if old["command"] and "entity" not in old["command"]:
            self._db.execute("alter table command add column entity text")
            self._db.execute("alter table command add column row_id text")

    def _round(self) -> int:
        return int(self.mark("round") or 1)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """`begin immediate` … `commit`, or `rollback` when the block raises; within another one, part of it."""
        if self._db.in_transaction:
            yield
            return
        self._db.execute("begin immediate")
        try:
            yield
        except BaseException:
            self._db.execute("rollback")
            raise
        self._db.execute("commit")

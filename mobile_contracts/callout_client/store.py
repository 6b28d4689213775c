"""What lies on the phone: documents, the queue of commands, and a few marks. SQLite, in a file or in memory.

Nothing that the server says ever removes a command from the queue but the answer to that command.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from callout_contracts.commands import Answer

SCHEMA = """
create table if not exists mark (name text primary key, value text not null) without rowid;
create table if not exists document (
    entity text not null, id text not null, doc text not null, round integer not null, primary key (entity, id)
) without rowid;
-- state: pending (to be sent), answered (kept until its effect was pulled), rejected (a person must look)
create table if not exists command (
    sequence integer primary key, id text not null, visit_id text, kind text, body blob not null,
    state text not null default 'pending', answer text
);
create index if not exists command_state on command (state, sequence);
"""

STATE_AFTER = {
    "visit.accept": "accepted",
    "visit.travel": "travelling",
    "visit.arrive": "in_progress",
    "visit.complete": "completed",
    "visit.could_not_complete": "could_not_complete",
}
"""What a visit looks like on the phone once a command was recorded, before the server has said so."""


class PageItem(msgspec.Struct, frozen=True):
    """One row of a page, its document left as the text it came as."""

    entity: str
    id: str
    op: str
    doc: msgspec.Raw = msgspec.Raw(b"")


class Store:
    """One phone's database; `path` ":memory:" forgets with the process."""

    def __init__(self, path: str | Path = ":memory:") -> None:
        self._db = sqlite3.connect(str(path), isolation_level=None)
        self._db.executescript(SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    # ------------------------------------------------------------------------------------------------ marks

    def mark(self, name: str) -> str | None:
        """A kept value: `cursor`, `epoch`, `access`, `refresh`, `device` …"""
        row = self._db.execute("select value from mark where name = ?", (name,)).fetchone()
        return row[0] if row else None

    def set_marks(self, **values: str) -> None:
        """Keep values."""
        self._db.executemany("insert or replace into mark values (?, ?)", values.items())

    # -------------------------------------------------------------------------------------------- documents

    def apply_page(self, items: Iterable[PageItem], *, cursor: str, epoch: str, last: bool) -> None:
        """Apply a page and move the cursor in one transaction: a crash between the two would lose rows or time.

        After the last page of a round that began without a cursor, rows that the round did not bring are gone.
        """
        round_ = self._round()
        with self._transaction():
            for item in items:
                if item.op == "delete":
                    self._db.execute(
                        "delete from document where entity = ? and id = ?", (item.entity, item.id)
                    )
                else:
                    self._db.execute(
                        "insert or replace into document values (?, ?, ?, ?)",
                        (item.entity, item.id, bytes(item.doc).decode(), round_),
                    )
            if last:
                self._db.execute("delete from document where round <> ?", (round_,))
            self.set_marks(cursor=cursor, epoch=epoch)

    def start_again(self) -> None:
        """Forget the cursor, not the work: the next pull begins a new round from the start."""
        with self._transaction():
            self._db.execute("delete from mark where name = 'cursor'")
            self.set_marks(round=str(self._round() + 1))

    def documents(self, entity: str | None = None) -> list[tuple[str, str, str]]:
        """`(entity, id, JSON text)` as the server last sent them."""
        where, given = ("", ()) if entity is None else (" where entity = ?", (entity,))
        return self._db.execute(
            f"select entity, id, doc from document{where} order by entity, id", given
        ).fetchall()

    def get(self, entity: str, id_: str) -> dict[str, Any] | None:
        """One document."""
        row = self._db.execute(
            "select doc from document where entity = ? and id = ?", (entity, id_)
        ).fetchone()
        return msgspec.json.decode(row[0]) if row else None

    def visits(self) -> list[dict[str, Any]]:
        """The visits by planned start, each with its state as this phone's unpulled commands leave it."""
        visits = [msgspec.json.decode(doc) for _, _, doc in self.documents("visit")]
        ahead: dict[str, str] = dict(
            self._db.execute(
                "select visit_id, kind from command where state in ('pending', 'answered') and kind in "
                f"({', '.join('?' * len(STATE_AFTER))}) order by sequence",
                tuple(STATE_AFTER),
            )
        )
        for visit in visits:
            if visit["state"] != "canceled" and visit["id"] in ahead:
                visit["state"] = STATE_AFTER[ahead[visit["id"]]]
        return sorted(visits, key=lambda visit: (visit["scheduledStart"] or "", visit["id"]))

    # ------------------------------------------------------------------------------------------------ queue

    def next_sequence(self) -> int:
        """One above the highest ever used: the rows of answered commands may be gone, the count goes on."""
        sequence = int(self.mark("sequence") or 0) + 1
        self.set_marks(sequence=str(sequence))
        return sequence

    def enqueue(self, sequence: int, id_: str, visit_id: str | None, kind: str | None, body: bytes) -> None:
        """Put a command at the end of the queue. Its bytes never change again: a replay must be the same."""
        self._db.execute(
            "insert into command (sequence, id, visit_id, kind, body) values (?, ?, ?, ?, ?)",
            (sequence, id_, visit_id, kind, body),
        )

    def pending(self, limit: int = -1) -> list[tuple[int, bytes]]:
        """`(sequence, body)` of what was not answered yet, the oldest first."""
        return self._db.execute(
            "select sequence, body from command where state = 'pending' order by sequence limit ?", (limit,)
        ).fetchall()

    def answered(self, answers: Sequence[tuple[int, Answer]]) -> list[Answer]:
        """Take commands out of the queue by their answers; those answers that leave theirs in it (`TRY_AGAIN` …)."""
        left = []
        with self._transaction():
            for sequence, answer in answers:
                if answer.status != "refused":
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
        return left

    def answered_sequences(self) -> list[int]:
        """Commands whose effect was not pulled yet."""
        return [n for (n,) in self._db.execute("select sequence from command where state = 'answered'")]

    def forget(self, sequences: Iterable[int]) -> None:
        """Drop answered commands: a pull that began after their answers is complete, so the documents tell them now."""
        self._db.executemany("delete from command where sequence = ?", [(n,) for n in sequences])

    def rejected(self) -> list[Answer]:
        """The answers to commands that were refused for good."""
        rows = self._db.execute("select answer from command where state = 'rejected' order by sequence")
        return [msgspec.json.decode(answer, type=Answer) for (answer,) in rows]

    def _round(self) -> int:
        return int(self.mark("round") or 1)

    def _transaction(self) -> "_Transaction":
        return _Transaction(self._db)


class _Transaction:
    """`begin immediate` … `commit`, or `rollback` when the block raises."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("begin immediate")

    def __exit__(self, kind: object, *_: object) -> None:
        self._db.execute("commit" if kind is None else "rollback")

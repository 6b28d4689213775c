"""Photos that are still to be uploaded. Their bytes stay until the server has the last of them."""

import sqlite3
from pathlib import Path
from typing import NamedTuple

SCHEMA = """
-- state: pending, done, rejected (see code). The bytes lie here, or in the file at path
create table if not exists picture (
    sha256 text primary key, bytes blob, path text, size integer not null, media_type text not null, name text not null,
    kind text not null, url text, sent integer not null default 0, state text not null default 'pending', code text
);
"""


class Picture(NamedTuple):
    """A picture to be uploaded; `sent` bytes of `size` are on the server at `url`."""

    sha256: str
    size: int
    media_type: str
    name: str
    kind: str
    url: str | None
    sent: int


class PictureQueue:
    """A table of a phone's database."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        db.executescript(SCHEMA)

    def keep(
        self, sha256: str, source: bytes | Path, size: int, *, media_type: str, name: str, kind: str
    ) -> None:
        """Queue a picture; the same bytes are sent once."""
        data, path = (source, None) if isinstance(source, bytes) else (None, str(source))
        self._db.execute(
            "insert or ignore into picture (sha256, bytes, path, size, media_type, name, kind) "
            "values (?, ?, ?, ?, ?, ?, ?)",
            (sha256, data, path, size, media_type, name, kind),
        )

    def pending(self) -> list[Picture]:
        """What is still to be sent, in the order in which it was taken."""
        rows = self._db.execute(
            "select sha256, size, media_type, name, kind, url, sent from picture where state = 'pending' "
            "order by rowid"
        )
        return [Picture(*row) for row in rows]

    def piece(self, sha256: str, start: int, size: int) -> bytes:
        """Some bytes of a picture."""
        path, data = self._db.execute(
            "select path, substr(bytes, ?, ?) from picture where sha256 = ?", (start + 1, size, sha256)
        ).fetchone()
        if path is None:
            return bytes(data)
        with Path(path).open("rb") as file:
            file.seek(start)
            return file.read(size)

    def begun(self, sha256: str, *, url: str | None, sent: int = 0) -> None:
        """Where the server takes the picture, and how far it has it."""
        self._db.execute("update picture set url = ?, sent = ? where sha256 = ?", (url, sent, sha256))

    def done(self, sha256: str) -> None:
        """The server has all of it: the bytes may go."""
        self._db.execute("update picture set state = 'done', bytes = null where sha256 = ?", (sha256,))

    def rejected(self, sha256: str, code: str) -> None:
        """The server will never take it. The bytes stay, for a person to look at."""
        self._db.execute("update picture set state = 'rejected', code = ? where sha256 = ?", (code, sha256))

    def refused(self) -> list[tuple[str, str]]:
        """`(sha256, code)` of what the server will not take."""
        return self._db.execute("select sha256, code from picture where state = 'rejected'").fetchall()

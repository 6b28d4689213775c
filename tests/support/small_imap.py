"""A real, small IMAP server (RFC 3501, as much of it as reading a mailbox needs) for tests: mails in memory, a log of what
was asked, and the ways in which servers misbehave."""

import asyncio
import re
from datetime import date, datetime
from typing import Self

FETCH = re.compile(rb"(?P<uid>\d+) \((?P<what>.+)\)$", re.I)


class SmallImap:
    """`async with SmallImap() as server`; `server.port`. Mails are (uid, bytes); `say_size` lies about one's size."""

    def __init__(self, *, user: str = "desk@example.org", password: str = "imap-secret") -> None:
        self.user, self.password = user, password
        self.mails: list[tuple[int, bytes]] = []
        self.uid_validity = 7
        self.came: dict[int, date] = {}
        """The days on which mails came that did not come today."""
        self.say_size: dict[int, int] = {}
        self.asked: list[str] = []
        self.sent_bytes = 0
        self.refuse_login = False
        self.cut_after: int | None = None
        """Cut the line after so many more fetches of bodies."""

    def put(self, data: bytes) -> int:
        uid = self.mails[-1][0] + 1 if self.mails else 1
        self.mails.append((uid, data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")))
        return uid

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 20)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(b"* OK small IMAP\r\n")
            while line := await reader.readline():
                tag, _, rest = line.strip().partition(b" ")
                self.asked.append(rest.decode("latin-1"))
                if not await self._answer(writer, tag, rest):
                    return
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, tag: bytes, rest: bytes) -> bool:
        word = rest.split(b" ")[0].upper()
        text = b"OK done"
        if word == b"CAPABILITY":
            writer.write(b"* CAPABILITY IMAP4rev1\r\n")
        elif word == b"LOGIN":
            if self.refuse_login or self.password.encode() not in rest or self.user.encode() not in rest:
                text = b"NO wrong"
        elif word in (b"EXAMINE", b"SELECT"):
            writer.write(
                f"* {len(self.mails)} EXISTS\r\n* OK [UIDVALIDITY {self.uid_validity}] ok\r\n".encode()
            )
        elif word == b"LOGOUT":
            writer.write(b"* BYE\r\n" + tag + b" OK\r\n")
            return False
        elif rest.upper().startswith(b"UID SEARCH"):
            wanted = rest.upper().split(b"UID ")[2].split(b" ")
            uids = [uid for uid, _ in self.mails]
            low = max(uids, default=0) if wanted[0] == b"*" else int(wanted[0].split(b":")[0])
            # As servers do: `n:*` has the last one in it, whatever n is.
            found = sorted({uid for uid in uids if uid >= low} | ({max(uids)} if uids else set()))
            if b"SINCE" in wanted:
                since = datetime.strptime(wanted[-1].decode(), "%d-%b-%Y").date()
                found = [uid for uid in found if self.came.get(uid, date.today()) >= since]
            writer.write(b"* SEARCH " + b" ".join(str(uid).encode() for uid in found) + b"\r\n")
        elif rest.upper().startswith(b"UID FETCH"):
            return self._fetch(writer, tag, rest[len(b"UID FETCH ") :])
        else:
            text = b"BAD what"
        writer.write(tag + b" " + text + b"\r\n")
        return True

    def _fetch(self, writer: asyncio.StreamWriter, tag: bytes, rest: bytes) -> bool:
        found = FETCH.match(rest)
        assert found is not None, rest
        uid, what = int(found["uid"]), found["what"].upper()
        data = dict(self.mails).get(uid)
        if data is not None and what == b"RFC822.SIZE":
            size = self.say_size.get(uid, len(data))
            writer.write(f"* 1 FETCH (UID {uid} RFC822.SIZE {size})\r\n".encode())
        elif data is not None:
            if self.cut_after is not None:
                if self.cut_after == 0:
                    writer.transport.abort()
                    return False
                self.cut_after -= 1
            if what.startswith(b"BODY.PEEK[HEADER]"):
                data = data.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
            name = what.decode().replace(".PEEK", "").partition("<")[0]
            writer.write(f"* 1 FETCH (UID {uid} {name} {{{len(data)}}}\r\n".encode() + data + b")\r\n")
            self.sent_bytes += len(data)
        writer.write(tag + b" OK done\r\n")
        return True

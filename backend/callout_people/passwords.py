"""Passwords: argon2id in a bounded pool, so that a flood of sign-ins costs the flood and not the phones' pushes.

One verification holds 19 MiB and a core for tens of milliseconds. Two threads work, a short queue waits, and the rest
is told `Busy` at once. argon2 lets go of the interpreter lock while it works, so the event loop stays free.

Never await this inside a unit of work: an open transaction would wait in the queue and hold the feed's horizon back.
"""

import asyncio
import functools
import threading
import unicodedata
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import Type

from callout_store.errors import BadField, Busy

T = TypeVar("T")

MEMORY_KIB = 19 * 1024
PASSES = 2
LANES = 1
THREADS = 2
QUEUE_MAX = 16
"""Verifications waiting for a thread. 16 in front at some 25 ms each on two threads is a wait of about 0.2 s."""
BUSY_RETRY_MS = 1000
PASSWORD_MIN = 8
PASSWORD_MAX = 200


class Passwords:
    """Hashes and verifies; `threads` work at once, `queue_max` wait, more raise Busy."""

    def __init__(
        self, *, threads: int = THREADS, queue_max: int = QUEUE_MAX, hasher: PasswordHasher | None = None
    ) -> None:
        if threads < 1 or queue_max < 0:
            raise ValueError("the pool needs a thread, and its queue is not negative")
        self._hasher = hasher or PasswordHasher(
            time_cost=PASSES,
            memory_cost=MEMORY_KIB,
            parallelism=LANES,
            hash_len=32,
            salt_len=16,
            type=Type.ID,
        )
        self._room = threads + queue_max
        self._inside = 0
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="argon2")
        self._nobody: str | None = None

    async def hash(self, password: str) -> str:
        """The PHC string to store. Raises BadField for a password outside the rules, Busy when the queue is full."""
        return await self._run(lambda: self._hasher.hash(spelled(check_new(password))))

    async def verify(self, stored: str | None, password: str) -> bool:
        """Whether the password fits. With `stored` None (no such user) it works just as long and says no."""
        return await self._run(lambda: self._verify(stored, password))

    def outdated(self, stored: str) -> bool:
        """Whether the hash was made with other parameters than today's and should be made anew."""
        try:
            return self._hasher.check_needs_rehash(stored)
        except InvalidHashError:
            return True

    def close(self) -> None:
        """End the threads; what waits is dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _verify(self, stored: str | None, password: str) -> bool:
        known = stored is not None
        if stored is None:
            # Two first calls at once may both make it: either serves.
            self._nobody = self._nobody or self._hasher.hash("nobody signs in with this")
            stored = self._nobody
        try:
            self._hasher.verify(stored, spelled(password))
        except (VerificationError, InvalidHashError):
            return False
        return known

    async def _run(self, act: Callable[[], T]) -> T:
        with self._lock:
            if self._inside >= self._room:
                raise Busy(what="sign-in", retry_after_ms=BUSY_RETRY_MS)
            self._inside += 1
        try:
            future: Future[T] = self._pool.submit(act)
        except BaseException:
            self._leave()
            raise
        # Counted when the work ends and not when the caller stops waiting: a caller who hung up frees no thread.
        future.add_done_callback(self._leave)
        return await asyncio.wrap_future(future)

    def _leave(self, _: Any = None) -> None:
        with self._lock:
            self._inside -= 1


@functools.cache
def shared(threads: int = THREADS) -> Passwords:
    """The pool of this process."""
    return Passwords(threads=threads)


def check_new(password: str) -> str:
    """The password itself; raises BadField for one that is too short, too long or holds U+0000."""
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        raise BadField(path="password", why=f"a password has {PASSWORD_MIN} to {PASSWORD_MAX} characters")
    if "\x00" in password:
        raise BadField(path="password", why="it holds the character U+0000")
    return password


def spelled(password: str) -> bytes:
    """The bytes that are hashed: NFKC, since two keyboards may compose one character in two ways (NIST SP 800-63B)."""
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")

"""Passwords: the right one fits, the pool is bounded, and nobody can tell who exists."""

import asyncio
import threading
from typing import Literal

import pytest
from argon2 import PasswordHasher
from argon2.profiles import CHEAPEST

from callout_people.passwords import MEMORY_KIB, PASSES, Passwords
from callout_store.errors import BadField, Busy

GOOD = "correct horse battery"


class Blocked(PasswordHasher):
    """A hasher that works only once it is let go, so that the pool stays as full as the test made it."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.go = threading.Event()
        self.calls = 0

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:
        self.calls += 1
        assert self.go.wait(60)
        return True


async def test_the_right_password_fits_and_others_do_not() -> None:
    """The one thing that a sign-in must never get wrong."""
    passwords = Passwords()
    stored = await passwords.hash(GOOD)
    assert stored.startswith(f"$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p=1$")
    assert await passwords.verify(stored, GOOD)
    assert not await passwords.verify(stored, GOOD + " ")
    assert not await passwords.verify(stored, "")
    assert not await passwords.verify("not a hash", GOOD)
    assert not await passwords.verify(stored, "\ud800")
    passwords.close()


async def test_two_keyboards_write_one_password() -> None:
    """A phone composes é from two signs where a desk has one: its owner would be shut out."""
    passwords = Passwords()
    assert await passwords.verify(await passwords.hash("café au lait"), "cafe\u0301 au lait")
    passwords.close()


async def test_nobody_has_no_password_but_costs_as_much() -> None:
    """If an unknown user were answered without hashing, the time taken would say who exists."""
    hasher = Blocked()
    hasher.go.set()
    passwords = Passwords(hasher=hasher)
    assert not await passwords.verify(None, "nobody signs in with this")
    assert hasher.calls == 1
    passwords.close()


@pytest.mark.parametrize("password", ("", "seven77", "x" * 201, "eight\x00chars"))
async def test_bad_new_passwords_are_refused(password: str) -> None:
    """Too short is guessed, too long is a way to burn our time, U+0000 cannot be typed again."""
    passwords = Passwords()
    with pytest.raises(BadField) as caught:
        await passwords.hash(password)
    assert caught.value.path == "password"
    passwords.close()


async def test_old_parameters_are_noticed() -> None:
    """Hashes of weaker days would otherwise stay weak for ever."""
    passwords = Passwords()
    assert passwords.outdated(PasswordHasher.from_parameters(CHEAPEST).hash(GOOD))
    assert passwords.outdated("not a hash")
    assert not passwords.outdated(await passwords.hash(GOOD))
    passwords.close()


async def test_a_full_pool_says_busy_at_once_and_recovers() -> None:
    """A flood of sign-ins would otherwise queue without end, and everyone's sign-in with it."""
    hasher = Blocked()
    passwords = Passwords(threads=2, queue_max=3, hasher=hasher)
    inside = [asyncio.create_task(passwords.verify("x", GOOD)) for _ in range(5)]
    await asyncio.sleep(0)
    with pytest.raises(Busy) as caught:
        await passwords.verify("x", GOOD)
    assert caught.value.retryable
    assert caught.value.retry_after_ms
    # Whoever hangs up while waiting makes room; whoever hangs up while a thread works does not.
    inside[4].cancel()
    await asyncio.gather(inside[4], return_exceptions=True)
    inside.append(asyncio.create_task(passwords.verify("x", GOOD)))
    await asyncio.sleep(0)
    with pytest.raises(Busy):
        await passwords.verify("x", GOOD)
    hasher.go.set()
    assert [await task for task in inside if not task.cancelled()] == [True] * 5
    assert await passwords.verify("x", GOOD)
    passwords.close()

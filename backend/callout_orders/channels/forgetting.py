"""Owing that bytes which a row of the channels named are forgotten, should nothing else name them.

They go by a message of its own after the rows are durably gone, and only where no other row holds the same bytes.
"""

from collections.abc import Iterable
from typing import Final

from callout_store import outbox
from callout_store.ids import new_id
from callout_store.work import Work

CHANNEL: Final = "intake.forget"
AT_ONCE: Final = 50
"""Hashes of one message: they are held together while their bytes go."""


async def owe(work: Work, hashes: Iterable[bytes]) -> None:
    """The bytes of these hashes may be named by nothing any more."""
    wanted = sorted(set(hashes))
    for start in range(0, len(wanted), AT_ONCE):
        name = f"forget:{new_id()}"
        await outbox.send(
            work,
            outbox.Message(
                channel=CHANNEL,
                stream=name,
                dedupe_key=name,
                payload={"hashes": [one.hex() for one in wanted[start : start + AT_ONCE]]},
            ),
        )

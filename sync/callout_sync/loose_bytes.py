"""Bytes in the store that no row names any more, and those that are on their way there.

    claim the hash -> put the bytes -> write the row that names them, and drop the claim in the same transaction
    forget a hash:  nothing names it and nobody claims it -> its blob's row goes -> its bytes go

Bytes lie under their hash, so that the same may belong to a second row, an attachment, or an upload that is just under way.
Whoever writes one of these locks the hash first, and so does whoever clears it away, until the bytes are gone: the one that
comes second sees what the first has done. A claim whose bringer died is old one day, and then what it left is forgotten too.
"""

from collections.abc import Collection, Iterable
from datetime import timedelta
from typing import Final
from uuid import UUID

from callout_orders.channels import forgetting
from callout_store.ids import new_id
from callout_store.work import Work
from callout_sync.attachments import lock_blobs
from callout_sync.blobs import Storage, clean_key, mail_key, raw_key

CLAIM_LIFE: Final = timedelta(days=1)
CLAIMS_PURGED: Final = 1000
_NAMED: Final = """
    exists (select from intake_file f where f.org_id = callout_org() and f.sha256 = t.sha256 and f.state = 'stored')
    or exists (select from intake_message m where m.org_id = callout_org()
        and m.raw_key = callout_org() || '/mail/' || encode(t.sha256, 'hex'))
    or exists (select from attachment a where a.org_id = callout_org() and a.sha256 = t.sha256)
    or exists (select from upload u where u.org_id = callout_org() and u.sha256 = t.sha256 and u.state <> 'ended')
    or exists (select from storage_claim c where c.org_id = callout_org() and c.sha256 = t.sha256)
"""


async def claim(work: Work, hashes: Collection[bytes]) -> UUID:
    """Say that bytes of these hashes are about to be put into the store; durable before the first of them is."""
    id_ = new_id()
    await lock_blobs(work, hashes)
    await work.execute(
        "insert into storage_claim (id, sha256, claimed_at) select $1, s, $3 from unnest($2::bytea[]) as s",
        id_,
        sorted(set(hashes)),
        work.now,
    )
    return id_


async def settle(work: Work, claim_id: UUID) -> None:
    """The rows that name the bytes are part of this unit of work."""
    await work.execute("delete from storage_claim where org_id = callout_org() and id = $1", claim_id)


async def drop_blobs(work: Work, hashes: Collection[bytes]) -> None:
    """Forget what was made of files that nothing names. What a phone brought stays: its event may come weeks later."""
    await lock_blobs(work, hashes)
    await work.execute(
        f"""
        delete from blob t
        where t.org_id = callout_org() and t.sha256 = any($1::bytea[]) and t.device_id is null and not ({_NAMED})
        """,
        list(hashes),
    )


async def delete(work: Work, storage: Storage, hashes: Iterable[bytes]) -> int:
    """Remove the bytes of those hashes that no row names, a blob's neither; how many hashes it were.

    The hashes stay locked meanwhile, and nothing is written: whatever becomes of this unit of work, no row lies. Raises
    StorageUnavailable.
    """
    wanted = sorted(set(hashes))
    await lock_blobs(work, wanted)
    rows = await work.fetch(
        f"""
        select t.sha256 from unnest($1::bytea[]) as t(sha256)
        where not exists (select from blob b where b.org_id = callout_org() and b.sha256 = t.sha256) and not ({_NAMED})
        """,
        wanted,
    )
    await storage.delete([key for row in rows for key in _keys(work.org_id, row["sha256"])])
    return len(rows)


async def purge(work: Work) -> int:
    """Forget what bringers that died left behind; how many claims it were."""
    rows = await work.fetch(
        """
        delete from storage_claim where org_id = callout_org() and (id, sha256) in (
            select id, sha256 from storage_claim where org_id = callout_org() and claimed_at < $1 limit $2)
        returning sha256
        """,
        work.now - CLAIM_LIFE,
        CLAIMS_PURGED,
    )
    await forgetting.owe(work, [row["sha256"] for row in rows])
    return len(rows)


def _keys(org_id: UUID, sha256: bytes) -> tuple[str, ...]:
    return (
        raw_key(org_id, sha256),
        clean_key(org_id, sha256),
        clean_key(org_id, sha256, thumb=True),
        mail_key(org_id, sha256),
    )

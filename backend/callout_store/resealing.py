"""Sealing anew what was sealed under an earlier signing secret."""

from callout_store.work import Work


async def renew(work: Work, table: str, column: str) -> int:
    """Do so with the secrets of a table's rows, which are sealed at `<table>/<id>`; how many are left to do: 0. What cannot
    be opened any more stays as it is. Table and column are our own words."""
    rows = await work.fetch(
        f"""
        select id, {column}::text as sealed from {table}
        where org_id = callout_org() and exists (
            select from jsonb_each({column}) one where one.value ->> 'k' <> $1) for no key update
        """,
        work.seal.key_id,
    )
    for row in rows:
        fresh = work.seal.renewed(work.org_id, f"{table}/{row['id']}", row["sealed"])
        if fresh is not None:
            await work.execute(
                f"update {table} set {column} = $2::text::jsonb where org_id = callout_org() and id = $1",
                row["id"],
                fresh,
            )
    return 0

"""`openapi-client-axios`, which others wrote and which makes itself from our document, against `callout serve`."""

import json
from pathlib import Path

from node import ROOT, node_project, run_node_async
from processes import Api
from public_api import key_of
from worlds import World

from callout_backend.doors.public.describe import document

FOLDER = ROOT / "tests/clients/openapi"


async def test_a_client_made_from_the_document_does_the_whole_round(
    api: Api, world: World, tmp_path: Path
) -> None:
    """Other systems' authors generate their client: what the document says must be enough to order, read and import."""
    key = await key_of(world)
    done = await run_node_async(
        node_project(FOLDER),
        FOLDER / "drive.mjs",
        env={"URL": api.url, "KEY": key.text, "CUSTOMER": str(world.customer), "SITE": str(world.site)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout.strip().splitlines()[-1])
    ids = {one["operationId"] for path in document()["paths"].values() for one in path.values()}
    assert set(said["operations"]) == ids
    status, made = said["made"]
    assert status == 201, made
    assert said["again"] == [200, made["id"]]
    assert said["wrong"][:3] == [422, "BAD_FIELD", "contactPhone"]
    assert not said["wrong"][3].isascii(), "in the language that was asked for"
    assert said["read"] == [200, made["number"]]
    assert said["listed"] == [made["id"]]
    assert said["kinds"][0] == "work_order.created"
    assert "work_order.note_added" in said["kinds"]
    assert said["run"] == [202, 1]
    assert said["exported"] == 3

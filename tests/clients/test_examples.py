"""The examples that authors of apps begin with, as they stand in mobile_contracts/examples."""

import json
from pathlib import Path

import pytest
from node import ROOT, run_node_async
from processes import Api, device_token
from worlds import World


@pytest.mark.parametrize("name", ("rxdb", "watermelondb"))
async def test_the_example_runs_as_documented(world: World, project: Path, api: Api, name: str) -> None:
    """An example that does not run is the last thing that an author reads of us."""
    phone = world.phones[0]
    visit = await world.visit(phone)
    assert phone.actor.user_id is not None
    token = await device_token(world.db, world.org, phone.actor.user_id, phone.device_id)
    script = ROOT / f"mobile_contracts/examples/{name}/demo.mjs"
    done = await run_node_async(project, script, api.url, token, "once")
    assert "visit 1 of order" in done.stdout
    assert done.stdout.count("applied") == 2
    note = "select engineer_note from visit where org_id = callout_org() and id = $1"
    assert await world.value(note, visit) == "Ladder needed"
    kinds = await world.fetch(
        "select kind from visit_event where org_id = callout_org() and source = 'phone'"
    )
    assert [row["kind"] for row in kinds] == ["note"]


@pytest.mark.parametrize("name", ("rxdb", "watermelondb"))
def test_the_example_wants_what_is_tested(name: str) -> None:
    """Another version in the example than in the tests: what was proved is not what authors install."""
    wanted = json.loads((ROOT / f"mobile_contracts/examples/{name}/package.json").read_text())["dependencies"]
    tested = json.loads((ROOT / "tests/clients/package.json").read_text())["dependencies"]
    assert wanted.items() <= tested.items()

"""Dispatch beside others in one run: published instances, made-up days, urgent visits, picks, a month of real requests.

`make bench-dispatch` prints a table and writes it as JSON (`bench-dispatch.json`). Each row has ours, somebody else's, the
target and whether it holds; no figure is asserted, only that our plans break no rule. A row whose data or peers are not there
says so. `dispatch_settings.py` lists what the environment can choose.
"""

from collections.abc import Iterator

import dispatch_days
import dispatch_report
import dispatch_settings
import dispatch_stored
import dispatch_yardsticks
import pytest
from dispatch_report import Measure, Row

from callout_backend.embedded import Urls

MEASURES: dict[str, Measure] = {
    "solomon": dispatch_yardsticks.solomon,
    "homberger": dispatch_yardsticks.homberger,
    "technicians": dispatch_yardsticks.technician_rows,
    "city": dispatch_days.city,
    "urgent": dispatch_days.urgent,
    "pick": dispatch_days.picks,
    "month": dispatch_days.months,
}
STORED = "stored"
"""The row that needs PostgreSQL, which is started for it."""
ROWS: list[Row] = []


@pytest.fixture(scope="module", autouse=True)
def report() -> Iterator[None]:
    yield
    dispatch_report.write(ROWS, dispatch_settings.as_json())


@pytest.mark.timeout(4 * 3600)
def test_rows() -> None:
    """Every row has an answer or a reason why it has none, and every plan of ours passes the checker."""
    chosen = [name for name in dispatch_settings.ROWS if name != STORED]
    if chosen or not dispatch_settings.ROWS:
        assert dispatch_report.run(MEASURES, chosen, ROWS) == []


@pytest.mark.skipif(
    bool(dispatch_settings.ROWS) and STORED not in dispatch_settings.ROWS, reason="the row is not chosen"
)
@pytest.mark.timeout(3600)
async def test_stored_orders(database_urls: Urls) -> None:
    """A pick is right however many orders are stored; how long it takes is a row."""
    ROWS.extend(await dispatch_stored.flat(database_urls))

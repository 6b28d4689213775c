"""The command's arguments, in a module that loads at once: whatever is heavy is imported when it runs."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def conform(
    url: str,
    *,
    organisation: str,
    email: str | None = None,
    password: str | None = None,
    code: str | None = None,
    engineer: str | None = None,
    only: Annotated[list[str] | None, Parameter(negative="")] = None,
    json: Path | None = None,
) -> int:
    """Check from outside whether a server keeps to the sync protocol. Exit code 1 if a check fails.

    Makes a customer, orders and devices of its own, and clears orders and devices away at the end.

    Parameters
    ----------
    url
        The server's address.
    organisation
        The organisation's slug.
    email
        Login of a dispatcher or admin.
    password
        Its password; asked for where it is missing.
    code
        Instead of a login: one enrolment code. Checks that need a dispatcher are skipped.
    engineer
        Whose devices these are: id or name; default the newest.
    only
        Only checks whose names begin so, such as receipts or holds.overtaker.
    json
        File that the results are written to.
    """
    from callout_backend.conform.command import conform as check

    return check(
        url,
        organisation=organisation,
        email=email,
        password=password,
        code=code,
        engineer=engineer,
        only=only or (),
        json=json,
    )

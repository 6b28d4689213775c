"""Inputs that queries and mutations share."""

import strawberry


@strawberry.input
class PartNeed:
    """Parts that the work will need, by the part's code."""

    code: str
    quantity: int


def needs_by_code(parts: list[PartNeed] | None) -> dict[str, int] | None:
    """Quantities by code; None, where nothing was said, stands for what the order was said to need."""
    return None if parts is None else {need.code: need.quantity for need in parts}

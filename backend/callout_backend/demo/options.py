"""What the demo may be asked for."""

from typing import Final

from callout_backend.settings import SettingsError

ENGINEERS_MAX: Final = 400
SPEED_MAX: Final = 5000.0


def check_options(orders: int | None, engineers: int, speed: float) -> None:
    """Raises SettingsError for what cannot be played."""
    if orders is not None and orders < 1:
        raise SettingsError("--orders", str(orders), "a whole number from 1")
    if not 1 <= engineers <= ENGINEERS_MAX:
        raise SettingsError("--engineers", str(engineers), f"a whole number from 1 to {ENGINEERS_MAX}")
    if not 1 <= speed <= SPEED_MAX:
        raise SettingsError("--speed", str(speed), f"a number from 1 to {SPEED_MAX:.0f}")

"""Counts that lower floors report and the roof exports, so that no rule needs to know about metrics.

`count("push_commands", 3, status="applied")` does nothing until somebody listens; listeners are registered once, when a
process starts.
"""

from collections.abc import Callable, Mapping

Listener = Callable[[str, float, Mapping[str, str]], None]
_listeners: list[Listener] = []


def listen(listener: Listener) -> None:
    """Have `listener(name, amount, labels)` called for every count of this process; twice is once."""
    if listener not in _listeners:
        _listeners.append(listener)


def count(name: str, amount: float = 1, **labels: str) -> None:
    """Report that something happened `amount` times."""
    for listener in _listeners:
        listener(name, amount, labels)

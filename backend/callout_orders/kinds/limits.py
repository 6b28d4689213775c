"""How large a kind of order may be. Each limit is named in its refusal."""

from typing import Final

TOML_BYTES_MAX: Final = 64_000
KINDS_MAX: Final = 60
"""Of one organisation, the built-in ones and retired ones included."""
VERSIONS_MAX: Final = 2_000
"""Of one kind."""
FIELDS_MAX: Final = 80
OPTIONS_MAX: Final = 100
"""Of one field."""
CHECKS_MAX: Final = 40
STEPS_MAX: Final = 60
BRANCHES_MAX: Final = 12
"""Out of one step."""
APPROVALS_MAX: Final = 6
"""Of one step."""
ACTIONS_MAX: Final = 10
"""Of one step, on entering it or on its end."""
EVENTS_MAX: Final = 10
TIMES_MAX: Final = 20
"""How often a step may be entered."""
STEP_MINUTES_MAX: Final = 60 * 24 * 366
LABEL_CHARS_MAX: Final = 80
TEXT_CHARS_MAX: Final = 4_000
PATTERN_CHARS_MAX: Final = 200
WORDS_MAX: Final = 200
"""Of an attachment check."""
EXPRESSION_CHARS_MAX: Final = 1_000
LOOPS_MAX: Final = 4
"""Comprehensions (`all`, `exists`, `exists_one`, `filter`) of one expression; none may stand within another."""
LOOP_NAMES_MAX: Final = 8
"""Names of `order`, `fields` and `parts` within the loops of one expression: each is read for every item."""
MATCHES_MAX: Final = 4
"""Regular expressions of one expression."""
SUMS_MAX: Final = 4
"""Signs `+` of an expression with loops or regular expressions: `+` makes lists and texts longer."""
LIST_ITEMS_MAX: Final = 200
"""Of any list that an expression looks at."""
VALUE_CHARS_MAX: Final = 20_000
"""Of any text that an expression looks at."""
VALUES_BYTES_MAX: Final = 100_000
"""The values of one order's fields, encoded."""
CHOSEN_MAX: Final = 50
"""Options chosen at once in a field of several."""

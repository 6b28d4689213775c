"""Every limit that a client meets, in one place; exported as `json_schema/limits.json`. Each is named in its error."""

from typing import Final

COMMANDS_MAX: Final = 200
"""Commands in one push."""
COMMAND_BYTES_MAX: Final = 600_000
"""One command, encoded: a signature with its strokes fits, a photo does not (photos travel as uploads)."""
PAGE_ROWS_MAX: Final = 2000
"""Rows on one page of a pull."""
ROWS_PUSH_MAX: Final = 1000
"""Rows of one collection in one push of RxDB; its own batch is 100."""
ROWS_SYNC_MAX: Final = 20_000
"""Rows of all tables in one push of WatermelonDB."""
ROWS_ANSWER_MAX: Final = 100_000
"""Rows in one answer to a pull of WatermelonDB: a phone applies an answer at one go."""
CURSOR_CHARS_MAX: Final = 400
TEXT_CHARS_MAX: Final = 4000
"""Free text in one field."""
EDIT_FIELDS_MAX: Final = 40
"""Fields that one `record.edit` may change."""
UPLOAD_BYTES_MAX: Final = 50_000_000
"""One photo or picture of a signature, whole."""
UPLOAD_PART_BYTES_MAX: Final = 16_000_000
"""Body of one upload request; a client cuts larger files into several."""
UPLOADS_OPEN_MAX: Final = 200
"""Unfinished uploads of one device."""
UPLOAD_PARTS_MAX: Final = 64
"""Partial uploads that one final upload may join."""
UPLOAD_METADATA_CHARS_MAX: Final = 4000
"""The header Upload-Metadata."""
UPLOAD_HOURS: Final = 24 * 14
"""An unfinished upload that nobody continued is removed after so long."""
PICTURE_PIXELS_MAX: Final = 64_000_000
"""Width times height of a picture."""
PICTURE_SIDE_MAX: Final = 20_000
HELD_MAX: Final = 5_000
"""Commands of one device that may wait for a predecessor."""
FORM_BYTES_MAX: Final = 100_000
"""Values of one filled-in form, encoded."""
FORM_SCHEMA_BYTES_MAX: Final = 64_000
"""The JSON Schema of a form, encoded."""
FORM_SCHEMA_DEPTH_MAX: Final = 32
FORM_SCHEMA_PARTS_MAX: Final = 2_000
"""Subschemas of a form's schema, each `$ref` counted with all that it leads to: checking one takes bounded time."""
FORM_PATTERNS_MAX: Final = 100
"""Regular expressions in a form's schema."""
ARTICLE_CHARS_MAX: Final = 20_000
"""The text of one article."""
ORDER_PARTS_MAX: Final = 100
"""Different parts that one order needs."""
PARTS_WANTED_MAX: Final = 20
"""Different parts that one diagnosis, or one visit that could not be completed, may name as missing."""
POSITION_FIXES_MAX: Final = 500
"""Positions in one batch."""
POSITION_BATCHES_PER_MINUTE_MAX: Final = 60
"""Batches of positions of one phone."""


def as_dict() -> dict[str, int]:
    """All limits by name."""
    return {name: value for name, value in globals().items() if name.isupper() and isinstance(value, int)}

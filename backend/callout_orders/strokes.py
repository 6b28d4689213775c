"""A signature's strokes: their limits, and the picture that is drawn from them on the server. Pure.

A picture made by a client proves nothing; the strokes are what was captured, and the same strokes give the
same bytes.
"""

import io
from collections.abc import Sequence

from PIL import Image, ImageDraw

from callout_orders import checks
from callout_store.errors import LimitExceeded

STROKES_MAX = 200
POINTS_MAX = 2000
"""Points in one stroke."""
POINTS_TOTAL_MAX = 20_000
MILLISECONDS_MAX = 86_400_000

WIDTH, HEIGHT = 1000, 400
"""The picture in pixels; a pad has the same shape (5 to 2), its x and y run from 0 to 1."""
_SCALE = 2
_PEN = 10

Strokes = list[list[tuple[float, float, int]]]


def checked(path: str, given: Sequence[Sequence[Sequence[float]]]) -> Strokes:
    """The strokes as they are stored: x and y held inside 0..1 with four digits, t in whole milliseconds."""
    if len(given) > STROKES_MAX:
        raise LimitExceeded(what="strokes", limit=STROKES_MAX, given=len(given), path=path)
    total = sum(len(stroke) for stroke in given)
    if total > POINTS_TOTAL_MAX:
        raise LimitExceeded(what="points", limit=POINTS_TOTAL_MAX, given=total, path=path)
    out: Strokes = []
    for i, stroke in enumerate(given):
        if len(stroke) > POINTS_MAX:
            raise LimitExceeded(what="points", limit=POINTS_MAX, given=len(stroke), path=f"{path}.{i}")
        line: list[tuple[float, float, int]] = []
        for n, point in enumerate(stroke):
            if len(point) != 3 or not all(checks.finite(number) for number in point):
                raise checks.FieldRefused(f"{path}.{i}.{n}", "strokes")
            x, y, t = point
            line.append((_held(x), _held(y), int(min(max(t, 0), MILLISECONDS_MAX))))
        if line:
            out.append(line)
    return out


def _held(value: float) -> float:
    return round(min(max(float(value), 0.0), 1.0), 4)


def png(strokes: Strokes) -> bytes:
    """The picture: dark lines on white with a base line, grey levels, no metadata."""
    width, height = WIDTH * _SCALE, HEIGHT * _SCALE
    image = Image.new("L", (width, height), 255)
    draw = ImageDraw.Draw(image)
    base = int(height * 0.8)
    draw.line([(int(width * 0.05), base), (int(width * 0.95), base)], fill=200, width=_SCALE)
    half = _PEN / 2
    for stroke in strokes:
        points = [(round(x * (width - 1)), round(y * (height - 1))) for x, y, _ in stroke]
        if len(points) > 1:
            draw.line(points, fill=20, width=_PEN, joint="curve")
        for x, y in (points[0], points[-1]):
            draw.ellipse([x - half, y - half, x + half, y + half], fill=20)
    out = io.BytesIO()
    image.reduce(_SCALE).quantize(16).save(out, "PNG", compress_level=6)
    return out.getvalue()

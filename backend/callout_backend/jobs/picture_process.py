"""A program that makes one picture fit to be shown: `python -m callout_backend.jobs.picture_process IN CLEAN THUMB`.

A process of its own, because the bytes come from outside and the decoders are C: one that hangs, crashes or wants too
much memory ends alone. It limits itself before it reads anything, needs nothing but the two files it writes, and says
one JSON object on its standard output: what was made and what the camera had written, or `{"code": …}`.
"""

import hashlib
import io
import json
import math
import resource
import sys
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from PIL import Image, ImageCms, TiffImagePlugin

from callout_contracts.limits import PICTURE_PIXELS_MAX, PICTURE_SIDE_MAX

MEMORY_BYTES_MAX: Final = 2 * 1024**3
CPU_S_MAX: Final = 30
OUT_BYTES_MAX: Final = 200_000_000
THUMB_SIDE: Final = 480
QUALITY, THUMB_QUALITY = 90, 80
FORMATS: Final = ("JPEG", "PNG", "WEBP", "HEIF")
GPS_IFD, EXIF_IFD = 0x8825, 0x8769
TAKEN, TAKEN_OFFSET = 0x9003, 0x9011
ORIENTATION: Final = 0x0112
TURNS: Final[dict[Any, Image.Transpose]] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What EXIF's orientation asks for (Exif 2.32, 4.6.4): how the stored pixels are turned to stand upright."""


def main() -> None:
    """Make the clean and the small version."""
    source, clean_path, thumb_path = map(Path, sys.argv[1:4])
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S_MAX, CPU_S_MAX))
    resource.setrlimit(resource.RLIMIT_FSIZE, (OUT_BYTES_MAX, OUT_BYTES_MAX))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")
    print(json.dumps(make(source, clean_path, thumb_path)))


def make(source: Path, clean_path: Path, thumb_path: Path) -> dict[str, Any]:
    """What `main` says; `{"code": …}` for a picture that cannot be shown."""
    import pillow_heif

    # Pixels are counted here; the library's own bound is lower than ours, and half a bound.
    Image.MAX_IMAGE_PIXELS = None
    pillow_heif.register_heif_opener(thumbnails=False)
    try:
        with Image.open(source, formats=FORMATS) as picture:
            width, height = picture.size
            if max(width, height) > PICTURE_SIDE_MAX or width * height > PICTURE_PIXELS_MAX:
                return {"code": "PICTURE_TOO_LARGE"}
            told = what_the_camera_wrote(picture)
            picture.load()
            shown = plain(upright(picture))
    except (MemoryError, Image.DecompressionBombError):
        return {"code": "PICTURE_TOO_LARGE"}
    except Exception:  # Decoders fail in many ways; a try more would only keep other pictures waiting.
        return {"code": "PICTURE_UNREADABLE"}
    media_type = "image/png" if shown.mode in ("RGBA", "LA") or picture.format == "PNG" else "image/jpeg"
    clean = encoded(shown, media_type, QUALITY)
    thumb = encoded(on_white(small(shown)), "image/jpeg", THUMB_QUALITY)
    clean_path.write_bytes(clean)
    thumb_path.write_bytes(thumb)
    return {
        "mediaType": media_type,
        "sha256": hashlib.sha256(clean).hexdigest(),
        "thumbSha256": hashlib.sha256(thumb).hexdigest(),
        "width": shown.width,
        "height": shown.height,
        **told,
    }


def upright(picture: Image.Image) -> Image.Image:
    """Turned as the camera was held. The library's own way writes all of EXIF anew for that, and fails where one tag of
    it is of a wrong kind."""
    try:
        turn = TURNS.get(picture.getexif().get(ORIENTATION))
    except Exception:  # As below: the picture itself may be good.
        return picture
    return picture if turn is None else picture.transpose(turn)


def plain(picture: Image.Image) -> Image.Image:
    """The pixels alone, in sRGB, grey or with transparency; nothing that the camera wrote beside them."""
    profile = picture.info.get("icc_profile")
    if profile and picture.mode in ("RGB", "CMYK"):
        try:
            converted = ImageCms.profileToProfile(
                picture,
                ImageCms.ImageCmsProfile(io.BytesIO(profile)),
                ImageCms.createProfile("sRGB"),
                outputMode="RGB",
            )
            picture = converted if converted is not None else picture
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass  # A broken profile costs its colours, not the picture.
    if picture.mode in ("I;16", "I;16B", "I;16L", "I"):
        picture = picture.convert("I").point(lambda value: value / 256).convert("L")
    see_through = picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info
    mode = "RGBA" if see_through else "L" if picture.mode in ("1", "L") else "RGB"
    shown = picture if picture.mode == mode else picture.convert(mode)
    if see_through and shown.getchannel("A").getextrema() == (255, 255):
        shown = shown.convert("RGB")
    shown.info = {}
    return shown


def small(picture: Image.Image) -> Image.Image:
    """At most THUMB_SIDE wide and high."""
    scale = min(1.0, THUMB_SIDE / max(picture.size))
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)


def on_white(picture: Image.Image) -> Image.Image:
    """Without transparency."""
    if picture.mode != "RGBA":
        return picture
    ground = Image.new("RGB", picture.size, "white")
    ground.paste(picture, mask=picture.getchannel("A"))
    return ground


def encoded(picture: Image.Image, media_type: str, quality: int) -> bytes:
    """Re-encoded, with nothing in it but pixels."""
    out = io.BytesIO()
    if media_type == "image/png":
        picture.save(out, "PNG")
    else:
        picture.save(out, "JPEG", quality=quality)
    return out.getvalue()


def what_the_camera_wrote(picture: Image.Image) -> dict[str, Any]:
    """Place and time from EXIF: lat and lng in degrees, `takenAt` with a zone, else `takenLocal`."""
    out: dict[str, Any] = {}
    try:
        exif = picture.getexif()
        gps, more = exif.get_ifd(GPS_IFD), exif.get_ifd(EXIF_IFD)
    except Exception:  # Whatever a hostile block of EXIF provokes, the picture itself may be good.
        return out
    place = _place(gps)
    if place is not None:
        out["lat"], out["lng"] = place
    local, zone = _text(more.get(TAKEN)), _text(more.get(TAKEN_OFFSET))
    by_satellite = _satellite_time(gps)
    taken = _instant(f"{local}{zone}", "%Y:%m:%d %H:%M:%S%z") if zone else None
    if taken is not None or by_satellite is not None:
        out["takenAt"] = (taken or by_satellite or datetime.now(UTC)).astimezone(UTC).isoformat()
    elif (bare := _instant(local, "%Y:%m:%d %H:%M:%S")) is not None:
        out["takenLocal"] = bare.isoformat()
    return out


def _place(gps: dict[int, Any]) -> tuple[float, float] | None:
    lat, lng = _degrees(gps.get(2), gps.get(1), "S"), _degrees(gps.get(4), gps.get(3), "W")
    if lat is None or lng is None or not (-90 <= lat <= 90 and -180 <= lng <= 180):
        return None
    return lat, lng


def _degrees(value: Any, side: Any, negative: str) -> float | None:
    if not isinstance(value, tuple | list) or len(value) != 3:
        return None
    parts = [_number(part) for part in value]
    if any(part is None or not math.isfinite(part) for part in parts):
        return None
    whole: float = sum((part or 0.0) / 60.0**n for n, part in enumerate(parts))
    return round(-whole if _text(side).upper() == negative else whole, 7)


def _number(value: Any) -> float | None:
    if isinstance(value, int | float | TiffImagePlugin.IFDRational):
        try:
            number: float = float(value)
            return number
        except (ZeroDivisionError, OverflowError, ValueError):
            return None
    return None


def _satellite_time(gps: dict[int, Any]) -> datetime | None:
    day, time = _text(gps.get(29)), gps.get(7)
    if not day or not isinstance(time, tuple | list) or len(time) != 3:
        return None
    parts = [_number(part) for part in time]
    if any(part is None or not math.isfinite(part) for part in parts):
        return None
    hour, minute, second = (int(part or 0) for part in parts)
    return _instant(f"{day} {hour:02}:{minute:02}:{second:02}+0000", "%Y:%m:%d %H:%M:%S%z")


def _instant(text: str, pattern: str) -> datetime | None:
    try:
        found = datetime.strptime(text, pattern)
    except ValueError:
        return None
    return found if 1990 <= found.year <= 2200 else None


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    return value.strip("\x00 ") if isinstance(value, str) else ""


if __name__ == "__main__":
    main()

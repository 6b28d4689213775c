"""Messages of WeCom applications and WeChat official accounts, which share one form. Values in, values out, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from callout_orders.channels.terms import TEXT_CHARS_MAX, Inbound, Media

MEDIA_TYPES: Final = {"image": "image/jpeg", "video": "video/mp4", "shortvideo": "video/mp4"}
PEER_CHARS_MAX: Final = 128


def message(values: Mapping[str, str]) -> Inbound:
    """The message of a decrypted document. Where it carries no MsgId (events), sender and time make one."""
    kind = values.get("MsgType", "").lower()
    peer = values.get("FromUserName", "")[:PEER_CHARS_MAX]
    own = f"{peer}:{values.get('CreateTime', '')}:{values.get('Event', kind)}:{values.get('EventKey', '')}"
    external_id = (values.get("MsgId") or own)[:200]
    text = values.get("Content", "")
    if kind == "event":
        return Inbound(
            external_id=external_id, peer=peer, kind="event", text=values.get("Event", "").lower()[:100]
        )
    if kind == "text":
        return Inbound(external_id=external_id, peer=peer, kind="text", text=text[:TEXT_CHARS_MAX])
    if kind in MEDIA_TYPES:
        media = Media(
            media_type=MEDIA_TYPES[kind],
            source={"mediaId": values.get("MediaId", "")[:400]},
        )
        return Inbound(
            external_id=external_id,
            peer=peer,
            kind="image" if kind == "image" else "video",
            media=(media,) if values.get("MediaId") else (),
        )
    if kind == "voice":
        # Where the account lets WeChat write down what was said, it is as good as typed.
        said = values.get("Recognition", "")[:TEXT_CHARS_MAX]
        return Inbound(external_id=external_id, peer=peer, kind="text" if said else "voice", text=said)
    if kind == "location":
        return Inbound(
            external_id=external_id,
            peer=peer,
            kind="location",
            text=values.get("Label", "")[:500],
            lat=_degrees(values.get("Location_X"), 90),
            lng=_degrees(values.get("Location_Y"), 180),
        )
    if kind == "link":
        parts = (values.get("Title", ""), values.get("Description", ""), values.get("Url", ""))
        return Inbound(
            external_id=external_id,
            peer=peer,
            kind="text",
            text="\n".join(part for part in parts if part)[:TEXT_CHARS_MAX],
        )
    return Inbound(external_id=external_id, peer=peer, kind="other", text=kind[:40])


def _degrees(text: str | None, limit: int) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if -limit <= value <= limit else None

"""Messages of DingTalk's robots, and its events. Values in, values out, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from callout_orders.channels.terms import MEDIA_MAX, TEXT_CHARS_MAX, Inbound, Media

GROUP = "2"


def message(values: Mapping[str, Any]) -> Inbound:
    """A robot's message. Raises TypeError, ValueError, KeyError or AttributeError where it is none."""
    external_id, kind = str(values["msgId"])[:200], str(values.get("msgtype", ""))
    peer = str(values.get("senderStaffId") or values.get("senderId") or "")[:128]
    if not external_id or not peer:
        raise ValueError("a message has an id and a sender")
    content = values.get("content") or {}
    text, media = "", list[Media]()
    if kind == "text":
        text = str((values.get("text") or {}).get("content", ""))
    elif kind == "richText":
        for part in content.get("richText", ())[:50]:
            if part.get("text"):
                text += str(part["text"])
            elif part.get("downloadCode"):
                media.append(_media("image/jpeg", part))
    elif kind == "picture":
        media.append(_media("image/jpeg", content))
    elif kind == "video":
        media.append(_media("video/mp4", content))
    elif kind == "file":
        media.append(_media("application/octet-stream", content))
    elif kind == "audio":
        text = str(content.get("recognition", ""))
    reply = {
        "session": str(values.get("sessionWebhook", ""))[:1000],
        "until": int(values.get("sessionWebhookExpiredTime") or 0),
        "robotCode": str(values.get("robotCode", ""))[:100],
    }
    return Inbound(
        external_id=external_id,
        peer=peer,
        kind="text" if text.strip() else ("image" if media else ("voice" if kind == "audio" else "other")),
        text=text.strip()[:TEXT_CHARS_MAX],
        media=tuple(media[:MEDIA_MAX]),
        # In a group everybody speaks for themselves, and is answered there.
        thread=str(values.get("conversationId", ""))[:200]
        if str(values.get("conversationType")) == GROUP
        else "",
        name=str(values.get("senderNick") or "")[:100] or None,
        reply=reply,
    )


def event(values: Mapping[str, Any], digest: bytes) -> Inbound:
    """An event of a subscription: it is noted, and has no text of a person."""
    return Inbound(
        external_id=str(values.get("eventId") or digest.hex())[:200],
        peer=str(values.get("CorpId") or values.get("corpId") or "dingtalk")[:128],
        kind="event",
        text=str(values.get("EventType") or "")[:100],
    )


def _media(media_type: str, content: Mapping[str, Any]) -> Media:
    code = str(content.get("downloadCode") or content.get("pictureDownloadCode") or "")
    return Media(
        media_type=media_type,
        name=str(content.get("fileName") or "")[:200],
        source={"downloadCode": code[:600]},
    )

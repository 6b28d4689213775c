"""The words in which the scripts for clients are written."""

from typing import Any

VISIT = "01900000-0000-7000-8000-000000000001"
ORDER = "01900000-0000-7000-8000-000000000002"
SITE = "01900000-0000-7000-8000-000000000003"
PART = "01900000-0000-7000-8000-000000000004"
EPOCH = "01900000-0000-7000-8000-0000000000ee"
OTHER_EPOCH = "01900000-0000-7000-8000-0000000000ff"
EARLY, LATE = "019000000000-ffffffff-ffffffff", "019000000001-ffffffff-ffffffff"
PICTURE = "ffd8ffe000104a46494600010100000100010000ffd9"

Step = dict[str, Any]


def doc(entity: str, id_: str, **fields: Any) -> Step:
    """A row that a page brings."""
    return {"entity": entity, "id": id_, "op": "upsert", "doc": {"id": id_, **fields}}


def gone(entity: str, id_: str) -> Step:
    """A delete."""
    return {"entity": entity, "id": id_, "op": "delete"}


def page(*documents: Step, cursor: str, more: bool = False, **also: Any) -> Step:
    """A page."""
    return {
        "cursor": cursor,
        "more": more,
        "epoch": EPOCH,
        "serverTime": "2026-03-02T09:00:00Z",
        "documents": list(documents),
        **also,
    }


def pulled(cursor: str | None, *documents: Step, to: str, **also: Any) -> Step:
    """A pull from a cursor, and the page that answers it."""
    return {"asked": "pull", "carries": {"cursor": cursor}, "answer": page(*documents, cursor=to, **also)}


def pushed(commands: list[str], *answers: Step, **carries: Any) -> Step:
    """A push of these commands, and its answers."""
    return {
        "asked": "push",
        "carries": {"commands": commands, **carries},
        "answer": {"answers": list(answers)},
    }


def told(name: str, status: str, code: str | None = None, **more: Any) -> Step:
    """An answer to the command of that name."""
    return {"command": name, "status": status, **({"code": code} if code else {}), **more}


def refused(asked: str, code: str, *, retryable: bool = False, **carries: Any) -> Step:
    """A request that is refused."""
    return {"asked": asked, "carries": carries, "refused": {"code": code, "retryable": retryable}}


def lost(asked: str, **carries: Any) -> Step:
    """A request without an answer."""
    return {"asked": asked, "carries": carries, "lost": True}


def note(name: str, text: str = "x") -> Step:
    """The app records a note."""
    return {"record": {"name": name, "kind": "visit.note", "visitId": VISIT, "payload": {"text": text}}}


DAY = [
    doc("site", SITE, name="Cellar", accessNote="Ring twice", revision=3),
    doc("work_order", ORDER, siteId=SITE, contactId=None, assetId=None, revision=1),
    doc("visit", VISIT, orderId=ORDER, state="dispatched", scheduledStart=None, revision=1),
]
DAY_KEYS = [f"site/{SITE}", f"visit/{VISIT}", f"work_order/{ORDER}"]
MORNING = {"pull": [pulled(None, *DAY, to="c1", stamp=EARLY)]}


def edit(name: str, text: str) -> Step:
    """The app edits the site's access note."""
    return {
        "edit": {
            "name": name,
            "entity": "site",
            "id": SITE,
            "changes": {"accessNote": text},
            "visitId": VISIT,
        }
    }


def vector(id_: str, says: str, *steps: Step, level: str = "MUST", **more: Any) -> Step:
    """One vector."""
    return {"id": f"client.{id_}", "level": level, "says": says, **more, "steps": list(steps)}


def outcome(name: str, status: str, **more: Any) -> Step:
    """`$a` stands for the id of the command that was recorded as a."""
    empty = {
        "visitId": VISIT,
        "kind": "visit.note",
        "code": None,
        "path": None,
        "message": None,
        "note": None,
    }
    return doc("outcome", f"${name}", status=status, at="2026-03-02T09:00:00Z", **{**empty, **more})

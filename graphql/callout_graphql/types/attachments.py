"""Pictures that were taken on a visit."""

from datetime import datetime
from uuid import UUID

import strawberry

from callout_contracts.codes import picture_sentence
from callout_graphql.edges import Info
from callout_graphql.scalars import Long
from callout_sync.attachments import AttachmentView


@strawberry.type
class Attachment:
    """A picture that an event named; `id` is the event's.

    `state`: awaited (its bytes have not come), received, ready (can be shown), rejected (`code` says why). `width` and
    `height` are of the upright picture; `takenAt`, `lat` and `lng` are what the camera had written into it.
    """

    id: UUID
    visit_id: UUID
    kind: str
    sha256: str
    media_type: str
    size_bytes: Long
    caption: str | None
    state: str
    code: str | None
    created_at: datetime
    received_at: datetime | None
    width: int | None
    height: int | None
    taken_at: datetime | None
    lat: float | None
    lng: float | None

    @strawberry.field
    def message(root: strawberry.Parent[AttachmentView], info: Info) -> str | None:
        """What `code` says, in the caller's language."""
        return None if root.code is None else picture_sentence(root.code, info.context.locale)

    @strawberry.field
    def url(root: strawberry.Parent[AttachmentView], info: Info) -> str | None:
        """Where it is shown, to be asked for with the same token; null until it is ready."""
        return _address(root, info)

    @strawberry.field
    def thumb_url(root: strawberry.Parent[AttachmentView], info: Info) -> str | None:
        """The same, small."""
        address = _address(root, info)
        return None if address is None else f"{address}?size=thumb"


def _address(root: AttachmentView, info: Info) -> str | None:
    return f"{info.context.base_url}/v1/attachments/{root.id}" if root.state == "ready" else None

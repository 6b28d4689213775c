"""The files of a customer's form: looked at, kept, and written down under the sender's key."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from litestar.datastructures import UploadFile

from callout_backend import kept_files
from callout_backend.doors.pages import CUSTOMER, AnyRequest, database_of
from callout_backend.doors.request_terms import Form, holder_of
from callout_backend.kept_files import Kept
from callout_orders.channels import files
from callout_store.errors import BadField, LimitExceeded
from callout_store.work import Work


async def keep_all(request: AnyRequest, form: Form, key: str, given: Sequence[Any]) -> list[BadField]:
    """Keep the files of a form; what is wrong with those that cannot be kept."""
    faults: list[BadField] = []
    for index, one in enumerate(one for one in given if isinstance(one, UploadFile)):
        data = await one.read()
        await one.close()
        if not data and not one.filename:
            # What a browser sends of an input without a file.
            continue
        try:
            kept, _ = await bring(
                request, form, key, data, name=one.filename or "", declared=one.content_type
            )
        except LimitExceeded as refusal:
            faults.append(BadField(path="files", why=refusal.message("en")))
            break
        if kept.code is not None:
            faults.append(files.refused(f"files.{index}", kept.code))
    return faults


async def bring(
    request: AnyRequest, form: Form, key: str, data: bytes, *, name: str, declared: str
) -> tuple[Kept, UUID | None]:
    """Keep a file under the key; its id, None where it was refused. Raises LimitExceeded, StorageUnavailable."""
    db, org_id = database_of(request), form.organisation.id
    kept = await kept_files.keep(db, request.app.state.storage, org_id, data, declared=declared)
    if kept.code is not None:
        return kept, None

    async def note(work: Work) -> UUID:
        id_ = await files.add_stored(
            work,
            holder=holder_of(key),
            name=name,
            media_type=kept.media_type,
            size_bytes=kept.size_bytes,
            sha256=kept.sha256,
            channel_id=form.account.id,
        )
        await kept_files.note(work, kept)
        return id_

    return kept, await db.run(org_id, note, actor=CUSTOMER)

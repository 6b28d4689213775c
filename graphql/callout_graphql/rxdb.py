"""The fields that RxDB's GraphQL replication asks for, generated from the documents: `pullVisit`, `pushVisit`,
`streamVisit` and so on, with the argument and input names that its query builders write.

Rows come in as plain JSON: GraphQL would refuse a whole push for one value of a wrong type, and RxDB would send it again
for ever. Documents go out typed. A stream only nudges: a document that it carried would move the client's checkpoint past
rows that it has not pulled. Its event has no documents; `pull.responseModifier` turns it into RxDB's own word, 'RESYNC'.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Any, cast

import strawberry
from strawberry.tools import create_type

from callout_contracts.rows import COLUMNS, COMMAND, COMMAND_COLUMNS, Column, collection_name
from callout_graphql.edges import Info
from callout_graphql.listening import ear_of, listen
from callout_graphql.scalars import JSON
from callout_graphql.types.sync import CommandAnswer
from callout_store.errors import Busy
from callout_store.work import Work
from callout_sync import rows_rxdb

_TYPES: dict[str, Any] = {
    "text": str,
    "instant": str,
    "whole": int,
    "number": float,
    "flag": bool,
    "object": JSON,
    "array": JSON,
}


def _upper(name: str) -> str:
    return name[0].upper() + name[1:]


def _make(name: str, doc: str, annotations: dict[str, Any], names: dict[str, str], *, into: Any) -> Any:
    """A Strawberry type with these fields; `names` are those that differ from the usual camelCase."""
    body: dict[str, Any] = {"__annotations__": annotations, "__doc__": doc, "__module__": __name__}
    for field, wire in names.items():
        body[field] = strawberry.field(name=wire)
    return into(type(name, (), body))


def _document(name: str, columns: tuple[Column, ...], *, editable: bool) -> Any:
    annotations: dict[str, Any] = {}
    for column in columns:
        kind = str if column.field == "id" else _TYPES[column.kind]
        annotations[column.field] = kind | None if column.nullable or kind is JSON else kind
    if editable:
        annotations["edited_at"] = str | None
    annotations["deleted"] = bool
    names = {column.field: column.rxdb for column in columns} | {"deleted": "_deleted"}
    doc = f"A row of RxDB's collection `{name}`; `_deleted` once it has left this phone."
    return _make(f"{_upper(name)}Row", doc, annotations, names, into=strawberry.type)


@strawberry.type
class RxdbCheckpoint:
    """Where a collection of this phone stands; opaque."""

    cursor: str


def _inputs(name: str) -> tuple[Any, Any, Any]:
    """Inputs are named as RxDB's builders name them, so that each collection has its own."""
    upper = _upper(name)
    return (
        _make(
            f"{upper}InputCheckpoint",
            "The `checkpoint` of the page before; left out at first.",
            {"cursor": str},
            {},
            into=strawberry.input,
        ),
        _make(
            f"{upper}InputPushRow",
            "A changed row. `assumedMasterState`: what the phone believes the server to have; left out for a new one.",
            {"assumed_master_state": JSON | None, "new_document_state": JSON | None},
            {},
            into=_with_nones,
        ),
        _make(
            f"{upper}InputHeaders",
            "Not needed: a socket is opened with `connectionParams`.",
            {"authorization": str | None},
            {"authorization": "Authorization"},
            into=_with_nones,
        ),
    )


def _list_of(type_: Any) -> Any:
    return list.__class_getitem__(type_)


def _with_nones(cls: Any) -> Any:
    """An input whose fields may all be left out."""
    for field in cls.__annotations__:
        made = cls.__dict__.get(field)
        name = made.graphql_name if made is not None else None
        setattr(cls, field, strawberry.field(name=name, default=None))
    return strawberry.input(cls)


def _pull(name: str, entity: str, bulk: Any, checkpoint: Any) -> Any:
    async def resolve(info: Info, limit: int, checkpoint: Any = None) -> Any:
        cursor = checkpoint.cursor if checkpoint is not None else None

        async def act(work: Work) -> rows_rxdb.Pulled:
            return await rows_rxdb.pull(
                work, entity=entity, cursor=cursor, limit=limit, app_version=info.context.app_version
            )

        page = await info.context.run(act)
        return bulk(documents=page.documents, checkpoint=RxdbCheckpoint(cursor=page.cursor), wipe=page.wipe)

    resolve.__doc__ = (
        f"For RxDB: the next page of `{name}`; 1 to 2,000 rows. Shorter than `limit` only at the end."
    )
    resolve.__annotations__ = {"info": Info, "limit": int, "checkpoint": checkpoint | None, "return": bulk}
    return _named(resolve, f"pull{_upper(name)}")


def _push(name: str, entity: str | None, document: Any, row: Any) -> Any:
    async def resolve(info: Info, rows: Any = None) -> Any:
        context = info.context
        sent = [
            {"assumedMasterState": one.assumed_master_state, "newDocumentState": one.new_document_state}
            for one in rows or ()
        ]
        push: dict[str, Any] = {"org_id": context.org_id, "actor": context.actor, "rows": sent}
        if entity is None:
            done = await rows_rxdb.push_command_rows(context.services.db, **push)
        else:
            done = await rows_rxdb.push(context.services.db, entity=entity, **push)
        context.row_answers += done.answers
        return done.conflicts

    resolve.__doc__ = (
        f"For RxDB: changed rows of `{name}`. Returned are the documents that stand, of the rows that differ."
    )
    rows_type = Annotated[list[row] | None, strawberry.argument(name=f"{name}PushRow")]
    resolve.__annotations__ = {"info": Info, "rows": rows_type, "return": _list_of(document)}
    return _named(resolve, f"push{_upper(name)}")


def _stream(name: str, bulk: Any, headers: Any) -> Any:
    async def subscribe(info: Info, headers: Any = None) -> AsyncGenerator[Any, None]:
        context = info.context
        who, services = context.who, context.services
        if services.pokes is None:
            raise Busy(what="subscriptions", retry_after_ms=60_000)
        ear = await ear_of(services.db, who)
        async with aclosing(listen(services.db, services.pokes, who, ear)) as heard:
            async for news in heard:
                if news is not None:
                    yield bulk(documents=[], checkpoint=None, wipe=False)

    subscribe.__doc__ = (
        "For RxDB: an event without documents whenever this phone has something to pull, and one at once."
    )
    subscribe.__annotations__ = {
        "info": Info,
        "headers": headers | None,
        "return": AsyncGenerator[bulk, None],
    }
    subscribe.__name__ = f"stream_{name}"
    return strawberry.subscription(resolver=cast(Any, subscribe), name=f"stream{_upper(name)}")


def _named(resolve: Callable[..., Any], name: str) -> Any:
    resolve.__name__ = name
    make = strawberry.mutation if name.startswith("push") else strawberry.field
    return make(resolver=resolve, name=name)


def _answers(info: Info) -> list[CommandAnswer]:
    """For RxDB: what became, one by one, of the rows that this very request has pushed in fields before this one."""
    return cast(list[CommandAnswer], info.context.row_answers)


def _build() -> tuple[Any, Any, Any]:
    queries, mutations, streams = [], [], []
    for entity, columns in COLUMNS.items():
        name = collection_name(entity)
        document = _document(name, columns, editable=any(column.merge for column in columns))
        bulk = _make(
            f"{_upper(name)}PullBulk",
            "A page; `wipe`: the office asks this phone to send what it has, and then to forget everything.",
            {"documents": _list_of(document), "checkpoint": RxdbCheckpoint | None, "wipe": bool},
            {},
            into=strawberry.type,
        )
        checkpoint, row, headers = _inputs(name)
        queries.append(_pull(name, entity, bulk, checkpoint))
        mutations.append(_push(name, entity, document, row))
        streams.append(_stream(name, bulk, headers))
    command = _document(COMMAND, COMMAND_COLUMNS, editable=False)
    mutations.append(_push(COMMAND, None, command, _inputs(COMMAND)[1]))
    mutations.append(strawberry.mutation(resolver=_answers, name="pushAnswers"))
    return (
        create_type("RxdbQueries", queries),
        create_type("RxdbMutations", mutations),
        create_type("RxdbStreams", streams),
    )


if TYPE_CHECKING:

    class RxdbQueries:
        """Pulls."""

    class RxdbMutations:
        """Pushes."""

    class RxdbStreams:
        """Nudges."""
else:
    RxdbQueries, RxdbMutations, RxdbStreams = _build()

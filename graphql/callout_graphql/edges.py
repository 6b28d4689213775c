"""Edges of the graph: fields that lead from a row to others by an id that stands in the row."""

from typing import Any

import strawberry
from graphql import GraphQLField

from callout_graphql.context import Context

Info = strawberry.Info[Context, None]


def edge(loader: str, key: str, description: str) -> Any:
    """A field that asks `loaders.<loader>` for what belongs to the id in `key`; None where that is None.

    It is said in data rather than in a function of its own, so that `plan.py` can ask for all rows of a level at once.
    """

    async def resolve(root: strawberry.Parent[Any], info: Info) -> Any:
        id_ = getattr(root, key)
        return None if id_ is None else await getattr(info.context.loaders, loader).load(id_)

    resolve.edge = (loader, key)  # type: ignore[attr-defined]
    return strawberry.field(resolver=resolve, description=description)


def edge_of(field: GraphQLField) -> tuple[str, str] | None:
    """The loader and key of a field that is an edge."""
    definition = field.extensions.get("strawberry-definition")
    resolver = getattr(getattr(definition, "base_resolver", None), "wrapped_func", None)
    found: tuple[str, str] | None = getattr(resolver, "edge", None)
    return found

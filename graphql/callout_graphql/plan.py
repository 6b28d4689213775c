"""A fast way through queries: a document is compiled once into a plan that works on columns of rows.

graphql-core completes every field of every row on its own; for a list of a hundred visits that is most of the time. A
plan reads a field of all rows at one go, and asks a loader once for all rows of a level.

It knows only the good outcome. Whatever else happens (a refusal, a null where none may be, anything unforeseen), it gives
up, and the caller runs the same query through graphql-core, which says what went wrong and where. Plans are made only
where neither directives nor the schema itself are asked for.

A mutation cannot be run a second time. It is planned only where it is one field whose answer is plain values (a push), so
that nothing but the field itself can fail; its fault is then told as graphql-core would.
"""

import asyncio
import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from types import SimpleNamespace
from typing import Any

from graphql import (
    ExecutionResult,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    get_named_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    located_error,
)
from graphql.execution.values import VariableValues, get_argument_values

from callout_graphql.context import Context
from callout_graphql.documents import Prepared
from callout_graphql.edges import edge_of
from callout_graphql.rights import FIELDS, may


class GaveUp(Exception):
    """The plan met something that graphql-core must tell of."""


@dataclass(slots=True)
class Run:
    """One execution: what resolvers are given."""

    context: Context
    variables: VariableValues
    info: Any


@dataclass(slots=True)
class Plan:
    """A selection set of an object type. Its fields stand in the order of the answer."""

    keys: tuple[str, ...]
    fields: tuple["Planned", ...]

    @property
    def plain(self) -> bool:
        """Whether everything is read from what is there already."""
        return all(
            field.read is not None
            or (
                field.attribute is not None
                and not field.guarded
                and field.below is not None
                and field.below.plain
            )
            for field in self.fields
        )

    async def rows(self, sources: Sequence[Any], run: Run) -> list[dict[str, Any]]:
        """The objects of the answer, one for each source."""
        columns: list[Sequence[Any]] = [()] * len(self.fields)
        waiting: list[tuple[int, Any]] = []
        for n, field in enumerate(self.fields):
            if field.read is not None:
                columns[n] = field.read(sources)
            else:
                waiting.append((n, field.column(sources, run)))
        if len(waiting) == 1:
            columns[waiting[0][0]] = await waiting[0][1]
        elif waiting:
            found = await _together([column for _, column in waiting])
            for (n, _), values in zip(waiting, found, strict=True):
                columns[n] = values
        keys = self.keys
        return [dict(zip(keys, values, strict=True)) for values in zip(*columns, strict=True)]


@dataclass(slots=True)
class Planned:
    """One field: read at once from all sources (`read`), or fetched and then completed by `below`."""

    name: str
    definition: GraphQLField
    node: FieldNode
    read: Callable[[Sequence[Any]], Sequence[Any]] | None
    attribute: str | None
    edge: tuple[str, str] | None
    below: Plan | None
    nullable: bool
    listed: bool
    guarded: bool

    async def column(self, sources: Sequence[Any], run: Run) -> Sequence[Any]:
        """The field of all sources."""
        if self.guarded:
            may(run.context, self.name, FIELDS[self.name])
        values = await self.values(sources, run)
        if self.below is None:
            return _checked(values, self.nullable)
        return await self.objects(values, run)

    async def values(self, sources: Sequence[Any], run: Run) -> Sequence[Any]:
        """What the field's resolver gives for each source."""
        if self.edge is not None:
            loader, key = self.edge
            ids = list(map(attrgetter(key), sources))
            wanted = [id_ for id_ in dict.fromkeys(ids) if id_ is not None]
            found = dict(
                zip(wanted, await getattr(run.context.loaders, loader).load_many(wanted), strict=True)
            )
            return [found.get(id_) for id_ in ids]
        if self.attribute is not None:
            return list(map(attrgetter(self.attribute), sources))
        resolve = self.definition.resolve
        assert resolve is not None
        arguments = get_argument_values(self.definition, self.node, run.variables)
        values = [resolve(source, run.info, **arguments) for source in sources]
        if not any(map(inspect.isawaitable, values)):
            return values
        if len(values) == 1:
            return [await values[0]]
        return await _together(values)

    async def objects(self, values: Sequence[Any], run: Run) -> Sequence[Any]:
        """Values that are objects or lists of objects, completed by one call of the plan below."""
        assert self.below is not None
        _checked(values, self.nullable)
        if not self.listed:
            there = [value for value in values if value is not None]
            rows = iter(await self.below.rows(there, run) if there else ())
            return [None if value is None else next(rows) for value in values]
        flat = [item for value in values if value is not None for item in value]
        _checked(flat, False)
        rows = iter(await self.below.rows(flat, run) if flat else ())
        return [None if value is None else [next(rows) for _ in value] for value in values]


async def _together(awaitables: Sequence[Any]) -> list[Any]:
    """The results of all; at the first failure the others are ended.

    Not a TaskGroup: in Python 3.11 one that fails leaves the task marked as cancelled, and a timeout around it, which may
    strike later, is then taken for a cancellation from outside.
    """
    tasks = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def _checked(values: Sequence[Any], nullable: bool) -> Sequence[Any]:
    if not nullable:
        for value in values:
            if value is None:
                raise GaveUp
    return values


def plan_of(prepared: Prepared, operation: OperationDefinitionNode, schema: GraphQLSchema) -> Plan | None:
    """The plan of an operation, compiled at its first use; None where it has to go the other way."""
    name = operation.name.value if operation.name else None
    if name not in prepared.plans:
        prepared.plans[name] = _compile(prepared, operation, schema)
    plan: Plan | None = prepared.plans[name]
    return plan


async def run_plan(
    plan: Plan, operation: OperationDefinitionNode, context: Context, variables: VariableValues
) -> ExecutionResult | None:
    """The result, or None where graphql-core has to be asked."""
    run = Run(context, variables, SimpleNamespace(context=context, variable_values=variables.coerced))
    try:
        return ExecutionResult((await plan.rows((None,), run))[0])
    except Exception as fault:
        if operation.operation is OperationType.MUTATION:
            [field], [key] = plan.fields, plan.keys
            located = located_error(fault, [field.node], [key])
            return ExecutionResult({key: None} if field.nullable else None, [located])
        # What loaders remember may be the very fault.
        context.loaders.forget()
        return None


def _compile(prepared: Prepared, operation: OperationDefinitionNode, schema: GraphQLSchema) -> Plan | None:
    mutates = operation.operation is OperationType.MUTATION
    root = schema.mutation_type if mutates else schema.query_type
    if (
        operation.operation is OperationType.SUBSCRIPTION
        or prepared.measured.directives
        or prepared.measured.introspects
        or root is None
    ):
        return None
    fragments = {
        node.name.value: node
        for node in prepared.document.definitions
        if isinstance(node, FragmentDefinitionNode)
    }
    try:
        plan = _selection([operation.selection_set], root, fragments)
    except GaveUp:
        return None
    if mutates and (len(plan.fields) != 1 or plan.fields[0].below is None or not plan.fields[0].below.plain):
        return None
    return plan


def _selection(
    sets: Iterable[SelectionSetNode], on: GraphQLObjectType, fragments: dict[str, FragmentDefinitionNode]
) -> Plan:
    nodes: dict[str, list[FieldNode]] = {}
    for selection_set in sets:
        _collect(selection_set, fragments, nodes)
    planned = tuple(_field(group, on, fragments) for group in nodes.values())
    return Plan(tuple(nodes), planned)


def _collect(
    selection_set: SelectionSetNode,
    fragments: dict[str, FragmentDefinitionNode],
    nodes: dict[str, list[FieldNode]],
) -> None:
    # Type conditions always hold: the schema has no interfaces and no unions, else `_field` gives up.
    for selection in selection_set.selections:
        if isinstance(selection, FieldNode):
            key = selection.alias.value if selection.alias else selection.name.value
            nodes.setdefault(key, []).append(selection)
        elif isinstance(selection, FragmentSpreadNode):
            _collect(fragments[selection.name.value].selection_set, fragments, nodes)
        elif isinstance(selection, InlineFragmentNode):
            _collect(selection.selection_set, fragments, nodes)


def _field(
    group: list[FieldNode], on: GraphQLObjectType, fragments: dict[str, FragmentDefinitionNode]
) -> Planned:
    node = group[0]
    if node.name.value == "__typename":
        return _constant(on.name, node)
    definition = on.fields[node.name.value]
    nullable = not is_non_null_type(definition.type)
    bare: Any = definition.type if nullable else definition.type.of_type
    listed = is_list_type(bare)
    named = get_named_type(definition.type)
    below = None
    if not is_leaf_type(named):
        item: Any = bare.of_type if listed else bare
        # Only lists of what may not be null are known here, and no lists of lists.
        if not isinstance(named, GraphQLObjectType) or (
            listed and getattr(item, "of_type", None) is not named
        ):
            raise GaveUp
        below = _selection((n.selection_set for n in group if n.selection_set), named, fragments)
    name = f"{on.name}.{node.name.value}"
    own = definition.extensions.get("strawberry-definition")
    attribute = own.python_name if own is not None and own.base_resolver is None else None
    guarded = name in FIELDS
    read = None
    if attribute is not None and below is None and not guarded:
        getter = attrgetter(attribute)

        def read(sources: Sequence[Any]) -> Sequence[Any]:
            return _checked(list(map(getter, sources)), nullable)

    return Planned(
        name=name,
        definition=definition,
        node=node,
        read=read,
        attribute=attribute,
        edge=edge_of(definition),
        below=below,
        nullable=nullable,
        listed=listed,
        guarded=guarded,
    )


def _constant(text: str, node: FieldNode) -> Planned:
    return Planned(
        name="__typename",
        definition=None,  # type: ignore[arg-type]
        node=node,
        read=lambda sources: [text] * len(sources),
        attribute=None,
        edge=None,
        below=None,
        nullable=False,
        listed=False,
        guarded=False,
    )

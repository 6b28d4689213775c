"""Limits on a document, found in one pass that looks at every fragment once.

Counting after fragments are spread is exponential if fragments are walked wherever they are spread (a chain of
fragments, each spreading the next twice). Here a fragment's figures are kept by its name and only added up.

The pass runs before validation, because some validation rules compare fields pairwise, so it takes nothing for
granted: unknown fields and types count as 1, a fragment that spreads itself counts as nothing and is left to
validation.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLArgument,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    Visitor,
    get_named_type,
    is_list_type,
    is_non_null_type,
    visit,
)

from callout_store.errors import QueryTooComplex

PAGE_ARGUMENTS: Final = ("first", "limit")
"""The arguments that say how many rows may come: a connection's, and a pull's."""
LIST_ASSUMED: Final = 10
"""What a list without a page size is taken to hold."""
COUNT_MAX: Final = 10**9
"""Figures stop growing here: spread fragments can make numbers of thousands of digits."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one document may ask for. `fields` and `aliases` count after spreading, `directives` as written.

    `cost` is fields weighted by the page sizes above them: 100 visits with 20 fields each cost 2,000.
    """

    query_characters: int = 50_000
    tokens: int = 4_000
    depth: int = 18
    aliases: int = 50
    fields: int = 2_000
    directives: int = 9
    cost: int = 60_000


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of a selection set, everything below it included."""

    depth: int = 0
    fields: int = 0
    aliases: int = 0
    cost: int = 0


@dataclass(frozen=True, slots=True)
class Measured:
    """What the pass found: the largest figures among the document's operations.

    `page_variables` are the variables that page sizes come from; with them the cost differs from call to call.
    """

    figures: Figures
    directives: int
    introspects: bool
    page_variables: tuple[str, ...]


_NOTHING: Final = Figures()


def measure(
    document: DocumentNode, schema: GraphQLSchema, variables: Mapping[str, object] | None = None
) -> Measured:
    """Measure a parsed document. Page sizes in variables count by `variables`, else by `LIST_ASSUMED`."""
    run = _Pass(document, schema, variables or {})
    largest = _NOTHING
    for node in document.definitions:
        if isinstance(node, OperationDefinitionNode):
            root = schema.get_root_type(node.operation)
            largest = _larger(largest, run.selections(node.selection_set, root))
    # Fragments that nothing spreads are walked too: they are parsed and validated like all others.
    for name in run.fragments:
        run.fragment(name)
    written = _Written()
    visit(document, written)
    return Measured(largest, written.directives, run.introspects, tuple(sorted(run.page_variables)))


def check(measured: Measured, limits: Limits) -> None:
    """Refuse a document that is over a limit, naming the limit."""
    figures = measured.figures
    for what, given, limit in (
        ("directives", measured.directives, limits.directives),
        ("depth", figures.depth, limits.depth),
        ("aliases", figures.aliases, limits.aliases),
        ("fields", figures.fields, limits.fields),
        ("cost", figures.cost, limits.cost),
    ):
        if given > limit:
            raise QueryTooComplex(what=what, given=given, limit=limit)


class _Written(Visitor):
    """Counts the directives of a document as it is written."""

    directives = 0

    def enter_directive(self, *_: Any) -> None:
        self.directives += 1


class _Pass:
    def __init__(
        self, document: DocumentNode, schema: GraphQLSchema, variables: Mapping[str, object]
    ) -> None:
        self.schema = schema
        self.variables = variables
        self.fragments: dict[str, FragmentDefinitionNode] = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }
        self.known: dict[tuple[str, bool], Figures] = {}
        self.introspects = False
        self.page_variables: set[str] = set()

    def fragment(self, name: str, paged: bool = False) -> Figures:
        """The figures of a named fragment, walked at its first mention only (once more where it stands in a page)."""
        found = self.known.get((name, paged))
        if found is not None:
            return found
        node = self.fragments.get(name)
        if node is None:
            return _NOTHING
        self.known[name, paged] = _NOTHING  # what a fragment finds of itself while it is walked
        on = self.schema.get_type(node.type_condition.name.value)
        found = self.known[name, paged] = self.selections(node.selection_set, on, paged)
        return found

    def selections(self, node: SelectionSetNode, on: GraphQLNamedType | None, paged: bool = False) -> Figures:
        """The sum over a selection set (the maximum, for depth). `paged`: its lists' rows were counted above it, where
        the page size stands."""
        depth = fields = aliases = cost = 0
        for selection in node.selections:
            if isinstance(selection, FieldNode):
                part = self.field(selection, on, paged)
            elif isinstance(selection, FragmentSpreadNode):
                part = self.fragment(selection.name.value, paged)
            elif isinstance(selection, InlineFragmentNode):
                condition = selection.type_condition
                part = self.selections(
                    selection.selection_set,
                    on if condition is None else self.schema.get_type(condition.name.value),
                    paged,
                )
            else:
                continue
            depth = max(depth, part.depth)
            fields += part.fields
            aliases += part.aliases
            cost += part.cost
        return Figures(depth, min(fields, COUNT_MAX), min(aliases, COUNT_MAX), min(cost, COUNT_MAX))

    def field(self, node: FieldNode, on: GraphQLNamedType | None, paged: bool) -> Figures:
        """One field and what is below it."""
        name = node.name.value
        if name in ("__schema", "__type"):
            self.introspects = True
        known: GraphQLField | None = None
        if isinstance(on, GraphQLObjectType | GraphQLInterfaceType):
            known = on.fields.get(name)
        alias = 1 if node.alias else 0
        if node.selection_set is None:
            return Figures(1, 1, alias, 1)
        below = self.selections(
            node.selection_set,
            get_named_type(known.type) if known else None,
            _page_argument(known) is not None,
        )
        times = self.times(node, known, paged)
        return Figures(
            below.depth + 1,
            below.fields + 1,
            below.aliases + alias,
            min(1 + times * below.cost, COUNT_MAX),
        )

    def times(self, node: FieldNode, known: GraphQLField | None, paged: bool) -> int:
        """How often what is below a field is to be expected."""
        if known is None:
            return 1
        paging = _page_argument(known)
        if paging is None:
            bare = known.type.of_type if is_non_null_type(known.type) else known.type
            return LIST_ASSUMED if is_list_type(bare) and not paged else 1
        size: object = _default(known.args[paging])
        for argument in node.arguments or ():
            if argument.name.value == paging:
                if isinstance(argument.value, IntValueNode):
                    text = argument.value.value
                    size = int(text) if len(text) < 10 else COUNT_MAX
                elif isinstance(argument.value, VariableNode):
                    variable = argument.value.name.value
                    self.page_variables.add(variable)
                    size = self.variables.get(variable)
        return min(max(size, 1), COUNT_MAX) if type(size) is int else LIST_ASSUMED


def _page_argument(field: GraphQLField | None) -> str | None:
    """The argument that says how many rows a field may return."""
    return next((name for name in PAGE_ARGUMENTS if field is not None and name in field.args), None)


def _default(argument: GraphQLArgument) -> object:
    """The default of an argument, whether the schema was built from classes (a value) or from a text (a literal)."""
    literal = getattr(argument.default, "literal", None)
    return int(literal.value) if isinstance(literal, IntValueNode) else argument.default_value


def _larger(a: Figures, b: Figures) -> Figures:
    return Figures(
        max(a.depth, b.depth), max(a.fields, b.fields), max(a.aliases, b.aliases), max(a.cost, b.cost)
    )

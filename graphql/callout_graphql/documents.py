"""Documents that were parsed, measured and validated once: clients send the same few texts over and over."""

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    IntValueNode,
    OperationDefinitionNode,
    StringValueNode,
    Visitor,
    parse,
    specified_rules,
    validate,
    visit,
)
from graphql.validation import recommended_rules
from graphql.validation.rules import overlapping_fields_can_be_merged

from callout_graphql.guard import Limits, Measured, check, measure
from callout_graphql.refusals import (
    IntrospectionClosed,
    NulCharacter,
    OperationUnknown,
    QueryInvalid,
    QueryUnreadable,
)
from callout_store.errors import QueryTooComplex

VALIDATION_ERRORS_MAX = 10
overlapping_fields_can_be_merged.MAX_COMPLEXITY_BUDGET = 50_000
"""graphql-core compares fields of one name pairwise; by its own limit a stranger's 10 kB keep a process busy for a
second. Our largest operation needs some hundreds."""
COSTS_KEPT_MAX = 64
RULES = tuple(dict.fromkeys((*specified_rules, *recommended_rules)))


class Unfit(Exception):
    """A document with graphql-core's own errors (they carry locations)."""

    def __init__(self, kind: type[QueryUnreadable] | type[QueryInvalid], errors: list[GraphQLError]) -> None:
        super().__init__(kind.code)
        self.kind = kind
        self.errors = errors


@dataclass(slots=True)
class Prepared:
    """A document fit to run."""

    document: DocumentNode
    operations: dict[str | None, OperationDefinitionNode]
    measured: Measured
    costs: set[tuple[object, ...]] = field(default_factory=set)
    plans: dict[str | None, Any] = field(default_factory=dict)

    def operation(self, name: str | None) -> OperationDefinitionNode:
        """The operation meant by `name`, which may be None where there is but one."""
        if name is None:
            if len(self.operations) != 1:
                raise OperationUnknown(why=", ".join(str(n) for n in self.operations))
            return next(iter(self.operations.values()))
        found = self.operations.get(name)
        if found is None:
            raise OperationUnknown(why=", ".join(str(n) for n in self.operations))
        return found


class Documents:
    """The bounded cache, least recently used out first. Only valid documents are kept."""

    def __init__(self, schema: GraphQLSchema, limits: Limits, *, size: int = 500) -> None:
        self.schema = schema
        self.limits = limits
        self.size = size
        self._kept: OrderedDict[bytes, Prepared] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def prepare(self, query: str, *, may_introspect: bool) -> Prepared:
        """The document, from the cache or parsed, measured and validated now. Raises a refusal or `Unfit`."""
        if len(query) > self.limits.query_characters:
            raise QueryTooComplex(what="characters", given=len(query), limit=self.limits.query_characters)
        key = _key(query)
        prepared = self._kept.get(key)
        if prepared is None:
            prepared = self._make(query, may_introspect)
            self._kept[key] = prepared
            if len(self._kept) > self.size:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(key)
        if prepared.measured.introspects and not may_introspect:
            raise IntrospectionClosed()
        return prepared

    def known(self, query: str) -> Prepared | None:
        """The document, if it was prepared before."""
        return self._kept.get(_key(query))

    def check_cost(self, prepared: Prepared, variables: Mapping[str, Any]) -> None:
        """Refuse page sizes, given in variables, that make the document too expensive."""
        names = prepared.measured.page_variables
        if not names:
            return
        given = tuple(v if type(v := variables.get(name)) is int else None for name in names)
        if given in prepared.costs:
            return
        defaults = {
            d.variable.name.value: int(d.default_value.value[:10])
            for op in prepared.operations.values()
            for d in op.variable_definitions or ()
            if isinstance(d.default_value, IntValueNode)
        }
        sizes = defaults | {n: v for n, v in zip(names, given, strict=True) if v is not None}
        check(measure(prepared.document, self.schema, sizes), self.limits)
        if len(prepared.costs) < COSTS_KEPT_MAX:
            prepared.costs.add(given)

    def _make(self, query: str, may_introspect: bool) -> Prepared:
        try:
            document = parse(query, max_tokens=self.limits.tokens)
            measured = measure(document, self.schema)
            check(measured, self.limits)
            if measured.introspects and not may_introspect:
                raise IntrospectionClosed()
            errors = validate(
                self.schema, document, RULES, VALIDATION_ERRORS_MAX, hide_suggestions=not may_introspect
            )
            nul = _Nul()
            visit(document, nul)
        except GraphQLSyntaxError as fault:
            if "tokens" in fault.message and "more tha" in fault.message:
                raise QueryTooComplex(
                    what="tokens", given=self.limits.tokens + 1, limit=self.limits.tokens
                ) from fault
            raise Unfit(QueryUnreadable, [fault]) from fault
        except RecursionError:
            raise QueryTooComplex(what="depth", given="?", limit=self.limits.depth) from None
        if errors:
            raise Unfit(QueryInvalid, errors)
        if nul.found:
            raise NulCharacter(path="query")
        operations = {op.name.value if op.name else None: op for op in _operations(document)}
        return Prepared(document, operations, measured)


def _key(query: str) -> bytes:
    return hashlib.sha256(query.encode("utf-8", "surrogatepass")).digest()


class _Nul(Visitor):
    """Looks for U+0000 in the strings that are written into a document."""

    found = False

    def enter_string_value(self, node: StringValueNode, *_: Any) -> None:
        if "\0" in node.value:
            self.found = True


def _operations(document: DocumentNode) -> Iterator[OperationDefinitionNode]:
    return (node for node in document.definitions if isinstance(node, OperationDefinitionNode))

"""The guard: what a document may ask for, found without doing what it asks."""

import time

import pytest
from graphql import build_schema, get_introspection_query, parse

from callout_graphql.documents import Documents, Unfit
from callout_graphql.guard import COUNT_MAX, Limits, check, measure
from callout_graphql.refusals import IntrospectionClosed, OperationUnknown
from callout_store.errors import QueryTooComplex

SCHEMA = build_schema(
    """
    directive @mark repeatable on FIELD | FRAGMENT_SPREAD | INLINE_FRAGMENT | QUERY | FRAGMENT_DEFINITION
    type Query { a: Query b: Int rows(first: Int = 50): RowConnection tags: [Query!]! bare(first: Int): [Query]
      pull(limit: Int! = 500): Pulled }
    type Pulled { documents: [Row!]! count: Int }
    type RowConnection { nodes: [Row!]! hasMore: Boolean! }
    type Row { id: Int query: Query }
    """
)


def figures(query: str, **variables: object) -> tuple[int, int, int, int]:
    found = measure(parse(query), SCHEMA, variables).figures
    return found.depth, found.fields, found.aliases, found.cost


@pytest.mark.parametrize(
    ("query", "expected"),
    (
        ("{ b }", (1, 1, 0, 1)),
        ("{ x: b y: b }", (1, 2, 2, 2)),
        ("{ a { a { b } } }", (3, 3, 0, 3)),
        # A page of 50 with one field each, and one field of the connection itself: 1 + 50 × (nodes + id) …
        ("{ rows { nodes { id } } }", (3, 3, 0, 101)),
        ("{ rows(first: 3) { nodes { id } hasMore } }", (3, 4, 0, 10)),
        # … also where the rows stand behind a fragment, …
        ("{ rows(first: 3) { ...R } } fragment R on RowConnection { nodes { id } }", (3, 3, 0, 7)),
        # … and lists without a page size count as ten.
        ("{ tags { b } }", (2, 2, 0, 11)),
        # A pull's limit is a page size as well: fifty pulls under aliases were the price of fifty rows.
        ("{ pull(limit: 2000) { documents { id } count } }", (3, 4, 0, 6001)),
        ("{ x: pull { count } y: pull(limit: 3) { count } }", (2, 4, 2, 505)),
        ("{ ...F ...F } fragment F on Query { a { b } }", (2, 4, 0, 4)),
        ("{ ... { a { ... on Query { b } } } }", (2, 2, 0, 2)),
        # What is not in the schema counts plainly; validation will refuse it.
        ("{ nothing { here } } fragment Lost on Query { b }", (2, 2, 0, 2)),
    ),
)
def test_figures(query: str, expected: tuple[int, int, int, int]) -> None:
    """The figures that limits are held against must be those of the spread document, or fragments hide it."""
    assert figures(query) == expected


def test_page_sizes_come_from_variables_too() -> None:
    """Otherwise a page of a million would be as cheap as one of ten, if only it is asked for by variable."""
    query = "query($n: Int) { rows(first: $n) { nodes { id } } }"
    assert measure(parse(query), SCHEMA).page_variables == ("n",)
    assert figures(query, n=1000)[3] == 2001
    documents = Documents(SCHEMA, Limits(cost=500))
    prepared = documents.prepare(query, may_introspect=True)
    documents.check_cost(prepared, {"n": 10})
    with pytest.raises(QueryTooComplex):
        documents.check_cost(prepared, {"n": 1000})
    documents.check_cost(prepared, {"n": 10})


def test_a_default_page_size_of_a_variable_counts() -> None:
    """A default in the document is the caller's own number: it must not slip past as the assumed ten."""
    documents = Documents(SCHEMA, Limits(cost=500))
    query = "query($n: Int = 1000) { rows(first: $n) { nodes { id } } }"
    prepared = documents.prepare(query, may_introspect=True)
    with pytest.raises(QueryTooComplex):
        documents.check_cost(prepared, {})


def test_doubling_fragments_cost_no_time() -> None:
    """A document of some hundred fragments, each spreading the next twice, would keep a naive walk busy for ever."""
    n = 200
    chain = "".join(f"fragment F{i} on Query {{ ...F{i + 1} ...F{i + 1} }} " for i in range(n))
    document = parse(f"{{ ...F0 }} {chain} fragment F{n} on Query {{ b }}")
    started = time.process_time()
    found = measure(document, SCHEMA)
    assert time.process_time() - started < 1.0
    assert found.figures.fields == COUNT_MAX
    with pytest.raises(QueryTooComplex):
        check(found, Limits())


def test_work_grows_with_the_document_and_not_with_what_it_spreads() -> None:
    """Each fragment is walked once: counted, not timed."""
    from callout_graphql import guard

    walked = 0
    selections = guard._Pass.selections

    class Counting(guard._Pass):
        def selections(self, node, on, paged=False):  # type: ignore[no-untyped-def]
            nonlocal walked
            walked += 1
            return selections(self, node, on, paged)

    for n in (10, 40):
        walked = 0
        chain = "".join(f"fragment F{i} on Query {{ ...F{i + 1} ...F{i + 1} }} " for i in range(n))
        document = parse(f"{{ ...F0 }} {chain} fragment F{n} on Query {{ b }}")
        run = Counting(document, SCHEMA, {})
        run.selections(document.definitions[0].selection_set, SCHEMA.query_type)  # type: ignore[union-attr]
        assert walked == n + 2


def test_fragments_that_spread_themselves_end() -> None:
    """A circle is refused by validation; the guard before it must come out of it."""
    query = "{ ...F } fragment F on Query { b ...G } fragment G on Query { ...F }"
    assert figures(query)[1] < 10
    with pytest.raises(Unfit):
        Documents(SCHEMA, Limits()).prepare(query, may_introspect=True)


@pytest.mark.parametrize(
    ("query", "what"),
    (
        ("{ b" + " @mark" * 10 + " }", "directives"),
        ("query @mark { ...F @mark } fragment F on Query @mark { b " + "@mark " * 7 + "}", "directives"),
        ("{ " + "a { " * 18 + "b" + " }" * 19, "depth"),
        ("{ " + " ".join(f"x{i}: b" for i in range(51)) + " }", "aliases"),
        ("{ rows(first: 99999999999999999999) { nodes { id } } }", "cost"),
        ("{ " + "b " * 2001 + "}", "fields"),
        ("{ " + "b " * 4001 + "}", "tokens"),
        ("#" * 50_001, "characters"),
    ),
    ids=lambda value: value[:12],
)
def test_each_limit_is_held_and_named(query: str, what: str) -> None:
    """A client's author must learn which limit was hit, and a document at the limit must pass."""
    with pytest.raises(QueryTooComplex) as refused:
        Documents(SCHEMA, Limits()).prepare(query, may_introspect=True)
    assert refused.value.details["what"] == what


def test_documents_at_the_limits_pass() -> None:
    """A limit that refuses what it allows would be another limit."""
    documents = Documents(SCHEMA, Limits())
    for query in (
        "{ b" + " @mark" * 9 + " }",
        "{ " + "a { " * 17 + "b" + " }" * 18,
        "{ " + " ".join(f"x{i}: b" for i in range(50)) + " }",
    ):
        documents.prepare(query, may_introspect=True)


def test_introspection_is_found_wherever_it_hides() -> None:
    """In a fragment of a fragment it is still the schema that is asked for; `__typename` tells nothing."""
    documents = Documents(SCHEMA, Limits())
    hidden = "{ ...F } fragment F on Query { ... { s: __schema { queryType { name } } } }"
    with pytest.raises(IntrospectionClosed):
        documents.prepare(hidden, may_introspect=False)
    documents.prepare(hidden, may_introspect=True)
    with pytest.raises(IntrospectionClosed):  # also when the document is in the cache already
        documents.prepare(hidden, may_introspect=False)
    documents.prepare("{ __typename }", may_introspect=False)
    documents.prepare(get_introspection_query(), may_introspect=True)


def test_the_cache_is_bounded_and_keeps_what_is_used() -> None:
    """A stranger who sends ever new documents must not fill the memory or push out the phones' own."""
    documents = Documents(SCHEMA, Limits(), size=10)
    often = documents.prepare("{ b }", may_introspect=True)
    for n in range(100):
        documents.prepare(f"{{ x{n}: b }}", may_introspect=True)
        assert documents.prepare("{ b }", may_introspect=True) is often
    assert len(documents) == 10
    with pytest.raises(Unfit):
        documents.prepare("{ nothing }", may_introspect=True)
    assert len(documents) == 10


def test_an_operation_is_named_where_there_are_several() -> None:
    """Guessing which operation was meant could run the wrong one."""
    prepared = Documents(SCHEMA, Limits()).prepare("query A { b } query B { b }", may_introspect=True)
    assert prepared.operation("B").name.value == "B"  # type: ignore[union-attr]
    for name in (None, "C"):
        with pytest.raises(OperationUnknown):
            prepared.operation(name)

"""Running a request: prepared document, coerced variables, graphql-core's executor, errors fit to be shown."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import strawberry
import structlog
from graphql import (
    ExecutionResult,
    GraphQLError,
    GraphQLType,
    OperationDefinitionNode,
    OperationType,
    execute,
    is_input_object_type,
    is_list_type,
    is_non_null_type,
    subscribe,
    type_from_ast,
)
from graphql.execution.values import VariableValues, get_variable_values

from callout_graphql.context import Context
from callout_graphql.documents import Documents, Prepared, Unfit
from callout_graphql.guard import Limits
from callout_graphql.plan import Plan, plan_of, run_plan
from callout_graphql.refusals import (
    NulCharacter,
    OnlyQueriesByGet,
    OperationNotHere,
    VariablesInvalid,
    as_error,
)
from callout_store.errors import BadField, BadRequestBody, Busy, InternalFault, Refusal

log = structlog.get_logger(__name__)

TIMEOUT_S = 25.0
"""Below the database's own limit of 30 s for a statement, so that it is this door that answers."""
VARIABLE_ERRORS_MAX = 5

Errors = list[dict[str, Any]]


class GraphQLRequest(msgspec.Struct, rename="camel", frozen=True):
    """The body, as GraphQL over HTTP has it. Fields that are not named here are ignored, as it asks."""

    query: str | None = None
    variables: dict[str, Any] | None = None
    operation_name: str | None = None
    extensions: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back. `refused` is set where the request failed as a whole, before anything ran."""

    body: dict[str, Any]
    refused: type[Refusal] | None = None


_decode = msgspec.json.Decoder(GraphQLRequest).decode


def read_request(body: bytes | str) -> tuple[GraphQLRequest, bool]:
    """Decode a body; the flag says whether some text in it may hold U+0000. Raises BadRequestBody."""
    raw = body if isinstance(body, bytes) else body.encode("utf-8", "surrogatepass")
    try:
        return _decode(raw), b"\\u0000" in raw
    except UnicodeDecodeError:
        raise BadRequestBody(why="it is not UTF-8") from None
    except RecursionError:
        raise BadRequestBody(why="it is nested too deeply") from None
    except (msgspec.MsgspecError, ValueError) as fault:
        raise BadRequestBody(why=str(fault)) from None


class Engine:
    """The schema with its caches. One per process; holds nothing of any caller."""

    def __init__(
        self,
        schema: strawberry.Schema,
        *,
        limits: Limits | None = None,
        timeout_s: float = TIMEOUT_S,
        plans: bool = True,
    ) -> None:
        self.schema = schema._schema
        self.executor_class = schema.execution_context_class
        self.documents = Documents(self.schema, limits or Limits())
        self.timeout_s = timeout_s
        self.plans = plans

    async def run(
        self, request: GraphQLRequest, context: Context, *, may_hold_nul: bool = False, by_get: bool = False
    ) -> Reply:
        """Answer a query or mutation. Never raises but for cancellation."""
        try:
            prepared, operation, variables = self._prepare(request, context, may_hold_nul)
            if by_get and operation.operation is not OperationType.QUERY:
                raise OnlyQueriesByGet()
            if operation.operation is OperationType.SUBSCRIPTION:
                raise OperationNotHere()
            plan = plan_of(prepared, operation, self.schema) if self.plans else None
            async with asyncio.timeout(self.timeout_s):
                quick = None if plan is None else await run_plan(plan, operation, context, variables)
                if quick is not None:
                    return self.reply(quick, context)
                result = execute(
                    self.schema,
                    prepared.document,
                    context_value=context,
                    variable_values=request.variables,
                    operation_name=request.operation_name,
                    executor_class=self.executor_class,
                )
                if not isinstance(result, ExecutionResult):
                    result = await result
        except TimeoutError:
            log.warning("graphql_timeout", operation=request.operation_name, timeout_s=self.timeout_s)
            return refused(Busy(what="GraphQL", retry_after_ms=2000), context)
        except (Refusal, Unfit) as fault:
            return refused(fault, context)
        except Exception as fault:
            return refused(masked(fault, context), context)
        return self.reply(result, context)

    async def open(
        self, request: GraphQLRequest, context: Context, *, may_hold_nul: bool = False
    ) -> AsyncIterator[ExecutionResult] | Reply:
        """The stream of a subscription, or the reply where the operation is another or was refused."""
        try:
            prepared, operation, _ = self._prepare(request, context, may_hold_nul)
            if operation.operation is not OperationType.SUBSCRIPTION:
                return await self.run(request, context, may_hold_nul=may_hold_nul)
            opened = subscribe(
                self.schema,
                prepared.document,
                context_value=context,
                variable_values=request.variables,
                operation_name=request.operation_name,
                executor_class=self.executor_class,
            )
            if not isinstance(opened, ExecutionResult | AsyncIterator):
                opened = await opened
        except (Refusal, Unfit) as fault:
            return refused(fault, context)
        except Exception as fault:
            return refused(masked(fault, context), context)
        if isinstance(opened, ExecutionResult):
            return Reply({"errors": shown(opened.errors or (), context)}, Refusal)
        return opened

    def only_reads(self, request: GraphQLRequest) -> bool:
        """Whether this is known to be a query: its document was seen before."""
        prepared = self.documents.known(request.query or "")
        return prepared is not None and all(
            op.operation is OperationType.QUERY for op in prepared.operations.values()
        )

    def compares(self, request: GraphQLRequest) -> bool:
        """Whether this is known to be a push and nothing else: it compares its sign-in with the database by itself."""
        prepared = self.documents.known(request.query or "")
        if prepared is None:
            return False
        name = request.operation_name
        plan: Plan | None = prepared.plans.get(name or next(iter(prepared.operations)))
        return plan is not None and [field.name for field in plan.fields] == ["Mutation.push"]

    def reply(self, result: ExecutionResult, context: Context) -> Reply:
        """The body of an executed operation."""
        body: dict[str, Any] = {"data": result.data}
        if result.errors:
            body = {"errors": shown(result.errors, context), **body}
        return Reply(body)

    def _prepare(
        self, request: GraphQLRequest, context: Context, may_hold_nul: bool
    ) -> tuple[Prepared, OperationDefinitionNode, VariableValues]:
        if request.query is None:
            raise BadRequestBody(why="`query` is missing")
        prepared = self.documents.prepare(request.query, may_introspect=context.may_introspect)
        operation = prepared.operation(request.operation_name)
        variables = request.variables or {}
        self.documents.check_cost(prepared, variables)
        coerced = get_variable_values(
            self.schema,
            operation.variable_definitions or (),
            variables,
            max_errors=VARIABLE_ERRORS_MAX,
            hide_suggestions=not context.may_introspect,
        )
        if isinstance(coerced, list):
            for fault in coerced:
                if isinstance(fault.original_error, Refusal):
                    raise fault.original_error
            raise VariablesInvalid(why=" ".join(fault.message for fault in coerced))
        if may_hold_nul:
            for definition in operation.variable_definitions or ():
                name = definition.variable.name.value
                type_ = type_from_ast(self.schema, definition.type)
                path = _nul_path(type_, variables.get(name), f"variables.{name}")
                if path is not None:
                    raise NulCharacter(path=path)
        return prepared, operation, coerced


def _nul_path(type_: GraphQLType | None, value: Any, path: str) -> str | None:
    """Where a text with U+0000 stands. Values of the JSON scalar are not entered: push keeps those for a person."""
    if is_non_null_type(type_):
        return _nul_path(type_.of_type, value, path)
    if is_list_type(type_):
        items: Iterable[Any] = value if isinstance(value, list) else (value,)
        return next(
            (p for i, v in enumerate(items) if (p := _nul_path(type_.of_type, v, f"{path}.{i}"))), None
        )
    if is_input_object_type(type_):
        if not isinstance(value, Mapping):
            return None
        fields = ((n, f.type) for n, f in type_.fields.items() if n in value)
        return next((p for n, t in fields if (p := _nul_path(t, value[n], f"{path}.{n}"))), None)
    return path if isinstance(value, str) and "\0" in value and type_.name != "JSON" else None  # type: ignore[union-attr]


def refused(fault: Refusal | Unfit, context: Context) -> Reply:
    """The reply to a request of which nothing was run."""
    if isinstance(fault, Unfit):
        errors = [
            as_error(
                fault.kind(why=error.message),
                context.locale,
                **({"locations": [loc.formatted for loc in error.locations]} if error.locations else {}),
            )
            for error in fault.errors
        ]
        return Reply({"errors": errors}, fault.kind)
    return Reply({"errors": [as_error(fault, context.locale)]}, type(fault))


def masked(fault: BaseException, context: Context) -> InternalFault:
    """What a caller learns of a fault of ours: the number under which it was logged."""
    log.error("graphql_fault", request_id=context.request_id, exc_info=fault)
    return InternalFault(request_id=context.request_id)


def shown(errors: Iterable[GraphQLError], context: Context) -> Errors:
    """Errors of fields: refusals in the caller's language, everything else masked."""
    out: Errors = []
    for error in errors:
        cause: BaseException | None = error
        while isinstance(cause, GraphQLError) and cause.original_error is not None:
            cause = cause.original_error
        if isinstance(cause, GraphQLError):
            # graphql-core's own word on an argument; everything that resolvers raise has an original error.
            refusal: Refusal = BadField(why=cause.message)
        else:
            refusal = cause if isinstance(cause, Refusal) else masked(cause or error, context)
        more: dict[str, Any] = {}
        if error.locations:
            more["locations"] = [loc.formatted for loc in error.locations]
        if error.path:
            more["path"] = error.path
        out.append(as_error(refusal, context.locale, **more))
    return out

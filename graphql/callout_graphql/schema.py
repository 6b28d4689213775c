"""The schema, built once a process, and the engine that runs it."""

import inspect
from functools import cache

import strawberry
from graphql import GraphQLInputObjectType, GraphQLObjectType, GraphQLSchema
from strawberry.extensions import MaskErrors
from strawberry.schema.config import StrawberryConfig

from callout_graphql.execution import TIMEOUT_S, Engine
from callout_graphql.guard import Limits
from callout_graphql.resolvers.answering_api import AnsweringMutations, AnsweringQueries
from callout_graphql.resolvers.board_api import BoardMutations, BoardQueries
from callout_graphql.resolvers.channels_api import ChannelMutations, ChannelQueries
from callout_graphql.resolvers.flow_api import FlowMutations, FlowQueries
from callout_graphql.resolvers.imports_api import ImportMutations, ImportQueries
from callout_graphql.resolvers.kinds_api import KindMutations, KindQueries
from callout_graphql.resolvers.knowledge_api import KnowledgeMutations, KnowledgeQueries
from callout_graphql.resolvers.mutations_arrivals import ArrivalMutations
from callout_graphql.resolvers.mutations_content import ContentMutations
from callout_graphql.resolvers.mutations_desk import DeskMutations
from callout_graphql.resolvers.mutations_devices import DeviceMutations
from callout_graphql.resolvers.mutations_dispatch import DispatchMutations
from callout_graphql.resolvers.mutations_dispatch_setup import SetupMutations
from callout_graphql.resolvers.mutations_edits import EditMutations
from callout_graphql.resolvers.mutations_places import PlaceMutations
from callout_graphql.resolvers.mutations_policy import PolicyMutations
from callout_graphql.resolvers.mutations_red import RedMutations
from callout_graphql.resolvers.mutations_users import UserMutations
from callout_graphql.resolvers.notices_api import NoticeMutations, NoticeQueries
from callout_graphql.resolvers.plans_api import PlanMutations, PlanQueries
from callout_graphql.resolvers.precheck_api import PrecheckMutations, PrecheckQueries
from callout_graphql.resolvers.queries import Query
from callout_graphql.resolvers.sla_api import SlaMutations, SlaQueries
from callout_graphql.rights import guard_fields
from callout_graphql.rxdb import RxdbMutations, RxdbQueries, RxdbStreams
from callout_graphql.scalars import SCALARS
from callout_graphql.sla_streams import SlaSubscription
from callout_graphql.subscriptions import Subscription


@strawberry.type
class Mutation(
    DeskMutations,
    AnsweringMutations,
    ArrivalMutations,
    BoardMutations,
    ChannelMutations,
    ContentMutations,
    DeviceMutations,
    UserMutations,
    DispatchMutations,
    EditMutations,
    FlowMutations,
    ImportMutations,
    KindMutations,
    KnowledgeMutations,
    NoticeMutations,
    PlaceMutations,
    PlanMutations,
    PrecheckMutations,
    RxdbMutations,
    RedMutations,
    PolicyMutations,
    SetupMutations,
    SlaMutations,
):
    """What may be changed."""


@strawberry.type(name="Query")
class Queries(
    Query,
    ImportQueries,
    AnsweringQueries,
    RxdbQueries,
    BoardQueries,
    ChannelQueries,
    FlowQueries,
    KindQueries,
    KnowledgeQueries,
    NoticeQueries,
    PlanQueries,
    SlaQueries,
    PrecheckQueries,
):
    """What may be asked."""


@strawberry.type(name="Subscription")
class Subscriptions(Subscription, RxdbStreams, SlaSubscription):
    """What may be listened to."""


def describe(schema: GraphQLSchema) -> None:
    """Let the docstrings be the descriptions that clients and GraphiQL show."""
    for type_ in schema.type_map.values():
        definition = type_.extensions.get("strawberry-definition")
        origin = getattr(definition, "origin", None)
        if not isinstance(type_, GraphQLObjectType | GraphQLInputObjectType) or origin is None:
            continue
        type_.description = type_.description or inspect.cleandoc(origin.__doc__ or "")
        for field in type_.fields.values():
            of_field = field.extensions.get("strawberry-definition")
            resolver = getattr(getattr(of_field, "base_resolver", None), "wrapped_func", None)
            if resolver is not None and resolver.__doc__:
                field.description = field.description or inspect.cleandoc(resolver.__doc__)


@cache
def schema() -> strawberry.Schema:
    """The schema with the rights of its fields in place."""
    built = strawberry.Schema(
        query=Queries,
        mutation=Mutation,
        subscription=Subscriptions,
        config=StrawberryConfig(scalar_map=SCALARS, disable_field_suggestions=True),
        # The engine masks by itself; this stands for whoever runs the schema without it.
        extensions=[lambda: MaskErrors()],
    )
    guard_fields(built._schema)
    describe(built._schema)
    return built


@cache
def engine(tokens_max: int = Limits.tokens, timeout_s: float = TIMEOUT_S) -> Engine:
    """The engine of this process for these settings."""
    return Engine(schema(), limits=Limits(tokens=tokens_max), timeout_s=timeout_s)

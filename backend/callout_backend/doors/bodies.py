"""Reading a JSON body: for the doors that do not leave it to Litestar, and what holds for all of them."""

from typing import Any, TypeVar

import msgspec
from litestar import Request

from callout_graphql.negotiation import is_json
from callout_store.errors import BadRequestBody, UnsupportedBody

T = TypeVar("T")
AnyRequest = Request[Any, Any, Any]


async def only_json(request: AnyRequest) -> None:
    """For `before_request`: refuse a body that says it is no JSON, or is packed. One that says nothing is read."""
    content_type = request.headers.get("content-type")
    packed = request.headers.get("content-encoding", "identity").strip().lower() != "identity"
    if packed or (content_type is not None and not is_json(content_type)):
        raise UnsupportedBody()


async def read_json(request: AnyRequest, type_: type[T]) -> T:
    """The body as `type_`; refused where it is no JSON in UTF-8, or no object. A wrong field raises msgspec's
    ValidationError.

    msgspec answers bytes that are not UTF-8 and endless nesting with Python's own errors, which would look like
    faults of ours.
    """
    body = await request.body()
    try:
        return msgspec.json.decode(body, type=type_)
    except UnicodeDecodeError:
        raise BadRequestBody(why="it is not UTF-8") from None
    except RecursionError:
        raise BadRequestBody(why="it is nested too deeply") from None
    except msgspec.ValidationError as fault:
        why = str(fault)
        if why.startswith("Expected `object`") and " - at `$" not in why:
            raise BadRequestBody(why=why) from None
        raise

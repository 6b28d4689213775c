"""Reading a JSON body for the doors that do not leave it to Litestar."""

from typing import Any, TypeVar

import msgspec
from litestar import Request

from callout_store.errors import BadRequestBody

T = TypeVar("T")


async def read_json(request: Request[Any, Any, Any], type_: type[T]) -> T:
    """The body as `type_`; refused where it is no JSON in UTF-8. A wrong field raises msgspec's ValidationError.

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

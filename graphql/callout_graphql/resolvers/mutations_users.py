"""Mutations about people who come and go."""

from typing import cast
from uuid import UUID

import strawberry

from callout_graphql.edges import Info
from callout_graphql.types.sync import User
from callout_people import users
from callout_store.errors import BadField, NotFound
from callout_store.work import Work


@strawberry.type
class UserMutations:
    """Shutting somebody out, and letting them in again."""

    @strawberry.mutation
    async def deactivate_user(self, info: Info, id: UUID, reason: str = "") -> User:
        """Shut somebody out: their sessions end, and what waited for them at the desk goes to whoever is asked today.
        Twice changes nothing; nobody shuts themselves out."""
        if id == info.context.who.user_id:
            raise BadField(path="id", why="nobody shuts themselves out: another admin does it")

        async def act(work: Work) -> User:
            await users.deactivate(work, id, reason=reason)
            return await _user(work, id)

        return await info.context.run(act)

    @strawberry.mutation
    async def reactivate_user(self, info: Info, id: UUID) -> User:
        """Let somebody in again, with the password they had. What was passed on to others stays with them."""

        async def act(work: Work) -> User:
            await users.reactivate(work, id)
            return await _user(work, id)

        return await info.context.run(act)


async def _user(work: Work, id_: UUID) -> User:
    (found,) = await users.users_by_ids(work, [id_])
    if found is None:
        raise NotFound(entity="user")
    return cast(User, found)

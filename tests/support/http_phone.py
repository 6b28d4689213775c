"""A phone of a `World` over real HTTP: the same commands, through the GraphQL door of a running API."""

from datetime import UTC, datetime
from typing import Any

import httpx
from worlds import Phone

PUSH = """
mutation Push($input: PushInput!) {
  push(input: $input) { answers { index id status code path message firstStatus } serverTime }
}
"""
PULL = """
query Pull($cursor: String, $limit: Int!) {
  pull(cursor: $cursor, limit: $limit) { cursor more epoch serverTime total documents }
}
"""


class HttpPhone:
    """Sends a `Phone`'s commands to an API; keeps what is not answered and pulls into the phone's copy."""

    def __init__(self, phone: Phone, client: httpx.AsyncClient, token: str) -> None:
        self.phone, self.client = phone, client
        self.headers = {"authorization": f"Bearer {token}"}
        self.queue: list[dict[str, Any]] = []
        self.acknowledged: set[str] = set()

    async def ask(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        answer = await self.client.post(
            "/graphql", json={"query": query, "variables": variables}, headers=self.headers
        )
        body = answer.json()
        if body.get("errors") or answer.status_code != 200:
            raise httpx.HTTPError(str(body)[:500])
        return body["data"]

    async def push(self, size: int = 50) -> list[dict[str, Any]]:
        """Send the oldest commands; what was answered (and not refused) leaves the queue."""
        batch = self.queue[:size]
        data = await self.ask(PUSH, {"input": {"sentAt": datetime.now(UTC).isoformat(), "commands": batch}})
        answers = data["push"]["answers"]
        done = {a["id"] for a in answers if a["status"] != "refused"}
        self.acknowledged |= done
        self.queue = [c for c in self.queue if c["id"] not in done]
        return answers

    async def pull(self, limit: int = 500) -> None:
        """Pull until there is no more."""
        while True:
            data = await self.ask(PULL, {"cursor": self.phone.cursor, "limit": limit, "schemaVersion": 2})
            page = data["pull"]
            for item in page["documents"]:
                self.phone.keep(item)
            self.phone.cursor = page["cursor"]
            if not page["more"]:
                return

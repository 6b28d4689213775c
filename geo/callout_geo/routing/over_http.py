"""What all routing services over HTTP need: pieces no larger than the service takes, bounded waiting, retries, a breaker.

One piece that fails leaves a hole in the matrix and takes nothing from the others. A place that the service cannot use is
left out and the rest asked again, since one site on an island without a road must not cost fifty others their answers.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import httpx
import msgspec
import numpy as np
from numpy.typing import NDArray

from callout_geo.point_arrays import Floats
from callout_geo.routing.base import (
    PROVIDERS,
    BadAnswer,
    Matrix,
    Places,
    Refused,
    Router,
    RouterUnavailable,
    RoutingError,
)
from callout_geo.routing.breaker import Breaker

Indexes = NDArray[np.int64]

#: No way takes longer than this, or is longer: 11 days, and once around the earth.
SECONDS_MAX: Final = 1e6
METRES_MAX: Final = 4.1e7

#: A server that asks us to wait longer than this is not waited for.
RETRY_AFTER_MAX_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """How a service is treated. Checked here (ValueError)."""

    timeout_s: float = 5.0
    """For one request, from the first byte out to the last byte in."""
    total_s: float = 30.0
    """For a whole matrix; pieces that have come by then are kept."""
    at_once: int = 4
    attempts: int = 3
    backoff_s: float = 0.2
    body_max: int = 32 * 1024 * 1024
    """Bytes of one answer, unpacked."""
    snap_m_max: float = 500.0
    """A place farther than this from the nearest road gets no way from the service: it would start elsewhere."""
    splits_max: int = 24
    """Requests more for one piece that the service refused, to find the place it cannot use."""

    def __post_init__(self) -> None:
        for name in ("timeout_s", "total_s", "backoff_s", "snap_m_max"):
            if not 0 < getattr(self, name) <= 100_000:
                raise ValueError(f"{name} must be above 0")
        for name in ("at_once", "attempts", "body_max"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more")
        if self.splits_max < 0:
            raise ValueError("splits_max must be 0 or more")


@dataclass(slots=True)
class _Piece:
    """A rectangle of the matrix, still to be asked: row and column numbers."""

    rows: Indexes
    columns: Indexes
    splits: list[int] = field(default_factory=lambda: [0])


class HttpRouter(Router):
    """A router that asks a service. Subclasses say how a question looks and what an answer means."""

    name: str
    side_max: int
    pairs_max: int

    def __init__(
        self,
        base_url: str,
        manners: Manners | None = None,
        *,
        breaker: Breaker | None = None,
        headers: dict[str, str] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        url = httpx.URL(base_url)
        if url.scheme not in ("http", "https") or not url.host:
            raise ValueError(f"{self.name}: the address must begin with http:// or https:// and name a host")
        self.manners = manners or Manners()
        self.breaker = breaker or Breaker()
        self._base = str(url).rstrip("/")
        self._sleep = sleep
        self._jitter = jitter
        self._slots = asyncio.Semaphore(self.manners.at_once)
        # Proxies of the environment and redirects are for browsers: customers' places go to the address that was
        # configured and nowhere else.
        self._client = httpx.AsyncClient(
            timeout=self.manners.timeout_s,
            follow_redirects=False,
            trust_env=False,
            verify=_tls(),
            headers={"Accept": "application/json", **(headers or {})},
            limits=httpx.Limits(
                max_connections=self.manners.at_once, max_keepalive_connections=self.manners.at_once
            ),
        )

    @abstractmethod
    def _request(self, sources: Places, targets: Places) -> httpx.Request:
        """The question for one piece."""

    @abstractmethod
    def _answer(self, body: Any, sources: Places, targets: Places) -> tuple[Floats, Floats]:
        """Seconds and metres of one piece from a decoded answer of status 200. Raises `BadAnswer`, `Refused`."""

    @abstractmethod
    def _refusal(self, status: int, body: Any) -> Refused:
        """What an answer of status 4xx means; `body` is None when it was no JSON."""

    async def close(self) -> None:
        """Lets go of connections."""
        await self._client.aclose()

    async def matrix(self, sources: Places, targets: Places) -> Matrix:
        """As `Router.matrix`. Cancelling it ends its requests."""
        result = Matrix.empty(len(sources), len(targets))
        pieces = self._pieces(sources.known, targets.known)
        if not pieces:
            return result
        tasks = [asyncio.create_task(self._fill(result, sources, targets, piece)) for piece in pieces]
        try:
            done, late = await asyncio.wait(tasks, timeout=self.manners.total_s)
        except asyncio.CancelledError:
            await _end(tasks)
            raise
        await _end(late)
        errors: list[RoutingError] = [error for task in done for error in task.result()]
        if late:
            errors.append(RouterUnavailable(self.name, "timed_out", f"{self.manners.total_s:g} s for all"))
        if errors and not result.provider.any():
            # The cause before its consequences: a breaker opened by these very faults, or a question refused beside them.
            raise min(errors, key=lambda error: (error.reason == "circuit_open", not error.fault))
        faults = tuple(sorted({error.reason for error in errors}))
        return Matrix(result.seconds, result.metres, result.provider, faults)

    def _pieces(self, rows: Indexes, columns: Indexes) -> list[_Piece]:
        """Rectangles within the service's limits, as near to squares as can be: a square asks for the fewest places."""
        if not len(rows) or not len(columns):
            return []
        side = max(1, int(min(self.side_max, self.pairs_max**0.5)))
        height, width = min(side, len(rows)), min(side, len(columns))
        # A thin matrix may have longer pieces: one source against a hundred targets is one request, not two.
        height = min(self.side_max, len(rows), max(height, self.pairs_max // width))
        width = min(self.side_max, len(columns), max(1, self.pairs_max // height))
        return [
            _Piece(rows[top : top + height], columns[left : left + width])
            for top in range(0, len(rows), height)
            for left in range(0, len(columns), width)
        ]

    async def _fill(
        self, result: Matrix, sources: Places, targets: Places, first: _Piece
    ) -> list[RoutingError]:
        """Asks for one piece, and for what is left of it when the service refuses a place; errors are returned."""
        errors: list[RoutingError] = []
        open_pieces = [first]
        while open_pieces:
            piece = open_pieces.pop()
            try:
                async with self._slots:
                    seconds, metres = await self._ask(sources.take(piece.rows), targets.take(piece.columns))
            except Refused as error:
                smaller, hopeless = self._smaller(piece, error)
                if hopeless is not None:
                    # An answer, if not to the whole question: no way there. Remembered, it is not asked for again.
                    result.provider[np.ix_(hopeless.rows, hopeless.columns)] = PROVIDERS.index(self.name)
                elif not smaller:
                    errors.append(error)
                open_pieces += smaller
                continue
            except RoutingError as error:
                errors.append(error)
                continue
            cells = np.ix_(piece.rows, piece.columns)
            result.seconds[cells], result.metres[cells] = seconds, metres
            result.provider[cells] = PROVIDERS.index(self.name)
        return errors

    def _smaller(self, piece: _Piece, error: Refused) -> tuple[list[_Piece], _Piece | None]:
        """What to ask instead of a refused piece (nothing: give it up), and which part of it has no ways at all."""
        rows, columns = piece.rows, piece.columns
        if error.reason == "refused":
            return [], None
        if len(rows) * len(columns) == 1:
            return [], piece if error.reason in ("no_segment", "no_route") else None
        if piece.splits[0] >= self.manners.splits_max:
            return [], None
        piece.splits[0] += 1
        if error.place is not None and 0 <= error.place < len(rows):
            bad, rest = rows[error.place : error.place + 1], np.delete(rows, error.place)
            left = [_Piece(rest, columns, piece.splits)] if len(rest) else []
            return left, _Piece(bad, columns)
        if error.place is not None and 0 <= error.place - len(rows) < len(columns):
            at = error.place - len(rows)
            bad, rest = columns[at : at + 1], np.delete(columns, at)
            left = [_Piece(rows, rest, piece.splits)] if len(rest) else []
            return left, _Piece(rows, bad)
        if len(rows) >= len(columns):
            return [_Piece(half, columns, piece.splits) for half in np.array_split(rows, 2)], None
        return [_Piece(rows, half, piece.splits) for half in np.array_split(columns, 2)], None

    async def _ask(self, sources: Places, targets: Places) -> tuple[Floats, Floats]:
        """One piece, tried several times while only the service is to blame."""
        for attempt in range(1, self.manners.attempts + 1):
            if not self.breaker.enter():
                raise RouterUnavailable(self.name, "circuit_open")
            try:
                async with asyncio.timeout(self.manners.timeout_s):
                    answer = await self._once(sources, targets)
            except RouterUnavailable as error:
                self.breaker.failed()
                wait_s = error.retry_after_s or self.manners.backoff_s * 2.0 ** (attempt - 1)
                if attempt == self.manners.attempts or wait_s > RETRY_AFTER_MAX_S:
                    raise
            except (TimeoutError, httpx.TimeoutException):
                self.breaker.failed()
                # The service is overloaded: asking again at once would add to it, and the caller has waited enough.
                raise RouterUnavailable(self.name, "timed_out", f"{self.manners.timeout_s:g} s") from None
            except (httpx.TransportError, httpx.DecodingError) as error:
                self.breaker.failed()
                wait_s = self.manners.backoff_s * 2.0 ** (attempt - 1)
                if attempt == self.manners.attempts:
                    raise RouterUnavailable(self.name, "unreachable", type(error).__name__) from None
            except BadAnswer:
                self.breaker.failed()
                raise
            except Refused:
                self.breaker.answered()
                raise
            except BaseException:
                self.breaker.left()
                raise
            else:
                self.breaker.answered()
                return answer
            await self._sleep(wait_s * (0.5 + self._jitter()))
        raise AssertionError("the last attempt returns or raises")

    async def _once(self, sources: Places, targets: Places) -> tuple[Floats, Floats]:
        response = await self._client.send(self._request(sources, targets), stream=True)
        try:
            status = response.status_code
            if status == 429 or status == 408:
                raise RouterUnavailable(self.name, "rate_limited", str(status), _retry_after_s(response))
            if status >= 500:
                raise RouterUnavailable(self.name, "server_error", str(status), _retry_after_s(response))
            if 300 <= status < 400:
                raise BadAnswer(self.name, "redirected", str(status))
            raw = bytearray()
            async for chunk in response.aiter_bytes(65_536):
                raw += chunk
                if len(raw) > self.manners.body_max:
                    raise BadAnswer(self.name, "too_large", f"more than {self.manners.body_max} bytes")
        finally:
            await response.aclose()
        try:
            body = msgspec.json.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            if status >= 400:
                raise self._refusal(status, None) from None
            raise BadAnswer(self.name, "not_json") from None
        if status >= 400:
            raise self._refusal(status, body)
        return self._answer(body, sources, targets)

    def _table(self, rows: object, shape: tuple[int, int], at_most: float) -> Floats:
        """A table of numbers and nulls as an array of this shape, NaN for null. Raises `BadAnswer`."""
        if not isinstance(rows, list) or len(rows) != shape[0]:
            raise BadAnswer(self.name, "wrong_shape", f"expected {shape[0]} rows")
        for row in rows:
            if not isinstance(row, list) or len(row) != shape[1]:
                raise BadAnswer(self.name, "wrong_shape", f"expected {shape[1]} columns")
            if any(type(value) not in (int, float, type(None)) for value in row):
                raise BadAnswer(self.name, "bad_value", "not a number")
            if any(value is not None and not 0 <= value <= at_most for value in row):
                raise BadAnswer(self.name, "bad_value", "out of range")
        return np.array(rows, dtype=np.float64).reshape(shape)


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """One for the process: reading all certificates takes longer than most answers."""
    return httpx.create_ssl_context(trust_env=False)


def _retry_after_s(response: httpx.Response) -> float | None:
    """Seconds of a Retry-After; a date is not read, as no routing service writes one."""
    text = response.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


async def _end(tasks: Any) -> None:
    """Cancels tasks and waits until they are gone, so that none writes into a matrix already handed out."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

"""Callout's programs as real processes for tests: started on a free port, awaited, and ended by id."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psutil

from callout_people.sessions import open_session
from callout_people.tokens import TokenIssuer
from callout_store.work import Database

SECRET = "tests-only-" + "fedcba9876543210" * 2
READY_S = 40.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Program:
    """One started program and all it started."""

    def __init__(self, argv: list[str], environment: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                argv,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def family(self) -> list[psutil.Process]:
        try:
            root = psutil.Process(self.process.pid)
            return [*root.children(recursive=True), root]
        except psutil.NoSuchProcess:
            return []

    def kill(self) -> None:
        """kill -9 of the program and its children."""
        for process in self.family():
            try:
                process.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue
        self.process.wait(10)

    def end(self) -> None:
        """SIGTERM, and SIGKILL if that is not enough."""
        if self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.kill()


def environment(urls: Any, data: Path, **more: str) -> dict[str, str]:
    """What a program needs to run on these servers."""
    return {
        "DATABASE_URL": urls.database,
        "REDIS_URL": urls.redis,
        "CALLOUT_DATA": str(data),
        "CALLOUT_SECRET": SECRET,
        "HOST": "127.0.0.1",
        **more,
    }


class Api(Program):
    """`callout serve` on a free port of 127.0.0.1."""

    def __init__(
        self, urls: Any, data: Path, *, workers: int = 1, port: int | None = None, **more: str
    ) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        super().__init__(
            [sys.executable, "-m", "callout_backend", "serve", "--workers", str(workers)],
            environment(urls, data, PORT=str(self.port), **more),
            data / "serve.log",
        )
        self.wait()

    def wait(self) -> None:
        """Until it answers; fails with the end of its log."""
        until = time.monotonic() + READY_S
        while time.monotonic() < until:
            if self.process.poll() is not None:
                break
            try:
                if httpx.get(self.url + "/healthz", timeout=2).status_code == 200:
                    return
            except httpx.HTTPError:
                time.sleep(0.1)
        self.end()
        raise AssertionError(f"callout serve did not come up:\n{self.log.read_text()[-3000:]}")


async def device_token(db: Database, org_id: UUID, user_id: UUID, device_id: UUID | None) -> str:
    """An access token as that device would get it, signed with the tests' secret."""
    async with db.work(org_id) as work:
        tokens = await open_session(work, TokenIssuer(SECRET), user_id=user_id, device_id=device_id)
    return tokens.access_token

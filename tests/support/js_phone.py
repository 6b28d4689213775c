"""A phone whose client others wrote, running in Node and told what to do line by line."""

import asyncio
import json
from pathlib import Path
from typing import Any

from node import _environment, node_command

LINE_BYTES_MAX = 64 * 1024 * 1024


class JsPhone:
    """`await phone.do("act", …)` has the script do one thing and returns what it answers; a fault there fails the test."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._said: list[str] = []
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def start(cls, project: Path, script: Path, **env: str) -> "JsPhone":
        """Start the script with these variables in its environment."""
        command = node_command(project, script)
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=_environment(Path(command[0]), env),
            limit=LINE_BYTES_MAX,
        )
        return cls(process)

    async def do(self, act: str, *, within_s: float = 30.0, **given: Any) -> Any:
        """One act; its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"act": act, **given}).encode() + b"\n")
        await self._process.stdin.drain()
        try:
            async with asyncio.timeout(within_s):
                while True:
                    line = await self._process.stdout.readline()
                    if not line:
                        raise AssertionError(f"{act}: the script has ended\n{self.said()}")
                    if line.startswith(b'{"ok":') or line.startswith(b'{"error":'):
                        break
                    # Libraries print there, too.
                    self._said.append(line.decode(errors="replace"))
        except TimeoutError:
            raise AssertionError(f"{act} {given}: no answer within {within_s} s\n{self.said()}") from None
        answer = json.loads(line)
        if "error" in answer:
            raise AssertionError(f"{act} {given}: {answer['error']}\n{self.said()}")
        return answer["ok"]

    def said(self) -> str:
        """The end of what the script printed beside its answers."""
        return "".join(self._said)[-4000:]

    async def end(self) -> None:
        """End the script."""
        if self._process.returncode is None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            try:
                async with asyncio.timeout(5):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        await self._listening

    async def _listen(self) -> None:
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            self._said.append(line.decode(errors="replace"))

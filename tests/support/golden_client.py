"""Plays a client vector of mobile_contracts/golden/client.json with the reference phone; another client needs the same:
a transport that answers from the script, and six actions."""

import base64
import random
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from callout_client import DeviceClock, NetworkLost, Phone, Refused, Store
from callout_client.transport import Answered

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
TUS = {"tus-resumable": "1.0.0"}
ACTIONS = ("push", "pull", "sync", "upload")


class ScriptedServer:
    """Answers from a list of exchanges, and holds each request against what it should carry."""

    def __init__(self, ids: dict[str, str]) -> None:
        self.ids, self.script = ids, list[dict[str, Any]]()
        self.bodies: dict[str, list[bytes]] = {}

    async def request(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answered:
        assert self.script, f"nothing was expected any more, and came: {method} {path} {body[:200]!r}"
        exchange = self.script.pop(0)
        asked, carried, told = self._read(method, path, body, headers)
        assert asked == exchange["asked"], f"expected {exchange}, came {asked} {carried}"
        for key, expected in exchange.get("carries", {}).items():
            assert carried.get(key) == expected, f"{asked}: {key} is {carried.get(key)!r}, not {expected!r}"
        if exchange.get("lost"):
            raise NetworkLost("as the script says")
        if "status" in exchange:
            return exchange["status"], TUS, b""
        if "refused" in exchange:
            return self._refusal(asked, exchange["refused"])
        return self._answer(asked, exchange["answer"], told)

    def _read(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[str, dict[str, Any], list[str]]:
        if path != "/graphql":
            carried: dict[str, Any] = {"url": path, "size": len(body)}
            if "Upload-Offset" in headers:
                carried["offset"] = int(headers["Upload-Offset"])
            if "Upload-Length" in headers:
                carried["length"] = int(headers["Upload-Length"])
                pairs = [pair.split(" ") for pair in headers["Upload-Metadata"].split(",")]
                assert all(base64.b64decode(text, validate=True) for _, text in pairs)
                carried["metadata"] = [key for key, _ in pairs]
            return method, carried, []
        asked = msgspec.json.decode(body)
        if "confirmWipe" in asked["query"]:
            return "confirmWipe", {}, []
        if "push" not in asked["query"]:
            return "pull", asked["variables"], []
        envelope = asked["variables"]["input"]
        sent = [command["id"] for command in envelope["commands"]]
        names = {id_: name for name, id_ in self.ids.items()}
        for command in envelope["commands"]:
            self.bodies.setdefault(command["id"], []).append(msgspec.json.encode(command))
        return "push", {**envelope, "commands": [names[id_] for id_ in sent]}, sent

    def _answer(self, asked: str, answer: Any, sent: list[str]) -> Answered:
        if asked == "POST":
            return 201, {**TUS, "location": answer["location"]}, b""
        if asked in ("HEAD", "PATCH"):
            return 204, {**TUS, "upload-offset": str(answer["offset"])}, b""
        if asked == "push":
            answers = []
            for told in answer["answers"]:
                id_ = self.ids[told["command"]]
                rest = {key: value for key, value in told.items() if key != "command"}
                answers.append({"index": sent.index(id_), "id": id_, **rest})
            answer = {**answer, "answers": answers}
        text = msgspec.json.encode({"data": {asked: answer}}).decode()
        for name, id_ in self.ids.items():
            text = text.replace(f'"${name}"', f'"{id_}"')
        return 200, {}, text.replace('"$x"', '"01900000-0000-7000-8000-00000000000a"').encode()

    def _refusal(self, asked: str, refused: dict[str, Any]) -> Answered:
        if asked in ("POST", "HEAD", "PATCH"):
            return 400, TUS, msgspec.json.encode(refused)
        error = {"message": refused["code"], "extensions": refused}
        return 200, {}, msgspec.json.encode({"errors": [error]})


class Player:
    """One phone, and what the script calls its commands."""

    def __init__(self, vector: dict[str, Any], path: Path) -> None:
        self.vector, self.path = vector, path
        self.ids: dict[str, str] = {}
        self.told: list[str] = []
        self.server = ScriptedServer(self.ids)
        self.phone = self.start(12)
        self.phone.store.set_marks(access="a", refresh="r", device="d")

    def start(self, attempts: int) -> Phone:
        async def sleep(seconds: float) -> None:
            pass

        phone = Phone(
            self.server,
            Store(self.path),
            DeviceClock(truth=lambda: NOW),
            rng=random.Random(len(self.ids)),
            sleep=sleep,
            attempts_max=attempts,
            schema_version=self.vector.get("schemaVersion", 2),
            piece_bytes=self.vector.get("pieceBytes", 512_000),
        )
        phone.told = self.told.append
        return phone

    def restart(self, attempts: int = 12) -> None:
        self.phone.store.close()
        self.phone = self.start(attempts)

    async def play(self) -> None:
        for step in self.vector["steps"]:
            await self.step(step)

    async def step(self, step: dict[str, Any]) -> None:
        phone = self.phone
        if "restart" in step:
            self.restart()
        elif "record" in step:
            made = step["record"]
            self.ids[made["name"]] = str(phone.record(made["kind"], made["visitId"], made["payload"]))
        elif "edit" in step:
            made = step["edit"]
            id_ = phone.edit(
                made["entity"],
                made["id"],
                changes=made.get("changes"),
                add=made.get("add"),
                visit_id=made.get("visitId"),
            )
            self.ids[made["name"]] = str(id_)
        elif "photo" in step:
            made = step["photo"]
            self.ids[made["name"]] = str(
                phone.take_photo(made["visitId"], bytes.fromhex(made["hex"]), media_type=made["mediaType"])
            )
        elif "expect" in step:
            self.look(step["expect"])
        else:
            await self.act(step)

    async def act(self, step: dict[str, Any]) -> None:
        (action,) = [name for name in ACTIONS if name in step]
        if "attempts" in step:
            self.restart(step["attempts"])
        self.server.script = list(step[action])
        code = None
        try:
            await getattr(self.phone, action)()
        except Refused as refused:
            code = refused.code
        assert code == step.get("fails"), f"{action} ended with {code}"
        assert not self.server.script, f"{action} never asked for {self.server.script}"

    def look(self, expected: dict[str, Any]) -> None:
        store = self.phone.store
        names = {id_: name for name, id_ in self.ids.items()}
        bodies = {
            names[id_]: [msgspec.json.decode(body) for body in sent]
            for id_, sent in self.server.bodies.items()
        }
        for key, value in expected.items():
            match key:
                case "copy":
                    kept = [f"{e}/{i}" for e, i, _ in store.documents() if e != "outcome"]
                    assert kept == value
                case "pending":
                    assert [names[msgspec.json.decode(body)["id"]] for _, body in store.pending()] == value
                case "shown":
                    for row, fields in value.items():
                        shown = store.get(*row.split("/")) or {}
                        assert {name: shown.get(name) for name in fields} == fields
                case "states":
                    assert {visit["id"]: visit["state"] for visit in store.visits()} == value
                case "fates":
                    assert {name: store.fate(self.ids[name]).status for name in value} == value
                case "told":
                    assert self.told == value
                    self.told.clear()
                case "pictures":
                    assert [one.sha256 for one in store.pictures.pending()] == value
                case "refusedPictures":
                    assert [code for _, code in store.pictures.refused()] == value
                case "same":
                    for name in value:
                        sent = self.server.bodies[self.ids[name]]
                        assert len(sent) > 1
                        assert len(set(sent)) == 1
                case "seen":
                    assert {name: bodies[name][-1].get("seen") for name in value} == value
                case "sequences":
                    assert {name: bodies[name][-1]["sequence"] for name in value} == value
                case "payloads":
                    for name, fields in value.items():
                        sent_payload = bodies[name][-1]["payload"]
                        assert {field: sent_payload.get(field) for field in fields} == fields
                case _:
                    raise AssertionError(f"this player does not know {key}")

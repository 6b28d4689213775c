"""What the embedded servers keep between runs: passwords and ports, in one file that only we can read."""

import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(slots=True)
class Keys:
    """Passwords are hexadecimal, so they need no quoting in URLs, SQL and configuration files."""

    admin: str
    owner: str
    app: str
    redis: str
    postgres_port: int | None = None
    redis_port: int | None = None

    @classmethod
    def fresh(cls) -> "Keys":
        admin, owner, app, redis = (secrets.token_hex(16) for _ in range(4))
        return cls(admin=admin, owner=owner, app=app, redis=redis)


def read_keys(path: Path) -> Keys | None:
    """The kept keys; None where there are none, or the file was cut short by a full disk."""
    try:
        kept = json.loads(path.read_text("ascii"))
        return Keys(**kept)
    except (FileNotFoundError, ValueError, TypeError):
        return None


def write_keys(path: Path, keys: Keys) -> None:
    write_private(path, json.dumps(asdict(keys), indent=1))


def write_private(path: Path, text: str) -> None:
    """Replace the file by one that only its owner can read, whole or not at all."""
    half = path.with_name(f".{path.name}.{os.getpid()}")
    half.unlink(missing_ok=True)
    with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    half.replace(path)

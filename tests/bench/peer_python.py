"""Peers of a bench that are Python packages: each in an environment of its own in the cache folder, never in Callout's."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from node import cache_folder, locked

PEERS = Path(__file__).parent / "peers"


class NotInstalled(Exception):
    """The packages could not be had; the end of what pip said."""


def environment(name: str) -> Path:
    """The folder of an environment with what `peers/{name}.txt` pins, made now if it is not there yet."""
    requirements = PEERS / f"{name}.txt"
    wanted = requirements.read_bytes() + sys.version.encode()
    target = cache_folder() / name / hashlib.sha256(wanted).hexdigest()[:20]
    with locked(target.with_suffix(".lock")):
        # An environment cannot be renamed (its scripts name it): a mark inside says that it is whole.
        if not (target / "complete").exists():
            shutil.rmtree(target, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", str(target)], check=True)
            done = subprocess.run(
                [
                    *(str(target / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps"),
                    *("--disable-pip-version-check", "--no-input", "--only-binary", ":all:"),
                    *("--requirement", str(requirements)),
                ],
                capture_output=True,
                text=True,
            )
            if done.returncode:
                raise NotInstalled(done.stderr[-3000:])
            (target / "complete").touch()
    return target

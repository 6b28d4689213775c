"""Print the packages that pyproject.toml asks for, one a line, for `pip install --requirement /dev/stdin`.

Arguments: any of ``build``, ``run`` and ``dev``. Installed apart from Callout itself, so that pip can be held
to wheels and so that no second environment is made for the build.
"""

import sys
import tomllib
from pathlib import Path


def wanted(groups: list[str]) -> list[str]:
    """The requirements of the named groups, as written in pyproject.toml."""
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text("utf-8"))
    found: dict[str, list[str]] = {
        "build": project["build-system"]["requires"],
        "run": project["project"]["dependencies"],
        "dev": project["project"]["optional-dependencies"]["dev"],
    }
    return [line for group in groups for line in found[group]]


if __name__ == "__main__":
    print("\n".join(wanted(sys.argv[1:])))

"""Renew the packaged files of the GraphQL page: `python backend/callout_backend/web/renew_vendor.py`.

Fetches each package by name and version with `npm pack`, from whatever registry npm is set up for, checks the archive
against the hash below, and copies the few files that the page needs, with their licences. Run by hand when a version
changes; the files are committed, so that nobody needs Node to run Callout.
"""

import base64
import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
TARGET = HERE / "static" / "graphiql"


@dataclass(frozen=True)
class Package:
    """A package: its hash as npm's lock files write it, and {path in the archive: name here}."""

    spec: str
    integrity: str
    files: dict[str, str]


PACKAGES = (
    Package(
        "graphiql@3.8.3",
        "sha512-cuPDYtXVKV86Pu5PHBX642Odi/uVEE2y1Jxq5rGO/Qy1G2lRp7ZZ7a/T30RzxhuLSWo9zUbzq0P3U49//H0Ugw==",
        {
            "graphiql.min.js": "graphiql.min.js",
            "graphiql.min.css": "graphiql.min.css",
            "LICENSE": "LICENSE.graphiql",
        },
    ),
    Package(
        "react@18.3.1",
        "sha512-wS+hAgJShR0KhEvPJArfuPVN1+Hz1t0Y6n5jLrGQbkb4urgPE/0Rve+1kMB1v/oWgHgm4WIcV+i7F2pTVj+2iQ==",
        {"umd/react.production.min.js": "react.production.min.js", "LICENSE": "LICENSE.react"},
    ),
    Package(
        "react-dom@18.3.1",
        "sha512-5m4nQKp+rZRb09LNH59GM4BxTh9251/ylbKIbpe7TpGxfJ+9kv6BLkLBXIjjspbgbnIBNqlI23tRnTWT0snUIw==",
        {"umd/react-dom.production.min.js": "react-dom.production.min.js", "LICENSE": "LICENSE.react-dom"},
    ),
)
NOTICE = """The files in this folder, but for graphiql.html, page.css and page.js, come from these npm packages,
unchanged but for the line that names a source map. Each is under the licence in the file LICENSE.<package>.

{packages}

graphiql.min.js holds further packages within it, among them graphql, codemirror, markdown-it and @radix-ui, all under
the MIT licence; their notices stand in the package graphiql and in those packages.
"""


def fetch(package: Package, folder: Path) -> Path:
    """The package's archive, checked."""
    done = subprocess.run(
        ["npm", "pack", package.spec, "--json", "--silent", "--pack-destination", str(folder)],
        check=True,
        capture_output=True,
        text=True,
    )
    name: str = json.loads(done.stdout)[0]["filename"]
    archive = folder / name.replace("@", "").replace("/", "-")
    found = "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if found != package.integrity:
        raise SystemExit(f"{package.spec}: the archive is {found}, expected {package.integrity}")
    return archive


def copy(package: Package, archive: Path) -> None:
    """The wanted files of an archive, into the folder of the page."""
    with tarfile.open(archive) as tar:
        for inside, name in package.files.items():
            member = tar.extractfile(f"package/{inside}")
            if member is None:
                raise SystemExit(f"{package.spec} holds no {inside}")
            lines = member.read().splitlines(keepends=True)
            # Source maps are not packaged, and a browser's tools would ask for them.
            (TARGET / name).write_bytes(
                b"".join(line for line in lines if b"sourceMappingURL=" not in line[:200])
            )


def main() -> int:
    """Fetch, check and copy everything, then write the notice."""
    TARGET.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for package in PACKAGES:
            copy(package, fetch(package, Path(folder)))
            print(package.spec)
    packages = "\n".join(f"- {package.spec}" for package in PACKAGES)
    (TARGET / "NOTICE").write_text(NOTICE.format(packages=packages), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

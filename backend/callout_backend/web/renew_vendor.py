"""Renew the packaged files of the GraphQL page and of the API's page: `python backend/callout_backend/web/renew_vendor.py`.

Fetches each package by name and version with `npm pack`, from whatever registry npm is set up for, checks the archive
against the hash below, and copies the few files that a page needs, with their licences. Run by hand when a version
changes; the files are committed, so that nobody needs Node to run Callout.
"""

import base64
import hashlib
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
TARGET = HERE / "static" / "graphiql"
API_TARGET = HERE / "static" / "swagger"


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
API_PACKAGE = Package(
    "swagger-ui-dist@5.35.0",
    "sha512-U06rpMtW9V3XPGOBeamTUSr0Z09jMX4IJuANpE/EZbAhw0G8CgwrzU4YmXkn/h0wCDNsXdGarTNNHC3sU8yVUQ==",
    {
        "swagger-ui-bundle.js": "swagger-ui-bundle.js",
        "swagger-ui.css": "swagger-ui.css",
        "LICENSE": "LICENSE.swagger-ui",
        "NOTICE": "NOTICE.swagger-ui",
        "swagger-ui-bundle.js.LICENSE.txt": "LICENSE.bundled",
    },
)
API_NOTICE = """The files in this folder, but for docs.html, docs.css and docs.js, come from the npm package {spec},
unchanged but for the lines that name source maps. It is under the licence in LICENSE.swagger-ui, with the notice in
NOTICE.swagger-ui; what its file holds of further packages is under the licences in LICENSE.bundled.
"""
NOTICE = """The files in this folder, but for graphiql.html, page.css, page.js and session.js, come from these
npm packages, unchanged but for the line that names a source map and for the embedded fonts, which are left out (the
page takes the system's). Each is under the licence in the file LICENSE.<package>.

{packages}

graphiql.min.js holds further packages within it. Their licences are in LICENSE.bundled.
"""
FONT = re.compile(rb"@font-face\s*\{[^}]*\}\s*")
BUILD_TOOLS = frozenset({"argparse", "loose-envify", "js-tokens", "graphiql", "react", "react-dom"})
"""Of what npm installs along with GraphiQL: what is not within its file, or stands here with its own licence."""


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


def copy(package: Package, archive: Path, target: Path = TARGET) -> None:
    """The wanted files of an archive, into the folder of the page."""
    with tarfile.open(archive) as tar:
        for inside, name in package.files.items():
            member = tar.extractfile(f"package/{inside}")
            if member is None:
                raise SystemExit(f"{package.spec} holds no {inside}")
            lines = FONT.sub(b"", member.read()).splitlines(keepends=True)
            # Source maps are not packaged, and a browser's tools would ask for them.
            (target / name).write_bytes(
                b"".join(line for line in lines if b"sourceMappingURL=" not in line[:200])
            )


def bundled_licences(folder: Path) -> str:
    """The licences of the packages within GraphiQL's file: each text once, below the packages that are under it."""
    specs = [package.spec for package in PACKAGES]
    npm = ["npm", "install", "--prefix", str(folder), "--ignore-scripts", "--no-audit", "--silent"]
    subprocess.run([*npm, *specs], check=True, stdout=subprocess.DEVNULL)
    under: dict[str, list[str]] = {}
    texts: dict[str, str] = {}
    for described in sorted((folder / "node_modules").glob("**/package.json")):
        told = json.loads(described.read_text("utf-8"))
        name = told.get("name", "")
        whole = described.parent.relative_to(folder / "node_modules").as_posix() == name
        if not whole or name in BUILD_TOOLS or name.startswith("@types/"):
            continue
        files = [f for f in described.parent.iterdir() if re.match(r"licen[cs]e|copying", f.name, re.I)]
        text = files[0].read_text("utf-8") if files else ""
        holders = [line.strip() for line in text.splitlines() if re.match(r"\s*(Copyright|\(c\))", line)]
        body = "\n".join(line for line in text.splitlines() if line.strip() not in holders).strip()
        key = " ".join(body.split()).lower() or f"licence: {told.get('license')}"
        texts.setdefault(
            key, body or f"(no file in the package; its description says: {told.get('license')})"
        )
        author = told.get("author") or ""
        by = author.get("name", "") if isinstance(author, dict) else author
        under.setdefault(key, []).append(f"- {name}: {'; '.join(holders) or by or 'its contributors'}")
    rule = "\n\n" + "-" * 100 + "\n\n"
    return rule.join("\n".join(names) + "\n\n" + texts[key] for key, names in under.items()) + "\n"


def main() -> int:
    """Fetch, check and copy everything, then write the notice."""
    TARGET.mkdir(parents=True, exist_ok=True)
    API_TARGET.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for package in PACKAGES:
            copy(package, fetch(package, Path(folder)))
            print(package.spec)
        copy(API_PACKAGE, fetch(API_PACKAGE, Path(folder)), API_TARGET)
        print(API_PACKAGE.spec)
        (TARGET / "LICENSE.bundled").write_text(bundled_licences(Path(folder)), "utf-8")
    packages = "\n".join(f"- {package.spec}" for package in PACKAGES)
    (TARGET / "NOTICE").write_text(NOTICE.format(packages=packages), "utf-8")
    (API_TARGET / "NOTICE").write_text(API_NOTICE.format(spec=API_PACKAGE.spec), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

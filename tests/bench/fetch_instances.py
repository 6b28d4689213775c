"""Fetch Gehring and Homberger's instances and the best routes known for them: `python tests/bench/fetch_instances.py`.

From github.com/PyVRP/Instances (folder VRPTW, 1,000 customers each), at one commit, each file held against its checksum, into
the cache folder. CALLOUT_INSTANCES names another folder that has them; its files are held against the same checksums.
"""

import hashlib
import os
import sys
from pathlib import Path

import httpx

sys.path.append(str(Path(__file__).resolve().parents[1] / "support"))
from node import cache_folder

COMMIT = "1445e12e99fc8c252994e45c902ed61db645fa58"
SOURCE = "https://raw.githubusercontent.com/PyVRP/Instances/{commit}/{path}"
SHA256 = {
    "VRPTW/C1_10_1.vrp": "200427879a5170d0c711221a777bd7e2c5ba6fe5ca6f8c1e1153c0a5a14eb45d",
    "VRPTW/C1_10_1.sol": "fe312f4bff24dc333df09ecbe346e55e7e0b7891601392724d60d598f2e6cb1b",
    "VRPTW/C1_10_2.vrp": "3c893202e9a4a2e4b52819657435df27f5021a230aa8bd27ef9166e756d22d89",
    "VRPTW/C1_10_2.sol": "97ac9e928f1068f26c7d01abb9c8c10a9c327afbd6bf29320a5b9b656b6d5a58",
    "VRPTW/C2_10_1.vrp": "d41ead082cdbc46589a778fdcf67cb77bc5750a1aefb0e1212a6893d600d71b3",
    "VRPTW/C2_10_1.sol": "271df28e4a754a77149952cfb372fc54a3bcf26d4322888e4460ec4f1bf47c7a",
    "VRPTW/C2_10_2.vrp": "ddde33b55cdbf2121d81d533f890917d0078f25463b540e72bb5469d9358605d",
    "VRPTW/C2_10_2.sol": "550e24a042f5bf396dc46b221b37208b8406b0bb002538f4d40e50507c9c57b8",
    "VRPTW/R1_10_1.vrp": "7c064a3a3bcf5c3d4e64a4dc32ad603ad84563cf2fce39d5bdbf73972b7fd84d",
    "VRPTW/R1_10_1.sol": "a781f8c76ef0a6edce7d7bfb066df6cf8b0602e1ea3db98df2705a6165d682e8",
    "VRPTW/R1_10_2.vrp": "d7f84156b62489e1df76cd31b93aeef666fa941b3719b1dccd02511419e01ea0",
    "VRPTW/R1_10_2.sol": "3a47af2acb2f50d036a97b22b67fcad4b6b1124b0f95e49a0278a8a95c771856",
    "VRPTW/R2_10_1.vrp": "15beaff8439464ff9400553cc6e5687ef845776cabed495a34645ef780c88c29",
    "VRPTW/R2_10_1.sol": "c370c023d1bed04b8b65ffe2ab7b22843b03b6dae2331519f467a5f671d0dc57",
    "VRPTW/RC1_10_1.vrp": "e9c00b51724a2c90f0e01f9a3f5908a991a8bf72aebf8c73d6838af5113f67a4",
    "VRPTW/RC1_10_1.sol": "27b3c9af4cc7852424c3e192d437755562eb28bc6f2e611b699e91f45ec5fed3",
    "VRPTW/RC1_10_2.vrp": "9ca0869dbe96612e3402f5c1f611dc9b226d8fb1d1d70c1808a88d44020c871a",
    "VRPTW/RC1_10_2.sol": "c330ff90738938d652488283029ec9366c86ec07d6c8ffe9064a2196104b4ee2",
    "VRPTW/RC2_10_1.vrp": "839b97351bcc26d34d18801a7b41f56e65922345a0521e5c8d5d49313b3b86c7",
    "VRPTW/RC2_10_1.sol": "c5b9bab2fbf2ac2483616af5ca769a8cdbf67225744a34b23921e5f66b7393b8",
}
TIMEOUT_S = 30.0


class NotFetched(Exception):
    """A file is not there, or is not the one that is meant."""


def folder() -> Path:
    """Where the files are, or will be."""
    given = os.environ.get("CALLOUT_INSTANCES")
    return Path(given) if given else cache_folder() / "instances" / COMMIT[:12]


def names() -> list[str]:
    """The instances, without ending."""
    return sorted({Path(path).stem for path in SHA256})


def fetched(name: str, ending: str) -> Path:
    """The file of that instance. Raises `NotFetched`."""
    path = f"VRPTW/{name}.{ending}"
    target = folder() / path
    if not target.is_file():
        raise NotFetched(f"{path} is not fetched: run tests/bench/fetch_instances.py")
    if hashlib.sha256(target.read_bytes()).hexdigest() != SHA256[path]:
        raise NotFetched(f"{path} is not the file that is meant")
    return target


def fetch(client: httpx.Client) -> int:
    """Fetch what is missing; how many files that were. Raises `NotFetched`, `httpx.HTTPError`."""
    count = 0
    for path, wanted in SHA256.items():
        target = folder() / path
        if target.is_file() and hashlib.sha256(target.read_bytes()).hexdigest() == wanted:
            continue
        answer = client.get(SOURCE.format(commit=COMMIT, path=path))
        answer.raise_for_status()
        if hashlib.sha256(answer.content).hexdigest() != wanted:
            raise NotFetched(f"{path} is not the file that is meant")
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_suffix(target.suffix + ".part")
        part.write_bytes(answer.content)
        part.replace(target)
        count += 1
    return count


def main() -> int:
    """Fetch, and say what was done."""
    try:
        with httpx.Client(timeout=TIMEOUT_S, follow_redirects=True) as client:
            count = fetch(client)
    except (httpx.HTTPError, NotFetched, OSError) as error:
        print(f"The instances could not be fetched: {error}", file=sys.stderr)
        return 1
    print(f"{count} files fetched, {len(SHA256) - count} were there: {folder()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

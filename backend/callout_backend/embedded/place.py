"""Where the servers' files lie and as whom they run.

PostgreSQL refuses to run as root, and nothing that listens should. Started by root, the servers run as the system
user `callout` (made when missing; `nobody` where it cannot be made). That user must be able to walk to its files: a
checkout under a closed folder such as root's home is no place for it. Loosening a folder that is not ours would be
wrong, so the servers' files then go to a folder below /var/lib/callout, and the caller is told.
"""

import contextlib
import hashlib
import os
import pwd
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from callout_backend.embedded.processes import KILL, EmbeddedError, as_user, end, servers_in, wait_until

SERVER_USER = "callout"
SHARED_PLACES = (Path("/var/lib/callout"), Path("/var/tmp/callout"))


@dataclass(frozen=True, slots=True)
class Identity:
    """The unprivileged user that the servers run as."""

    name: str
    uid: int
    gid: int

    @property
    def pair(self) -> tuple[int, int]:
        return self.uid, self.gid


@dataclass(frozen=True, slots=True)
class Place:
    """`home` holds the servers' data folders; `identity` is None when we are not root and they run as ourselves."""

    home: Path
    identity: Identity | None
    notes: tuple[str, ...] = ()

    @property
    def user(self) -> tuple[int, int] | None:
        return self.identity.pair if self.identity else None

    def own(self, path: Path) -> None:
        """Hand one file or empty folder to the servers' user."""
        if self.identity is not None:
            os.chown(path, self.identity.uid, self.identity.gid)

    def folder(self, name: str) -> Path:
        """A data folder of a server, closed to everybody else."""
        path = self.home / name
        if make_folder(path, 0o700):
            self.own(path)
        return path


def make_folder(path: Path, mode: int) -> bool:
    """Make the folder with exactly this mode, whatever the umask; False, and nothing changed, if it is there."""
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        return False
    path.chmod(mode)
    return True


def find_place(data: Path, *, server_user: str | None = None) -> Place:
    """The place of the data folder's servers. `data` exists."""
    inside = data / "servers"
    if os.geteuid() != 0:
        make_folder(inside, 0o700)
        return Place(inside, None)
    identity = unprivileged(server_user)
    make_folder(inside, 0o711)
    if can_walk_to(inside, identity):
        return Place(inside, identity)
    home = _outside_home(data)
    note = f"The user {identity.name} cannot reach {data}; the servers' files lie in {home}."
    return Place(home, identity, (note,))


def programs(source: Path, probes: tuple[str, ...], identity: Identity | None) -> Path:
    """The folder of programs that the servers' user can run: `source` itself, or a copy where it is out of reach.

    `source` lies in a package of site-packages, `probes` are programs in it, tried with --version. The programs
    find the wheel's own libraries beside the package, relative to themselves, so the copy keeps that layout.
    """
    if identity is None or all(_runs(source / probe, identity) for probe in probes):
        return source
    site, package = _package_of(source)
    seen = (source / probes[0]).stat()
    mark = hashlib.sha256(f"{source}|{seen.st_size}|{seen.st_mtime_ns}".encode()).hexdigest()[:16]
    target = _shared_place() / "programs" / mark
    if not target.exists():
        make_folder(target.parent, 0o755)
        # Complete or absent: a copy cut short must not be taken for a whole one by the next start.
        half = target.with_name(f"{mark}.{secrets.token_hex(4)}")
        shutil.copytree(source, half / source.relative_to(site), symlinks=True)
        libraries = site / f"{package}.libs"
        if libraries.is_dir():
            shutil.copytree(libraries, half / libraries.name, symlinks=True)
        _open_for_reading(half)
        try:
            half.rename(target)
        except OSError:
            shutil.rmtree(half, ignore_errors=True)
    copied = target / source.relative_to(site)
    for probe in probes:
        if not _runs(copied / probe, identity):
            raise EmbeddedError(
                f"The user {identity.name} cannot run {copied / probe} (is it mounted noexec?)."
            )
    return copied


def _package_of(source: Path) -> tuple[Path, str]:
    """The folder that holds the package which `source` lies in, and the package's name."""
    package = source
    while not (package / "__init__.py").exists() and package != package.parent:
        package = package.parent
    return package.parent, package.name


def unprivileged(wanted: str | None) -> Identity:
    """The user to run as when we are root: the one asked for, else `callout`, made when missing, else `nobody`."""
    if wanted is not None:
        found = _lookup(wanted)
        if found is None or found.uid == 0:
            raise EmbeddedError(f"CALLOUT_SERVER_USER={wanted} is not an unprivileged user of this machine.")
        return found
    found = _lookup(SERVER_USER) or _make_user() or _lookup("nobody")
    if found is None or found.uid == 0:
        raise EmbeddedError(
            "There is no unprivileged user for the servers. Make one: useradd --system callout"
        )
    return found


def can_walk_to(folder: Path, identity: Identity) -> bool:
    """Whether that user can enter the folder; asked by trying, so that access lists count too."""
    asked = subprocess.run(
        ["/bin/sh", "-c", 'cd "$1"', "sh", str(folder)],
        cwd="/",
        capture_output=True,
        **as_user(identity.pair),
    )
    return asked.returncode == 0


def _runs(program: Path, identity: Identity) -> bool:
    try:
        asked = subprocess.run(
            [str(program), "--version"], cwd="/", capture_output=True, timeout=30, **as_user(identity.pair)
        )
    except OSError:
        return False
    return asked.returncode == 0


def _lookup(name: str) -> Identity | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Identity(name, entry.pw_uid, entry.pw_gid)


def _make_user() -> Identity | None:
    command = shutil.which("useradd") or shutil.which("useradd", path="/usr/sbin:/sbin")
    if command is None:
        return None
    options = ["--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
    subprocess.run([command, *options, "--shell", "/usr/sbin/nologin", SERVER_USER], capture_output=True)
    # Another start may be making the same user right now and hold the lock of the user database.
    wait_until(lambda: _lookup(SERVER_USER) is not None, 2.0)
    return _lookup(SERVER_USER)


def _shared_place() -> Path:
    """A folder of root's that everybody can walk through and only root can write to."""
    for place in SHARED_PLACES:
        with contextlib.suppress(OSError):
            make_folder(place, 0o755)
            seen = place.lstat()
            if place.is_dir() and not place.is_symlink() and seen.st_uid == 0 and not seen.st_mode & 0o022:
                return place
    raise EmbeddedError(
        f"None of {', '.join(map(str, SHARED_PLACES))} can be used. Choose a CALLOUT_DATA folder that an"
        " unprivileged user can reach, or start Callout as an ordinary user."
    )


def _outside_home(data: Path) -> Path:
    """The home below /var/lib/callout that belongs to this data folder.

    Its name is drawn at random and kept in the data folder: who deletes the data folder starts afresh, as they
    would where the files lie inside. Homes left behind by an earlier folder of the same path are removed then.
    """
    homes = _shared_place() / "homes"
    make_folder(homes, 0o755)
    kept = data / "servers" / "home"
    if not kept.exists():
        kept.write_text(secrets.token_hex(8), "ascii")
    home = homes / kept.read_text("ascii").strip()
    for other in homes.iterdir():
        origin = other / "origin"
        if other != home and origin.is_file() and origin.read_text("utf-8") == str(data):
            for name, program in (("postgres", "postgres"), ("redis", "redis-server")):
                end(servers_in(other / name, program), KILL)
            shutil.rmtree(other, ignore_errors=True)
    make_folder(home, 0o711)
    (home / "origin").write_text(str(data), "utf-8")
    return home


def _open_for_reading(folder: Path) -> None:
    for parent, _folders, files in os.walk(folder):
        os.chmod(parent, 0o755)
        for name in files:
            path = os.path.join(parent, name)
            if not os.path.islink(path):
                os.chmod(path, 0o755 if os.stat(path).st_mode & 0o100 else 0o644)

"""Apache Kafka's jars: exactly those of `kafka-jars.lock`, kept once per user, their bytes checked before each start.

Where a jar is missing, jgo fetches it by its exact coordinates (no dependency resolution, so nothing can drift). A start
with all jars in place touches no network and hashes 45 MB: 0.15 s.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from streams.errors import UserError

LOCK_FILE = Path(__file__).with_name("kafka-jars.lock")
KAFKA_VERSION = "4.3.0"


@dataclass(frozen=True)
class Jar:
    """One line of the lock: SHA-256 (hex), file name, Maven coordinates group:artifact:version."""

    sha256: str
    name: str
    coordinates: str


def locked_jars(lock: Path = LOCK_FILE) -> tuple[Jar, ...]:
    """The jars of the lock, in class path order (by name)."""
    lines = (line.split() for line in lock.read_text(encoding="ascii").splitlines() if not line.startswith("#"))
    return tuple(Jar(*fields) for fields in lines if fields)


def default_directory() -> Path:
    """The user's cache directory, as the platform has it."""
    if sys.platform == "darwin":
        cache = Path.home() / "Library" / "Caches"
    else:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "tokenbourse" / f"kafka-{KAFKA_VERSION}"


def missing(directory: Path, jars: tuple[Jar, ...] | None = None) -> list[Jar]:
    """Jars that are not there yet."""
    return [jar for jar in jars or locked_jars() if not (directory / jar.name).is_file()]


def altered(directory: Path, jars: tuple[Jar, ...] | None = None) -> list[Jar]:
    """Jars whose bytes are not the locked ones."""
    return [jar for jar in jars or locked_jars() if _sha256(directory / jar.name) != jar.sha256]


def class_path(directory: Path, *, on_fetch: Callable[[str], None] = lambda _name: None) -> str:
    """The Java class path of Kafka after fetching what is missing and checking every byte.

    Args:
        directory: where the jars are kept.
        on_fetch: called with the name of each jar that is fetched.

    Raises:
        UserError: a jar can't be fetched, or its bytes are not the locked ones.
    """
    jars = locked_jars()
    if missing(directory, jars):
        directory.mkdir(parents=True, exist_ok=True)
        with _only_one_process(directory), ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda jar: _fetch(jar, directory, on_fetch), missing(directory, jars)))
            shutil.rmtree(directory / ".fetched", ignore_errors=True)
    if wrong := altered(directory, jars):
        names = ", ".join(jar.name for jar in wrong)
        message = f"refusing to start Kafka: {names} in {directory} is not what kafka-jars.lock says; delete it to fetch it again"
        raise UserError(message)
    # Only locked names: a jar that someone dropped into the directory is not loaded.
    return os.pathsep.join(str(directory / jar.name) for jar in jars)


def _fetch(jar: Jar, directory: Path, on_fetch: Callable[[str], None]) -> None:
    from jgo.config import GlobalSettings  # noqa: PLC0415  0.3 s to import, needed once per user
    from jgo.maven import MavenContext  # noqa: PLC0415  as above

    on_fetch(jar.name)
    group, artifact, version = jar.coordinates.split(":")
    chosen = GlobalSettings.load()  # a company's mirror is configured where jgo looks for it
    in_repository = Path(chosen.repo_cache, *group.split("."), artifact, version, jar.name)
    if _sha256(in_repository) == jar.sha256:
        _put(in_repository, directory / jar.name)
        return
    # A repository of our own to fetch into: what lies in the user's may be half written.
    context = MavenContext(repo_cache=directory / ".fetched", timeout=60)
    context.remote_repos.update(chosen.repositories)
    try:
        found = Path(context.project(group, artifact).at_version(version).artifact().resolve())
    except Exception as error:  # jgo lets its HTTP library's errors through, beside RuntimeError and ValueError of its own
        message = f"{jar.name} ({jar.coordinates}) can't be fetched: {error}. Kafka needs it once; see `bourse doctor`"
        raise UserError(message) from error
    try:
        if _sha256(found) != jar.sha256:
            message = f"refusing {jar.name}: the bytes that were fetched are not what kafka-jars.lock says"
            raise UserError(message)
        _put(found, directory / jar.name)
    finally:
        found.unlink()


def _put(source: Path, target: Path) -> None:
    arriving = target.with_name(f".{target.name}.arriving")
    shutil.copyfile(source, arriving)
    arriving.replace(target)  # whole or not at all


def _sha256(path: Path) -> str:
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _only_one_process(directory: Path) -> Iterator[None]:
    with (directory / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield

"""The release store: manifests by release, and the blobs they refer to by sha256, which are an OCI image layout.

    releases/<name>/<first 12 of the key>/manifest.json     every build of a release
    releases/<name>/<first 12 of the key>/e2e.json          what was made of upstream's tests of it
    releases/<name>/current                                 link to the one to use
    blobs/sha256/<hex>                                      binaries, image layers, configs and manifests
    oci-layout, index.json                                  the images of all builds as NAME:TAG, for other tools
    verified.json                                           which blobs were read and found right

Where builds differ in what they call NAME:TAG, the index names that of the build that was written last.

Everything is written beside its place and renamed into it, so a run that dies leaves no half of anything.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.errors import KubeV6Error
from configs.manifest import Manifest
from tasks import bounded
from tasks.disk import writing
from tasks.exclusive import exclusive
from tasks.paths import data_dir
from tasks.release import docker_archive, image_layout
from tasks.release.docker_archive import CHUNK
from tasks.release.verified import Verified
from tasks.replace import to_disk, write_whole

ABANDONED = 24 * 3600
"""Seconds after which an unfinished file belongs to nobody any more."""
TESTS = "e2e.json"
log = logging.getLogger("kubev6.store")


@dataclass(frozen=True, slots=True)
class Damage:
    """A blob of a release that is not as it should be.

    Attributes:
        digest: Its digest, ``sha256:...``.
        of: The binary or image that needs it.
        seen: What is wrong, for example ``"missing"``.
    """

    digest: str
    of: str
    seen: str


@dataclass(frozen=True, slots=True)
class StoredBuild:
    """A build of a release that the store has.

    Attributes:
        name: Name of the release and the beginning of the build's key.
        place: The directory of its manifest.
        manifest: What it holds; None when that cannot be read.
        current: Whether it is the build that is used.
        tests: What was made of upstream's tests of it; None when nothing was.
    """

    name: str
    place: Path
    manifest: Manifest | None
    current: bool
    tests: Manifest | None = None


class ChecksumError(KubeV6Error):
    """Bytes that are not those that were wanted.

    Args:
        seen: Their sha256.
        size: How many there were.
        wanted: The sha256 that was wanted.
    """

    def __init__(self, seen: str, size: int, wanted: str) -> None:
        super().__init__(
            f"wrong checksum: {size} bytes with sha256 {seen} came, {wanted} was wanted",
            todo="do not use it; ask its publisher, or correct the release file",
        )
        self.seen = seen
        self.size = size
        self.wanted = wanted


class Store:
    """The releases and blobs below one directory.

    One that is no image layout, as before there were any here, becomes one.

    Args:
        root: The directory; made when something is written.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or data_dir()
        self._verified = Verified(self.root / "verified.json")
        if (self.root / "blobs").is_dir() and not (self.root / "oci-layout").exists():
            with suppress(KubeV6Error):  # one that may not be written is good to read from
                self._become_layout()

    def list(self) -> tuple[Manifest, ...]:
        """The current build of every release, by name, without those whose manifest cannot be read."""
        found = []
        for path in sorted((self.root / "releases").glob("*/current/manifest.json")):
            try:
                found.append(self._parse(path))
            except KubeV6Error as error:
                log.warning("%s; it is passed over", error.message)
        return tuple(found)

    def builds(self) -> tuple[StoredBuild, ...]:
        """Every build of every release, by name."""
        found = []
        for place in sorted((self.root / "releases").glob("*/*")):
            if place.is_symlink() or not place.is_dir():
                continue
            manifest, tests = (self._parsed(place / file) for file in ("manifest.json", TESTS))
            current = place.with_name("current")
            is_current = current.is_symlink() and str(current.readlink()) == place.name
            found.append(StoredBuild(f"{place.parent.name} {place.name}", place, manifest, is_current, tests))
        return tuple(found)

    def current(self, name: str) -> Manifest | None:
        """The current build of the release ``name``; None when the store has none.

        Raises:
            KubeV6Error: Its manifest cannot be read.
        """
        path = self.root / "releases" / name / "current" / "manifest.json"
        return self._parse(path) if path.exists() else None

    def find(self, name: str, key: str) -> Manifest | None:
        """The build of ``name`` with exactly this key, current or older; None when there is none that can be read."""
        path = self._place_of(name, key) / "manifest.json"
        if not path.exists():
            return None
        try:
            found = self._parse(path)
        except KubeV6Error as error:
            log.warning("%s; it is made again", error.message)
            return None
        return found if found.key == key else None

    def write(self, manifest: Manifest) -> None:
        """Keep a manifest, whose blobs are in the store, and make it the current one of its release.

        Raises:
            KubeV6Error: A blob that it names is not there, or the disk is full.
        """
        damaged = self.check(manifest)
        if damaged:
            raise KubeV6Error(f"release {manifest.name}: {damaged[0].of}: {damaged[0].digest}: {damaged[0].seen}")
        place = self._place_of(manifest.name, manifest.key)
        blobs = {self.blob(digest) for _, digest, _ in self.blobs(manifest)}
        with self._writing():  # what a manifest names is there, also when the power fails in this moment
            for path in (*blobs, *{blob.parent for blob in blobs}):
                to_disk(path)
        with self._unfinished(place / "manifest.json") as file:
            file.write(manifest.model_dump_json(indent=1).encode() + b"\n")
        link = place.with_name(f".current-{os.getpid()}")
        link.unlink(missing_ok=True)
        link.symlink_to(place.name)
        link.replace(place.with_name("current"))
        with self._writing():
            for path in (place, place.parent):
                to_disk(path)
        self.update_index()
        for left_behind in (self.root / "blobs" / "unfinished").iterdir():
            with suppress(FileNotFoundError):  # another run has just finished it
                if left_behind.stat().st_mtime < time.time() - ABANDONED:
                    left_behind.unlink()

    def keep_tests(self, manifest: Manifest, tests: Manifest) -> None:
        """Keep what was made of upstream's tests of a build, whose blobs are in the store, for as long as the build.

        Args:
            manifest: The build.
            tests: What was made of them, in the place of what was before.

        Raises:
            KubeV6Error: The store cannot be written.
        """
        place = self._place_of(manifest.name, manifest.key)
        if (place / "manifest.json").exists():
            with self._unfinished(place / TESTS) as file:
                file.write(tests.model_dump_json(indent=1).encode() + b"\n")

    def update_index(self) -> None:
        """Name the images of all builds to other tools, in ``index.json``.

        Raises:
            KubeV6Error: The store cannot be written.
        """
        with self._writing(), exclusive(self.root / ".index.lock"):
            named: dict[str, bytes] = {}
            for build in sorted(self.builds(), key=_written):
                for image in build.manifest.images if build.manifest else ():
                    if manifest := self._oci_manifest(image.digest):
                        named[f"{image.name}:{image.tag}"] = manifest
            for manifest in named.values():
                if self.fault(image_layout.digest_of(manifest)):
                    self.add_stream([manifest])
            # The second file says that there is a layout, so it comes last.
            for file, text in {"index.json": image_layout.index(named), "oci-layout": image_layout.LAYOUT}.items():
                if not (self.root / file).exists() or (self.root / file).read_bytes() != text.encode():
                    write_whole(self.root / file, text)

    def blob(self, digest: str) -> Path:
        """Where the blob of a digest (``sha256:<hex>`` or the bare hexadecimal) is kept."""
        return self.root / "blobs" / "sha256" / digest.removeprefix("sha256:")

    def add_file(self, path: Path, *, expected: str | None = None) -> tuple[str, int]:
        """Keep a copy of a file. Arguments, return value and errors are those of :meth:`add_stream`."""
        with path.open("rb") as file:
            return self.add_stream(iter(lambda: file.read(CHUNK), b""), expected=expected)

    def take_file(self, path: Path, *, expected: str | None = None) -> tuple[str, int]:
        """Keep a file itself, which is gone from its place then. The rest is that of :meth:`add_file`."""
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = path.stat().st_size
        if expected and digest != expected:
            raise ChecksumError(digest, size, expected)
        with self._writing():
            try:
                self._place(path, digest)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                self.add_file(path, expected=digest)
                path.unlink()
        return digest, size

    def add_stream(self, chunks: Iterable[bytes], *, expected: str | None = None) -> tuple[str, int]:
        """Keep what comes out of an iterator. Returns its sha256 (hexadecimal) and size in bytes.

        Args:
            chunks: The bytes.
            expected: The sha256 that they must have, when that is known.

        Raises:
            ChecksumError: They have another one; nothing is kept.
            KubeV6Error: The store cannot be written.
        """
        digest = hashlib.sha256()
        size = 0
        with self._unfinished(None) as file:
            for chunk in chunks:
                digest.update(chunk)
                size += len(chunk)
                file.write(chunk)
            if expected and digest.hexdigest() != expected:
                raise ChecksumError(digest.hexdigest(), size, expected)
            file.flush()
            self._place(Path(file.name), digest.hexdigest())
        return digest.hexdigest(), size

    def add_docker_image(self, archive: Iterable[bytes]) -> tuple[str, int]:
        """Keep an image as a registry holds it: layers compressed, its config, and a schema 2 manifest.

        Args:
            archive: What the Docker engine gives out for one image (``docker save``).

        Returns:
            Digest of the image's manifest (``sha256:...``) and the sum of the sizes of its blobs in bytes.

        Raises:
            ArchiveError: The archive does not hold exactly one image, or a layer is not what its config says.
            KubeV6Error: The store cannot be written.
        """
        with self._unfinished(None) as file:
            for chunk in archive:
                file.write(chunk)
            file.seek(0)
            return docker_archive.keep(file, self.add_stream)

    def check(self, manifest: Manifest) -> tuple[Damage, ...]:
        """What is wrong with the blobs of a release; nothing when it is whole.

        Those that were touched since they were last found right are read.

        Args:
            manifest: The release.
        """
        with self._verified.looking():
            return tuple(
                Damage(digest, of, seen)
                for of, digest, size in self.blobs(manifest)
                if (seen := self.fault(digest, size))
            )

    def drop_damaged(self, digest: str) -> bool:
        """Remove a blob whose bytes are not what its digest says, so that it is made again. Returns whether it was."""
        if not self.fault(digest):
            return False
        self.blob(digest).unlink(missing_ok=True)
        return True

    def blobs(self, manifest: Manifest) -> Iterator[tuple[str, str, int | None]]:
        """Every blob of a release: the binary or image it is of, its digest and its size (None if not known)."""
        for binary in (*manifest.binaries, *manifest.cni):
            yield binary.name, f"sha256:{binary.sha256}", binary.size
        for image in manifest.images:
            yield image.name, image.digest, None
            for digest, size in self.image_blobs(image.digest):
                yield image.name, digest, size

    def digests(self, manifest: Manifest) -> frozenset[str]:
        """The digest of every blob that is kept for a release: its own, and what names its images to other tools."""
        named = (self._oci_manifest(image.digest) for image in manifest.images)
        return frozenset(
            [digest for _, digest, _ in self.blobs(manifest)]
            + [image_layout.digest_of(manifest) for manifest in named if manifest]
        )

    def image_blobs(self, digest: str) -> tuple[tuple[str, int], ...]:
        """Digest and size of the config and the layers of an image; none when its manifest is not there."""
        try:
            return image_layout.parts_of(bounded.content(self.blob(digest)))
        except (OSError, ValueError):
            return ()

    def has_image(self, digest: str) -> bool:
        """Whether an image is here whole."""
        parts = self.image_blobs(digest) if not self.fault(digest) else ()
        return bool(parts) and not any(self.fault(part, size) for part, size in parts)

    def fault(self, digest: str, size: int | None = None) -> str:
        """What is wrong with a blob; empty when it is as it should be.

        Args:
            digest: Its digest (``sha256:<hex>`` or the bare hexadecimal).
            size: How many bytes it must have; None if that is not known.
        """
        path = self.blob(digest)
        with suppress(OSError):
            there = path.stat().st_size
            if size is not None and there != size:
                return f"has {there} bytes instead of {size}"
        return self._verified.fault(path, digest.removeprefix("sha256:"))

    def _become_layout(self) -> None:
        with suppress(OSError):  # without it, all is read once more
            (self.root / "blobs" / "verified.json").rename(self.root / "verified.json")
        self.update_index()

    def _oci_manifest(self, digest: str) -> bytes | None:
        """The OCI manifest of an image; None when its own cannot be read."""
        try:
            return image_layout.oci_manifest(bounded.content(self.blob(digest)))
        except (OSError, ValueError):
            return None

    def _place_of(self, name: str, key: str) -> Path:
        return self.root / "releases" / name / key[:12]

    def _parsed(self, path: Path) -> Manifest | None:
        """What is written down there; None when that is nothing, or cannot be read."""
        try:
            return self._parse(path)
        except KubeV6Error:
            return None

    def _parse(self, path: Path) -> Manifest:
        try:
            return bounded.read(path, Manifest)
        except (OSError, ValueError) as error:
            raise KubeV6Error(
                f"{path}: is no release manifest: {bounded.reason(error)}",
                todo="remove it and build again",
            ) from None

    def _place(self, finished: Path, sha256: str) -> None:
        place = self.blob(sha256)
        place.parent.mkdir(parents=True, exist_ok=True)
        finished.chmod(0o644)
        finished.replace(place)

    @contextmanager
    def _unfinished(self, place: Path | None) -> Iterator[Any]:
        """A temporary file of the store that is renamed to ``place`` if all goes well, and never left behind."""
        waiting = self.root / "blobs" / "unfinished"
        with self._writing():
            waiting.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=waiting, delete=False) as file:
                try:
                    yield file
                    if place is not None:
                        file.flush()
                        os.fsync(file.fileno())
                        place.parent.mkdir(parents=True, exist_ok=True)
                        Path(file.name).chmod(0o644)
                        Path(file.name).replace(place)
                finally:
                    Path(file.name).unlink(missing_ok=True)

    def _writing(self) -> AbstractContextManager[None]:
        return writing(f"the store {self.root}", "KUBEV6_DATA")


def _written(build: StoredBuild) -> tuple[int, bool]:
    """By what builds are in the order in which they were written; the file system's clock may give two one time."""
    try:
        return (build.place / "manifest.json").stat().st_mtime_ns, build.current
    except OSError:
        return 0, build.current

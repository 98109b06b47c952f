"""The policy file of a host: loaded only if nobody else could have written it, replaced whole."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from airgap_shared.errors import DiskFull, Locked, OutputNotWritable, PolicyInvalid
from airgap_shared.trust.policy import TrustPolicy
from airgap_shared.trust.policyfile import POLICY_LIMIT, as_read, compose_policy, parse_policy

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
#: Nothing that a link, a pipe or a device could stand for.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LOCK = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_ROOT = 0


def policy_exists(path: Path) -> bool:
    """Whether there is anything at that place; what cannot be seen counts as there."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def load_policy(path: Path) -> TrustPolicy:
    """The policy in a file.

    Raises:
        PolicyInvalid: it cannot be read or relied on, or others than root and the caller could
            have written it.

    """
    with _opened_folder(path) as folder:
        return parse_policy(_read(folder, path), str(path))


def check_place(path: Path) -> None:
    """Raise :class:`PolicyInvalid` for a place where no reader would take a policy from."""
    # A folder that is missing or cannot be seen is told of by whoever writes there.
    with contextlib.suppress(OSError):
        _check_folder(path.parent.stat(), path.parent)


def write_policy(path: Path, policy: TrustPolicy) -> None:
    """Write a policy that is not in force: the old file or the new one, whole.

    Raises:
        PolicyInvalid: its folder is missing, or others than root and the caller can write it.
        OutputNotWritable, DiskFull: it could not be written.

    """
    with _opened_folder(path) as folder, _translated(path):
        _write(folder, path.name, compose_policy(policy))


@dataclass(frozen=True, slots=True)
class HeldPolicy:
    """A policy file while it is locked: what is in force, and how it is replaced."""

    path: Path
    folder: int
    raw: bytes
    policy: TrustPolicy

    def replace(self, policy: TrustPolicy, signed: bytes = b"", acceptance: bytes = b"") -> None:
        """Put another version into force; the old one, and what was signed, go into the history.

        So does the record of how it was judged, where that needs one. All of it is there before
        the new version is in force.

        The file is the old one or the new one, whole, whenever this is interrupted.

        Raises:
            PolicyInvalid: no reader would take it.
            OutputNotWritable, DiskFull: it could not be written; the old one is in force.

        """
        content = compose_policy(as_read(policy, f"version {policy.version} of {self.path}"))
        with _translated(self.path):
            with _history(self.folder, self.path) as history:
                _keep(history, f"{self.policy.version}.json", self.raw)
                if signed:
                    _keep(history, f"{policy.version}.dsse.json", signed)
                if acceptance:
                    _keep(history, f"{policy.version}.accepted.json", acceptance)
                os.fsync(history)
            _write(self.folder, self.path.name, content)


@contextlib.contextmanager
def hold_policy(path: Path) -> Iterator[HeldPolicy]:
    """Lock a policy file and load it.

    Raises:
        Locked: another run is changing a policy there.
        PolicyInvalid: as :func:`load_policy`.

    """
    with _opened_folder(path) as folder:
        _read(folder, path)  # where no policy is, no lock is left
        with _locked(folder, path):
            raw = _read(folder, path)
            yield HeldPolicy(path, folder, raw, parse_policy(raw, str(path)))


@contextlib.contextmanager
def _locked(folder: int, path: Path) -> Iterator[None]:
    """Hold the policy; the lock ends with the process, its file stays."""
    with _translated(path):
        # Nobody else may open it: whoever can, can hold it, and keep a key from being revoked.
        lock = os.open(f".{path.name}.lock", _LOCK, 0o600, dir_fd=folder)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as problem:
            raise Locked(
                "another run is changing the policy", where=str(path), next_step="wait for it"
            ) from problem
        yield
    finally:
        os.close(lock)


@contextlib.contextmanager
def _opened_folder(path: Path) -> Iterator[int]:
    try:
        folder = os.open(path.parent, _FOLDER)
    except (FileNotFoundError, NotADirectoryError) as problem:
        raise _missing(path) from problem
    except OSError as problem:
        raise PolicyInvalid(f"cannot read: {problem.strerror}", where=str(path)) from problem
    try:
        _check_folder(os.fstat(folder), path.parent)
        yield folder
    finally:
        os.close(folder)


def _check_folder(status: os.stat_result, path: Path) -> None:
    """Whoever may rename files in it can put another one of root's in the place of the policy."""
    if status.st_uid not in (_ROOT, os.geteuid()):
        raise PolicyInvalid(
            "another user can replace the policy: its folder belongs to that user",
            where=str(path),
            next_step=f"chown root {path}",
        )
    if status.st_mode & stat.S_ISVTX or not status.st_mode & _OTHERS_WRITE:
        return
    for_all = status.st_mode & stat.S_IWOTH
    who, whom = ("anybody", "for all") if for_all else ("others", "for its group")
    raise PolicyInvalid(
        f"{who} can replace the policy: its folder is writable {whom}",
        where=str(path),
        next_step=f"chmod go-w {path}",
    )


def _read(folder: int, path: Path) -> bytes:
    try:
        descriptor = os.open(path.name, _FILE, dir_fd=folder)
    except FileNotFoundError as problem:
        raise _missing(path) from problem
    except OSError as problem:
        is_link = problem.errno == errno.ELOOP
        raise PolicyInvalid(
            f"cannot read: {'it is a link' if is_link else problem.strerror}",
            where=str(path),
            next_step="name the file itself" if is_link else "",
        ) from problem
    try:
        _check_owner(os.fstat(descriptor), path)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(POLICY_LIMIT + 1)
    except OSError as problem:
        raise PolicyInvalid(f"cannot read: {problem.strerror}", where=str(path)) from problem
    finally:
        os.close(descriptor)


def _check_owner(status: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise PolicyInvalid("not a regular file", where=str(path))
    if status.st_uid not in (_ROOT, os.geteuid()):
        raise PolicyInvalid(
            "the policy belongs to another user", where=str(path), next_step=f"chown root {path}"
        )
    if status.st_mode & _OTHERS_WRITE:
        raise PolicyInvalid(
            "others can write the policy", where=str(path), next_step=f"chmod go-w {path}"
        )


def _missing(path: Path) -> PolicyInvalid:
    return PolicyInvalid(
        "there is no such policy",
        where=str(path),
        next_step="make one with airgap-import trust create",
    )


@contextlib.contextmanager
def _history(folder: int, path: Path) -> Iterator[int]:
    """The folder beside the policy in which earlier versions are kept."""
    name = f"{path.stem}.history"
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o755, dir_fd=folder)
    descriptor = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _keep(history: int, name: str, content: bytes) -> None:
    """Keep a version under its number; another one of that number gets its digest added."""
    for candidate in (name, _with_digest(name, content)):
        try:
            descriptor = os.open(candidate, _FILE, dir_fd=history)
        except FileNotFoundError:
            _write(history, candidate, content)
            return
        with os.fdopen(descriptor, "rb") as file:
            if file.read(len(content) + 1) == content:
                return


def _with_digest(name: str, content: bytes) -> str:
    number, _, ending = name.partition(".")
    return f"{number}-{hashlib.sha256(content).hexdigest()[:12]}.{ending}"


def _write(folder: int, name: str, content: bytes) -> None:
    """Write a file beside its place, and move it there once it is on the disk."""
    temporary = f".{name}.new"
    with contextlib.suppress(FileNotFoundError):
        # Left by a run that was killed; the lock says that none is at work.
        os.unlink(temporary, dir_fd=folder)
    descriptor = os.open(temporary, _NEW, 0o644, dir_fd=folder)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, 0o644)
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    os.fsync(folder)


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        kind = DiskFull if problem.errno in (errno.ENOSPC, errno.EDQUOT) else OutputNotWritable
        raise kind(
            f"the policy cannot be written: {problem.strerror}",
            where=str(path),
            changed="the policy in force was kept",
        ) from problem

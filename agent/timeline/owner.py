"""The name under which a process holds sessions: the same one again after a restart, never one that is in use.

Beside a timeline file lies `NAME-owner`, with a name in it. Who has that file locked (flock, which
the kernel takes from a process that dies, however it dies) bears the name, so that a process that is
started again has the leases of its predecessor at once. Whoever finds it locked is another one beside a
living one, and has a name of its own.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from pathlib import Path

from agent.errors import StoreError

ALONE = "process"
"""The owner in a store that no other process can reach; the same in every run."""


class Owner:
    """`name`, until `close`."""

    def __init__(self, name: str, descriptor: int | None = None) -> None:
        self.name = name
        self._descriptor = descriptor

    def close(self) -> None:
        """Let the name go; only once nothing is written under it any more. A second call does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def owner_beside(path: Path) -> Owner:
    """Who this process is to the timeline file `path`. Raises `StoreError`."""
    beside = path.with_name(f"{path.name}-owner")
    try:
        descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unusable(beside, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return Owner(_kept_name(descriptor), descriptor)
    except BlockingIOError:
        os.close(descriptor)
        return Owner(f"second-{secrets.token_hex(8)}")
    except OSError as error:
        os.close(descriptor)
        raise _unusable(beside, error) from error


def _kept_name(descriptor: int) -> str:
    """The name in the locked file; a new one, durable before it is used, if there is none."""
    name = os.read(descriptor, 1_000).decode(errors="replace").strip()
    if not name:
        name = f"first-{secrets.token_hex(8)}"
        os.write(descriptor, f"{name}\n".encode())
        os.fsync(descriptor)
    return name


def _unusable(beside: Path, error: OSError) -> StoreError:
    return StoreError(f"{beside} cannot be used: {error.strerror or error}; its folder must be writable and hold locks")

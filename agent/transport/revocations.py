"""Session tokens that do not count any more: a file of one line each, SESSION GRANT revoked.

Every process that has the file sees at once what another one adds. Nothing is ever taken back.
"""

from __future__ import annotations

import os
from pathlib import Path

from agent.errors import StoreError

WHOLE = "revoked"
"""Ends a line: what a crash has left half of names no token, least of all another one."""


class Revocations:
    """Without a `path` they end with the process."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._known: set[tuple[str, str]] = set()
        self._read_bytes = 0

    def add(self, session_id: str, name: str) -> None:
        """Revoke a token and what was minted from it; returns when that is durable. Raises `StoreError`."""
        if self._path is not None:
            try:
                _append(self._path, f"{session_id} {name} {WHOLE}")
            except OSError as error:
                raise self._broken("the token could not be revoked", error) from error
        self._known.add((session_id, name))

    def covers(self, session_id: str, name: str) -> bool:
        """Whether the token of this name, or one that it was minted from, is revoked. Raises `StoreError`."""
        self._look()
        names = name.split("-")
        return any((session_id, "-".join(names[:end])) in self._known for end in range(1, len(names) + 1))

    def _look(self) -> None:
        """Read what was added since, by whomever."""
        if self._path is None:
            return
        try:
            if self._path.stat().st_size == self._read_bytes:
                return
            with self._path.open("rb") as file:
                file.seek(self._read_bytes)
                added = file.read()
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._broken("revoked tokens cannot be told from others", error) from error
        whole, end, _ = added.rpartition(b"\n")  # another process may be in the middle of a line
        self._read_bytes += len(whole) + len(end)
        words = [line.split() for line in whole.decode(errors="replace").splitlines()]
        self._known.update((line[0], line[1]) for line in words if line[2:] == [WHOLE])

    def _broken(self, what: str, error: OSError) -> StoreError:
        return StoreError(f"{self._path}: {what}: {error.strerror or error}")


def _append(path: Path, line: str) -> None:
    """Add a line durably. It begins a line of its own even where a crash has left half of one before."""
    fresh = not path.exists()
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, f"\n{line}\n".encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if fresh:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

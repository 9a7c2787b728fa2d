"""Files that are either the old one or the new one, whenever the machine stops."""

from __future__ import annotations

import os
from pathlib import Path

PRIVATE = 0o600


def replace(path: Path, data: bytes) -> None:
    """Write `path` anew and make it durable: draft, fsync, rename, fsync of the folder.

    A draft that a crash left behind is overwritten by the next one. One writer at a time.
    Raises `OSError`.
    """
    path = path.resolve()  # through a symbolic link, so that the link stays one
    mode = path.stat().st_mode & 0o777 if path.exists() else PRIVATE
    draft = path.with_name(f".{path.name}.draft")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)  # noqa: PTH105 - one place for a test to stop it, beside os.fsync
    sync_folder(path.parent)


def move(source: Path, target: Path) -> None:
    """Rename durably, within one file system. Raises `OSError`."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.replace(source, target)  # noqa: PTH105 - as above
    sync_folder(target.parent)
    sync_folder(source.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def not_writable(path: Path) -> str:
    """Why nothing can be written at `path` (a file or folder that need not exist yet); empty if it can."""
    nearest = path
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    if nearest != path and not nearest.is_dir():
        return f"{nearest} is not a folder"
    if not os.access(nearest, os.W_OK):
        return f"{nearest} cannot be written"
    return ""

"""Checksums of files whose publisher gives none that could be verified: those of the first download count.

They are kept in `pins.json` in the models folder. A file that differs from its pin later was exchanged, here or
where it comes from.
"""

from __future__ import annotations

import json
from pathlib import Path

from agent.errors import ModelError

FILE = "pins.json"


class Pins:
    """SHA-256 by `model/file`."""

    def __init__(self, folder: Path) -> None:
        """Raises `ModelError` when the file is there and cannot be read."""
        self._path = folder / FILE
        self._sums: dict[str, str] = {}
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            raise ModelError(f"{self._path} cannot be read ({error}); delete it to pin what is there anew") from error
        if not isinstance(found, dict):
            raise ModelError(f"{self._path} is not a JSON object; delete it to pin what is there anew")
        self._sums = {str(key): str(value) for key, value in found.items()}

    def get(self, model: str, file: str) -> str:
        """Empty if it is not pinned."""
        return self._sums.get(f"{model}/{file}", "")

    def add(self, model: str, file: str, sha256: str) -> None:
        """Raises `OSError`."""
        self._write(self._sums | {f"{model}/{file}": sha256})

    def forget(self, model: str) -> None:
        """Raises `OSError`."""
        kept = {key: value for key, value in self._sums.items() if not key.startswith(f"{model}/")}
        if kept != self._sums:
            self._write(kept)

    def _write(self, sums: dict[str, str]) -> None:
        draft = self._path.with_suffix(".draft")
        draft.write_text(json.dumps(sums, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        draft.replace(self._path)
        self._sums = sums

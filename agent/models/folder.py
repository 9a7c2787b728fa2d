"""The models folder: one folder a model, with the files that the manifest names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agent.errors import ModelError
from agent.models.manifest import Model, ModelFile, manifest
from agent.models.pins import Pins

PART = ".part"
"""Behind the name of a file that is being downloaded."""
VALIDATOR = ".part.etag"

State = Literal["installed", "begun", "absent"]
Verdict = Literal["verified", "pinned", "altered", "missing"]


@dataclass(frozen=True, slots=True)
class Verified:
    """One file as `verify` found it. `pinned`: it had no checksum, and its own counts from here on."""

    file: str
    verdict: Verdict


class ModelsFolder:
    """What of the manifest is in the folder. Every method may raise `ModelError`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest = manifest(folder)

    def path(self, model: Model) -> Path:
        """Its folder, whether it is there or not."""
        return self.folder / model.name

    def state(self, model: Model) -> State:
        """Whether all of its files are there, or parts of them; what they hold is not looked at."""
        path = self.path(model)
        if all((path / file.name).is_file() for file in model.files):
            return "installed"
        return "begun" if any(found.exists() for found in self._of(model)) else "absent"

    def located(self, name: str) -> Path:
        """The folder of a model that is installed."""
        model = self.manifest.model(name)
        if self.state(model) == "installed":
            return self.path(model)
        missing = ", ".join(file.name for file in model.files if not (self.path(model) / file.name).is_file())
        raise ModelError(
            f"the model {name} is not in {self.folder.resolve()} (missing: {missing}); "
            f"run `voice-agent models pull {name}`"
        )

    def remove(self, model: Model) -> int:
        """Delete its files, finished or not, and its pins; files of others stay. The bytes that were freed."""
        freed = 0
        try:
            for path in self._of(model):
                if path.is_file() or path.is_symlink():
                    freed += path.lstat().st_size
                    path.unlink()
            Pins(self.folder).forget(model.name)
            folder = self.path(model)
            if folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir()):
                folder.rmdir()
        except OSError as error:
            raise ModelError(f"{model.name} could not be removed: {error}") from error
        return freed

    def verify(self, model: Model) -> Iterator[Verified]:
        """Hash every file against the manifest, else its pin, else pin it."""
        pins = Pins(self.folder)
        for file in model.files:
            path = self.path(model) / file.name
            if not path.is_file():
                yield Verified(file.name, "missing")
                continue
            try:
                yield Verified(file.name, agreed(pins, model, file, sha256(path)))
            except OSError as error:
                raise ModelError(f"{path} could not be verified: {error}") from error

    def _of(self, model: Model) -> Iterator[Path]:
        for file in model.files:
            for ending in ("", PART, VALIDATOR):
                yield self.path(model) / f"{file.name}{ending}"


def agreed(pins: Pins, model: Model, file: ModelFile, found: str) -> Verdict:
    """What a file's checksum says; one without any to compare it with is pinned. Raises `OSError`."""
    wanted = file.sha256 or pins.get(model.name, file.name)
    if not wanted:
        pins.add(model.name, file.name, found)
        return "pinned"
    return "verified" if found == wanted else "altered"


def sha256(path: Path) -> str:
    """Raises `OSError`."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

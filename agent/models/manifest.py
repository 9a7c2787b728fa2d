"""What models there are, where they come from, and what they must be: `manifest.toml`.

A manifest can name no file outside the model's own folder, and none without a size: names are single
components, and a download is refused once it is larger than its size allows.
"""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from agent.errors import ModelError

SHIPPED = Path(__file__).with_name("manifest.toml")
OWN = "manifest.toml"
"""In the models folder: further models, or other entries for the same names."""
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def safe_url(url: str) -> str:
    """HTTPS, or HTTP from this very machine. Raises `ValueError`."""
    parts = urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        return url
    raise ValueError(f"{url} is not HTTPS")


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
Url = Annotated[str, Field(max_length=1_000), AfterValidator(safe_url)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelFile(_Table):
    """One file, in the model's folder. `sha256` is empty where its publisher's could not be verified."""

    name: Name
    bytes: Annotated[int, Field(ge=1, le=8_000_000_000)]
    """As published; what is downloaded may differ from it by `MARGIN`."""
    sha256: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""


class Model(_Table):
    name: Name
    engine: Literal["whisper", "piper"]
    about: str
    licence: str
    source: Url
    """Where people read about it."""
    base: Annotated[Url, Field(pattern=r"/$")]
    """What the names of the files are put behind."""
    files: Annotated[tuple[ModelFile, ...], Field(min_length=1, max_length=20)]

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)

    def url(self, file: ModelFile) -> str:
        return self.base + file.name


class Manifest(_Table):
    format: Literal[1]
    models: tuple[Model, ...]

    def model(self, name: str) -> Model:
        """Raises `ModelError` with the nearest name that there is."""
        known = {model.name: model for model in self.models}
        if name in known:
            return known[name]
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.3)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ModelError(f"there is no model {name!r}{hint} `voice-agent models` lists them")


def manifest(folder: Path) -> Manifest:
    """The manifest that is part of the program, with the one in the models folder over it. Raises `ModelError`."""
    shipped, own = _read(SHIPPED), folder / OWN
    if not own.exists():
        return shipped
    models = {model.name: model for model in (*shipped.models, *_read(own).models)}
    return Manifest(format=1, models=tuple(models.values()))


def _read(path: Path) -> Manifest:
    try:
        return Manifest.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ModelError(f"the manifest {path} cannot be read: {error}") from error
    except ValidationError as error:
        wrong = [(".".join(map(str, one["loc"])), one["msg"]) for one in error.errors(include_url=False)]
        told = "; ".join(f"{place}: {message}" for place, message in wrong[:5])
        raise ModelError(f"the manifest {path} is not valid: {told}") from None

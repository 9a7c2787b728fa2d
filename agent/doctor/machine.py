"""The machine, the installed packages, and programs that tests use."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from importlib import metadata

from agent.bench.machine import describe
from agent.doctor.check import INSTALL, Check

PYTHON = (3, 11)
PACKAGES = ("aiortc", "av", "fastapi", "uvicorn", "numpy", "webrtcvad-wheels", "pocketsphinx", "espeakng-loader")


def machine() -> Iterator[Check]:
    new_enough = sys.version_info[:2] >= PYTHON
    wanted = ".".join(map(str, PYTHON))
    yield Check("machine", new_enough, describe(), "" if new_enough else f"install Python {wanted} or later")
    yield Check("sound", True, "none is needed here: microphone and loudspeaker are those of the browser")


def packages(names: Sequence[str] = PACKAGES) -> Iterator[Check]:
    found, missing = [], []
    for name in names:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        yield Check("packages", False, f"missing: {', '.join(missing)}", INSTALL)
    else:
        yield Check("packages", True, ", ".join(found))


def tools() -> Iterator[Check]:
    """For the tests and the benchmark only."""
    browsers = ("chromium", "chromium-browser", "google-chrome")
    for name, programs, use in (
        ("flite", ("flite",), "clearer test voices"),
        ("chromium", browsers, "tests in a real browser"),
        ("node", ("node",), "the page's unit tests"),
    ):
        path = next(filter(None, map(shutil.which, programs)), None)
        package = "nodejs" if name == "node" else name
        mend = "" if path else f"for developers only: apt-get install {package}"
        yield Check(name, True if path else None, path or f"not installed ({use})", mend)

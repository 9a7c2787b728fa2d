"""One thing that the doctor looked at."""

from __future__ import annotations

from dataclasses import dataclass

INSTALL = "run scripts/run, which installs what is missing, or: pip install -e ."


@dataclass(frozen=True, slots=True)
class Check:
    """`ok` is False for something essential that is missing, None for something that is only useful.
    `mend`: what to do about it."""

    name: str
    ok: bool | None
    says: str
    mend: str = ""

"""`voice-agent bench --engines`: the same recordings said to every combination of engines, headless."""

from __future__ import annotations

import itertools
import json
import math
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from agent.bench import machine
from agent.bench.combination import Exchange
from agent.bench.output import check_folder, progress_bar, write_json
from agent.config.load import DEFAULT, Loaded
from agent.conversation.events import Json
from agent.errors import SettingsError
from agent.settings import Settings
from agent.transport.file_plan import plan_files

ENGINES = {"vad": ("webrtcvad", "silero"), "asr": ("pocketsphinx", "whisper"), "tts": ("espeak", "piper")}
COLUMNS = (
    "voice activity", "recogniser", "voice", "end of turn", "first audio", "voice to voice", "CPU a minute", "heard"
)  # fmt: skip
COMMAND = (sys.executable, "-m", "agent.bench.combination")
TALK_S = 300.0
NOTES = (
    "Medians over the recordings. Virtual time, to which all computing is charged: no network, no sound card.",
    "End of turn: behind the last sample of speech. First audio: from there to the first sample of the answer out.",
    "CPU: seconds a minute of conversation, the engines' own processes included and their loading left out.",
)


@dataclass(frozen=True, slots=True)
class Combination:
    """What came of these engines. `failure`: why nothing could be measured."""

    vad: str
    asr: str
    tts: str
    exchanges: tuple[Exchange, ...] = ()
    cpu_s_per_minute: float | None = None
    failure: str = ""

    def median_ms(self, name: str) -> float:
        """Of the exchanges that have it; not a number if none has."""
        known = [value for exchange in self.exchanges if (value := getattr(exchange, name)) is not None]
        return statistics.median(known) if known else math.nan


def run_combinations(inputs: Sequence[Path], loaded: Loaded, out: Path | None, console: Console, err: Console) -> None:
    """Measure, print the table, and write the JSON. An engine that somebody set stays. Raises `AgentError`."""
    if not inputs:
        raise SettingsError("--engines needs something to say: voice-agent bench --engines question.wav")
    plan_files(inputs)
    check_folder(out)
    wanted = list(combinations(loaded))
    with progress_bar(err, len(wanted)) as step:
        found = []
        for combination in wanted:
            step(f"{combination.vad}, {combination.asr}, {combination.tts}")
            found.append(measured(combination, inputs, loaded.settings))
    show(found, console)
    about: dict[str, Json] = {"machine": machine.describe(), "load": machine.load(), "inputs": [*map(str, inputs)]}
    write_json(out, {**about, "combinations": [asdict(combination) for combination in found]})


def combinations(loaded: Loaded) -> Iterator[Combination]:
    """Every one, but for the engines that somebody set."""
    choices = [
        names if loaded.origin[f"{table}.engine"] == DEFAULT else (getattr(loaded.settings, table).engine,)
        for table, names in ENGINES.items()
    ]
    return (Combination(*engines) for engines in itertools.product(*choices))


def measured(combination: Combination, inputs: Sequence[Path], settings: Settings) -> Combination:
    """In a process of its own, so that none is warm from the one before."""
    asked = {"settings": of(combination, settings).model_dump(mode="json"), "inputs": [str(path) for path in inputs]}
    names = (combination.vad, combination.asr, combination.tts)
    try:
        done = subprocess.run(
            COMMAND,
            input=json.dumps(asked), capture_output=True, text=True, timeout=TALK_S, check=True,
        )  # fmt: skip
        found: dict[str, Any] = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return Combination(*names, failure=f"not done within {TALK_S:.0f} s")
    except subprocess.CalledProcessError as error:
        last = error.stderr.strip().splitlines()[-1:] or ["without a word"]
        return Combination(*names, failure=f"its process ended: {last[0]}")
    if "failure" in found:
        return Combination(*names, failure=found["failure"])
    said = tuple(Exchange(**exchange) for exchange in found["exchanges"])
    return Combination(*names, said, found["cpu_s_per_minute"])


def of(combination: Combination, settings: Settings) -> Settings:
    """With these engines, one recogniser process, and without a trace."""
    chosen: dict[str, Any] = {
        table: getattr(settings, table).model_copy(update={"engine": getattr(combination, table)}) for table in ENGINES
    }
    chosen["asr"] = chosen["asr"].model_copy(update={"workers": 1})
    chosen["brain"] = settings.brain.model_copy(update={"memory": Path(":memory:")})
    chosen["timeline"] = settings.timeline.model_copy(update={"store": "memory"})
    return settings.model_copy(update={**chosen, "mcp": {}})


def show(found: Sequence[Combination], console: Console) -> None:
    """The machine, the table, and how it was measured."""
    console.print(f"Machine: {machine.describe()}.", highlight=False)
    console.print()
    table = Table(box=None, pad_edge=False, show_edge=False, padding=(0, 1))
    for number, name in enumerate(COLUMNS):
        table.add_column(name, justify="right" if 3 <= number <= 6 else "left", overflow="fold")
    for combination in found:
        table.add_row(*cells(combination))
    console.print(table)
    console.print()
    for line in NOTES:
        console.print(line, style="dim", highlight=False)


def cells(combination: Combination) -> tuple[str, ...]:
    """A row of the table."""
    names = (combination.vad, combination.asr, combination.tts)
    if combination.failure:
        return (*names, "", "", "", "", f"not measured: {combination.failure}")
    latencies = [combination.median_ms(name) for name in ("turn_end_ms", "first_audio_ms", "voice_to_voice_ms")]
    cpu_s = combination.cpu_s_per_minute
    heard = " / ".join(exchange.heard or "nothing" for exchange in combination.exchanges)
    return (
        *names,
        *("no answer" if math.isnan(ms) else f"{ms:.0f} ms" for ms in latencies),
        "unknown" if cpu_s is None else f"{cpu_s:.1f} s",
        heard,
    )

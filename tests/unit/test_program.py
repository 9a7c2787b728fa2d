"""An agent made by a program: what it is made of, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import agent
from agent import Agent, tool
from agent.app import App
from agent.clock import run_virtual
from agent.errors import SettingsError
from agent.hearing.vad_webrtc import WebRtcVad
from agent.thinking.port import Call, Delta, Prompt
from tests.fixtures.deaf import Deaf

MEMORY = {"timeline.store": "memory", "brain.memory": ":memory:"}


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@tool(effect="read")
def look() -> str:
    """Look."""
    return "nothing"


class Parrot:
    name = "parrot"

    def __init__(self, settings: object, clock: object) -> None:
        self.settings = settings

    async def start(self) -> None: ...

    async def respond(self, prompt: Prompt) -> AsyncIterator[Delta | Call]:
        yield Delta(prompt.instructions)

    async def close(self) -> None: ...


def app_of(program: Agent) -> App:
    async def made() -> App:
        return App(program.loaded.settings, parts=program._parts)

    return run_virtual(made())


def test_engines_come_by_name_by_class_and_as_objects_and_tools_beside_the_built_in_ones() -> None:
    settings = {**MEMORY, "tts.speed": 1.5}
    peek = [tool(effect="read", name="peek")(look.function)]
    made = Agent(
        "Be brief.", tools=[look, peek], brain=Parrot, asr=Deaf(), tts="espeak", vad=VadOfMine, settings=settings
    )
    app = app_of(made)
    assert app.engines.names == {"vad": "mine", "asr": "deaf", "brain": "parrot", "tts": "espeak"}
    assert isinstance(app.engines.brain, Parrot)
    assert app.engines.brain.settings is app.settings.brain
    assert [one.spec.name for one in app.engines.tools][-2:] == ["look", "peek"]
    assert "set_timer" in [one.spec.name for one in app.engines.tools]
    assert (app.settings.tts.speed, app.settings.brain.instructions) == (1.5, "Be brief.")


class VadOfMine(WebRtcVad):
    name = "mine"

    def __init__(self, settings: object, clock: object) -> None:
        super().__init__(settings)  # type: ignore[arg-type]


def test_what_stands_in_agent_toml_holds_unless_the_program_says_otherwise(tmp_path: Path) -> None:
    (tmp_path / "agent.toml").write_text("[tts]\nspeed = 2\npitch = 60\n")
    made = Agent(settings={"tts.speed": 0.5}).loaded.settings.tts
    assert (made.speed, made.pitch) == (0.5, 60)
    assert Agent(config="other.toml").loaded.settings.tts.speed == 1.0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"tools": ["nowhere:at_all"]}, "cannot be loaded"),
        ({"tools": [print]}, "is no tool"),
        ({"settings": {"tts.sped": 1}}, "did you mean tts.speed"),
        ({"settings": {"tts.speed": object()}}, "tts.speed cannot be"),
        ({"settings": {"tts.speed": "fast"}}, "0.5 to 3.0"),
    ],
)
def test_what_cannot_be_is_refused_when_the_agent_is_made(arguments: dict[str, object], says: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Agent(**arguments)  # type: ignore[arg-type]
    assert says in str(refused.value)


def test_importing_the_package_loads_nothing_else() -> None:
    script = "import sys, agent; print(sorted(name for name in sys.modules if name.startswith(('agent', 'pydantic'))))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['agent']"
    assert set(agent.__all__) == {"Agent", "ToolContext", "ToolError", "tool"}
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = agent.nothing

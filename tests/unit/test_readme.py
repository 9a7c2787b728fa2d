"""What the README tells people to type works."""

from __future__ import annotations

import asyncio
import importlib
import json
import re
import shlex
import subprocess
import sys
import wave
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from agent.app import App
from agent.cli import main
from agent.clock import run_virtual, utc_now
from agent.config.load import load
from agent.lan import prepare
from agent.models.manifest import manifest
from agent.settings import Server, Settings
from agent.thinking.port import Call, Delta, Message, Prompt, ToolContext, UserContext
from agent.timeline.codec import loads
from agent.timeline.sqlite import SqliteStore
from tests.fixtures.file_server import file_server
from tests.fixtures.server import share_cache, start_server, stop_server
from tests.fixtures.speech import speak

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SHELL = list(re.findall(r"```sh\n(.*?)```", README, re.DOTALL))
COMMANDS = [
    line.split("  #")[0].strip()
    for block in SHELL
    for line in block.replace("\\\n", " ").splitlines()
    if line.strip()
]  # fmt: skip


def test_the_two_commands_come_first_and_can_be_run() -> None:
    assert COMMANDS[0].startswith("scripts/run")
    assert COMMANDS[1].startswith("scripts/test")
    for command in COMMANDS[:2]:
        assert (ROOT / command.split()[0]).stat().st_mode & 0o111


def test_every_shell_command_is_known() -> None:
    assert {command.split()[0] for command in COMMANDS} == {"scripts/run", "scripts/test", "voice-agent"}


def store(session_id: str) -> None:
    """Keep a conversation where the agent keeps those of its own."""

    async def append() -> None:
        lines = (ROOT / "tests" / "fixtures" / "timeline_barge_in.jsonl").read_text().splitlines()
        stored = SqliteStore(Settings().timeline.path)
        await stored.append([replace(loads(line), session_id=session_id) for line in lines])
        await stored.close()

    asyncio.run(append())


def write_speech(path: Path, text: str) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(speak(text).astype(np.int16).tobytes())


@pytest.mark.parametrize("command", [c for c in COMMANDS if re.match(r"voice-agent (file|replay|sessions|config)", c)])
def test_commands_that_end_by_themselves(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    share_cache(tmp_path)
    monkeypatch.chdir(tmp_path)
    for name, text in (("question", "what time is it"), ("story", "tell me a story"), ("stop", "stop that please")):
        write_speech(tmp_path / f"{name}.wav", text)
    runner = CliRunner()
    if "sessions" in command or "a3f" in command:
        store("a3f09c")
    elif command.startswith("voice-agent replay"):
        recorded = runner.invoke(main, ["file", "question.wav", "--timeline", "talk.jsonl"])
        assert recorded.exit_code == 0, recorded.output
    done = runner.invoke(main, shlex.split(command)[1:])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("voice-agent bench --engines")])
def test_engines_are_compared(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one combination, whose recogniser has no model here: all of them take a minute."""
    monkeypatch.chdir(tmp_path)
    for name in re.findall(r"[a-z]+\.wav", command):
        write_speech(tmp_path / name, "what time is it")
    one = ["vad.engine=webrtcvad", "asr.engine=whisper", "tts.engine=espeak"]
    flags = [*(part for setting in one for part in ("--set", setting)), "--json", "engines.json"]
    done = CliRunner().invoke(main, [*shlex.split(command)[1:], *flags])
    assert done.exit_code == 0, done.output
    [row] = json.loads(Path("engines.json").read_text())["combinations"]
    assert "voice-agent models pull whisper-base.en" in row["failure"]


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("voice-agent models")])
def test_models_come_and_go(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a server of the test's, which stands in for the one that the manifest names."""
    monkeypatch.chdir(tmp_path)
    model = next(model for model in manifest(tmp_path).models if model.name == "piper-en_US-lessac-medium")
    with file_server() as server:
        server.files.update({f"/{file.name}": b"x" * 50 for file in model.files})
        files = ", ".join(f'{{name = "{file.name}", bytes = 50}}' for file in model.files)
        entry = f'name = "{model.name}"\nengine = "piper"\nabout = ""\nlicence = ""\nsource = "{server.url}/"\n'
        Path("models").mkdir()
        Path("models/manifest.toml").write_text(
            f'format = 1\n[[models]]\n{entry}base = "{server.url}/"\nfiles = [{files}]\n'
        )
        runner = CliRunner()
        if "pull" not in command:
            assert runner.invoke(main, ["models", "pull", model.name]).exit_code == 0
        done = runner.invoke(main, shlex.split(command)[1:])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "models" / model.name).exists() == ("remove" not in command)


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("voice-agent serve")])
def test_settings_of_the_serve_commands_are_possible(command: str, tmp_path: Path) -> None:
    words = shlex.split(command)[2:]
    overrides = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
    flags = [f"server.host={words[i + 1]}" for i, word in enumerate(words) if word == "--host"]
    if "--lan" in words:
        flags += prepare(tmp_path, "192.168.7.20", utc_now()).overrides(Server())
    settings = load(None, {}, [*overrides, *flags]).settings
    assert settings.server.token or settings.server.host == "127.0.0.1"


def _example(contains: str) -> str:
    return next(block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if contains in block)


def test_a_brain_of_your_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The README's example, as it stands, is loaded by name and answers."""
    (tmp_path / "parrot.py").write_text(_example("class Parrot"))
    monkeypatch.syspath_prepend(str(tmp_path))
    share_cache(tmp_path)
    monkeypatch.chdir(tmp_path)
    overrides = ["brain.engine=parrot:Parrot", "timeline.store=memory", "brain.memory=:memory:"]

    async def names() -> dict[str, str]:
        return App(load(None, {}, overrides).settings).engines.names

    assert run_virtual(names())["brain"] == "parrot"


def test_a_voice_of_your_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The README's example, as it stands, is loaded by name, speaks, and places its words."""
    (tmp_path / "beeper.py").write_text(_example("class Beeper"))
    monkeypatch.syspath_prepend(str(tmp_path))
    share_cache(tmp_path)
    monkeypatch.chdir(tmp_path)
    overrides = ["tts.engine=beeper:Beeper", "timeline.store=memory", "brain.memory=:memory:"]

    async def words() -> list[tuple[int, int, str]]:
        text, said = "one or more words", App(load(None, {}, overrides).settings).engines.tts
        found = [(speech.pcm.size, *speech.words) async for speech in said.synthesize(text, 2.0)]
        return [(size, word.end_sample - word.start_sample, text[: word.text_end]) for size, word in found]

    spoken = ["one", "one or", "one or more", "one or more words"]
    assert run_virtual(words()) == [(1_200, 1_200, text) for text in spoken]


def test_the_settings_that_it_shows_are_possible(tmp_path: Path) -> None:
    shown = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    assert shown
    for number, text in enumerate(shown):
        path = tmp_path / f"{number}.toml"
        path.write_text(text, encoding="utf-8")
        load(path, {})


def test_a_tool_of_your_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The README's example, as it stands, is loaded from the working directory, asked for, run, and its result said."""
    source = _example("class Dice")
    (tmp_path / "dice.py").write_text(source)
    share_cache(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    words = shlex.split(source.splitlines()[0].partition("then: ")[2].partition(", and say")[0])
    overrides = [words[words.index("--set") + 1], "timeline.store=memory", "brain.memory=:memory:"]
    said = source.splitlines()[0].split('"')[-2]

    async def exchange() -> str:
        engines = App(load(None, {}, overrides).settings).engines
        await engines.brain.start()
        user = UserContext(datetime.now(UTC))
        messages = [Message("user", said)]
        specs = [tool.spec for tool in engines.tools]
        [call] = [part async for part in engines.brain.respond(Prompt(messages, specs, user))]
        assert isinstance(call, Call)
        tool = next(tool for tool in engines.tools if tool.spec.name == call.name)
        messages.append(Message("call", call_id=call.call_id, name=call.name, arguments=call.arguments))
        content = await tool.run(call.arguments, ToolContext(user))
        messages.append(Message("result", call_id=call.call_id, name=call.name, content=content))
        [answer] = [part async for part in engines.brain.respond(Prompt(messages, specs, user))]
        await engines.brain.close()
        assert isinstance(answer, Delta)
        return answer.text

    assert re.fullmatch(r"You rolled [1-6]\.", run_virtual(exchange()))


def test_an_agent_of_your_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The README's agent, as it stands: asked by voice what its first comment says, it runs the function and says what
    came of it; what it writes is asked about first."""
    source = _example("agent.serve()")
    (tmp_path / "garden.py").write_text(source)
    share_cache(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    said = source.splitlines()[0].split('"')[-2]
    write_speech(tmp_path / "question.wav", said)
    write_speech(tmp_path / "wish.wav", "water the garden for five minutes")
    garden = importlib.import_module("garden")
    report = garden.agent.run_file("question.wav", "wish.wav", out="talk.wav", timeline="talk.jsonl")
    assert [turn["user"] for turn in report["turns"]] == [said, "water the garden for five minutes"]
    assert report["turns"][0]["heard"] == "There are 420 litres left."
    assert report["turns"][1]["heard"].startswith("Water the garden for 5 minutes.")
    assert garden.LITRES["rain"] == 420, "it was not done without a yes"
    assert Path("talk.wav").stat().st_size > 100_000
    assert "action.proposed" in Path("talk.jsonl").read_text()
    assert garden.agent.loaded.settings.brain.instructions.startswith("You look after a garden.")


def test_a_conversation_by_curl(tmp_path: Path) -> None:
    """As it stands, but for the address and for how long the events are read."""
    [script] = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    server = start_server(tmp_path)
    try:
        script = script.replace("http://localhost:8700", server.url.rstrip("/")).replace("-sN", "-sN --max-time 5")
        done = subprocess.run(
            ["/bin/bash", "-c", script], cwd=tmp_path, text=True, capture_output=True, timeout=60, check=False
        )
    finally:
        stop_server(server)
    assert re.search(r'\{"event_id":"question-1","seq":\d+\}', done.stdout), done
    events = [json.loads(line.removeprefix("data: ")) for line in done.stdout.splitlines() if line.startswith("data: ")]
    assert events[0]["type"] == "hello"
    assert any("56" in event["payload"]["text"] for event in events if event["type"] == "tts.say")

"""What the doctor says, and when it sends people away."""

import socket
from io import StringIO

import pytest
from rich.console import Console

from agent.auto import Present
from agent.config.load import load
from agent.doctor.check import Check
from agent.doctor.command import show
from agent.doctor.engines import better
from agent.doctor.files import files
from agent.doctor.machine import machine, packages, tools


def console():
    return Console(file=StringIO(), width=200)


def checks(tmp_path, *overrides):
    own = (f"timeline.path={tmp_path / 'timeline.sqlite3'}", f"brain.memory={tmp_path / 'memory.sqlite3'}")
    settings = load(None, {}, [*own, "server.port=0", *overrides]).settings
    return {check.name: check for check in files(settings)}


def test_only_what_is_essential_makes_it_unhealthy():
    assert show([Check("a", True, "here"), Check("b", None, "useful [1]")], console())
    out = console()
    assert not show([Check("a", False, "gone", "install a"), Check("b", True, "here")], out)
    assert "→ install a" in out.file.getvalue()


def test_packages_are_named_with_the_way_to_get_them():
    (found,) = packages()
    assert found.ok
    (missing,) = packages(("numpy", "no-such-package"))
    assert missing.ok is False
    assert "no-such-package" in missing.says
    assert "pip install" in missing.mend


def test_tools_are_never_essential():
    assert all(check.ok is not False for check in tools())
    assert all(check.ok for check in machine())


def test_files_that_can_be_made(tmp_path):
    found = checks(tmp_path)
    assert all(check.ok for check in found.values())
    assert set(found) == {"page", "port", "timeline", "memory"}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["timeline", "memory"])
def test_a_file_that_is_something_else(tmp_path, name):
    (tmp_path / f"{name}.sqlite3").write_text("this is no database" * 100)
    check = checks(tmp_path)[name]
    assert check.ok is False
    assert "FILE" in check.mend


def test_a_folder_that_is_not_there(tmp_path):
    check = checks(tmp_path, f"brain.memory={tmp_path / 'nowhere' / 'memory.sqlite3'}")["memory"]
    assert check.ok is False
    assert "nowhere" in check.says


def test_a_port_in_use(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        check = checks(tmp_path, f"server.port={taken.getsockname()[1]}")["port"]
    assert check.ok is False
    assert "server.port=" in check.says


@pytest.mark.parametrize(
    ("overrides", "installed", "says"),
    [
        ([], {}, {"vad": "silero is here", "asr": "not here", "brain": "not here", "tts": "not here"}),
        (["vad.engine=silero", "brain.engine=openai"], {}, {"asr": "not here", "tts": "not here"}),
        (["vad.engine=mine:Vad", "brain.engine=openai"], {"whisper": ["w"], "piper": ["p"]},
         {"asr": "whisper is here", "tts": "piper is here"}),
        (["vad.engine=silero", "brain.engine=openai", "asr.engine=whisper", "tts.engine=piper"], {}, {}),
    ],
)  # fmt: skip
def test_what_would_be_better_is_named_with_the_way_to_it(overrides, installed, says):
    found = list(better(load(None, {}, overrides).settings, Present(lambda package: True, installed)))
    assert {check.name.removeprefix("better "): check.says for check in found} == says
    for check in found:
        assert check.ok is None
        assert "auto" in check.mend or "voice-agent models pull" in check.mend or "brain.base_url" in check.mend

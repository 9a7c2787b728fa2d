"""`voice-agent models` as a person uses it, and what a manifest may say."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from agent.cli import main
from agent.errors import ModelError
from agent.models import download
from agent.models.folder import ModelsFolder
from agent.models.manifest import manifest
from tests.fixtures.file_server import FileServer, file_server

DATA = {"/voice.onnx": b"weights" * 1_000, "/voice.onnx.json": b"{}"}
runner = CliRunner()


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.setattr(download, "PAUSE_S", 0.0)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with file_server() as served:
        served.files.update(DATA)
        own(served.url)
        yield served


def own(server_url: str, sha256: str = "", file_name: str = "voice.onnx", **more: object) -> None:
    """A manifest of the user's own with one voice."""
    model = {
        "name": "piper-mine", "engine": "piper", "about": "mine", "licence": "CC0",
        "source": f"{server_url}/", "base": f"{server_url}/", **more,
    }  # fmt: skip
    lines = [f"{key} = {json.dumps(value)}" for key, value in model.items()]
    voice = f"{{name = {json.dumps(file_name)}, bytes = 7000, sha256 = {json.dumps(sha256)}}}"
    config = '{name = "voice.onnx.json", bytes = 2}'
    Path("models").mkdir(exist_ok=True)
    Path("models/manifest.toml").write_text(
        "\n".join(["format = 1", "[[models]]", *lines, f"files = [{voice}, {config}]"])
    )


def invoke(*words: str, code: int = 0) -> Result:
    result = runner.invoke(main, ["models", *words])
    assert result.exit_code == code, result.output
    return result


def test_what_is_shipped_is_whole() -> None:
    models = manifest(Path("nowhere")).models
    names = {model.name for model in models}
    assert {"whisper-base.en", "whisper-small.en", "whisper-distil-small.en", "piper-en_US-lessac-medium"} <= names
    assert len(names) == len(models)
    for model in models:
        assert model.name.startswith(f"{model.engine}-")
        assert len({file.name for file in model.files}) == len(model.files)
        weights = f"{model.name.removeprefix('piper-')}.onnx" if model.engine == "piper" else "model.bin"
        assert weights in {file.name for file in model.files}


def test_pull_list_verify_remove(server: FileServer) -> None:
    assert "–  mine. CC0" in invoke("list").output
    pulled = invoke("pull", "piper-mine")
    assert "could be verified" in pulled.output
    assert Path("models/piper-mine/voice.onnx").read_bytes() == DATA["/voice.onnx"]
    assert "installed" in invoke().output
    assert invoke("verify").output.count("✓") == 2
    server.requested.clear()
    invoke("pull", "piper-mine")
    assert server.requested == []  # nothing was missing
    Path("models/piper-mine/notes.txt").write_text("kept")
    assert "freed" in invoke("remove", "piper-mine").output
    assert [path.name for path in Path("models/piper-mine").iterdir()] == ["notes.txt"]
    assert json.loads(Path("models/pins.json").read_text()) == {}
    assert "was not there" in invoke("remove", "piper-mine").output


def test_what_was_altered_or_is_missing_is_found(server: FileServer) -> None:
    invoke("pull", "piper-mine")
    path = Path("models/piper-mine/voice.onnx")
    path.write_bytes(b"w" + path.read_bytes()[1:-1] + b"!")
    Path("models/piper-mine/voice.onnx.json").unlink()
    output = invoke("verify", "piper-mine", code=1).output
    assert "voice.onnx: not what it was" in output
    assert "voice.onnx.json: not there" in output


def test_the_wrong_checksum_is_refused_and_dropped(server: FileServer) -> None:
    own(server.url, sha256="0" * 64)
    assert "0000" in invoke("pull", "piper-mine", code=6).output
    assert list(Path("models/piper-mine").iterdir()) == []
    own(server.url, sha256=hashlib.sha256(DATA["/voice.onnx"]).hexdigest())
    assert "voice.onnx," not in invoke("pull", "piper-mine").output


def test_what_was_pinned_must_come_again(server: FileServer) -> None:
    invoke("pull", "piper-mine")
    Path("models/piper-mine/voice.onnx").unlink()
    server.files["/voice.onnx"] = b"another" * 1_000
    assert "changed there or on the way" in invoke("pull", "piper-mine", code=6).output


def test_offline_it_says_what_to_fetch_by_hand_and_then_takes_it() -> None:
    with file_server() as gone:
        own(gone.url)
    output = invoke("pull", "piper-mine", code=6).output
    folder = Path("models/piper-mine").resolve()
    for said in (f"{gone.url}/voice.onnx\n", f"{gone.url}/voice.onnx.json\n", str(folder), "verify piper-mine"):
        assert said in output
    folder.mkdir(exist_ok=True)
    for name, data in DATA.items():
        (folder / name[1:]).write_bytes(data)
    assert "pinned from here on" in invoke("verify", "piper-mine").output
    assert ModelsFolder(Path("models")).located("piper-mine") == Path("models/piper-mine")


def test_a_model_that_is_not_installed_names_the_command() -> None:
    with pytest.raises(ModelError, match=r"voice-agent models pull whisper-base\.en"):
        ModelsFolder(Path("models")).located("whisper-base.en")
    assert "did you mean piper-en_US-lessac-medium?" in invoke("pull", "en_US-lessac-medium", code=6).output


@pytest.mark.parametrize("name", ["../evil", "a/b", "/etc/passwd", "..", ".hidden", "a\\b", "", "x" * 101, "a\n"])
def test_no_file_outside_its_folder_can_be_named(name: str) -> None:
    own("https://example.org", file_name=name)
    assert "manifest" in invoke("list", code=6).output
    own("https://example.org", name=name)
    assert "manifest" in invoke("list", code=6).output


@pytest.mark.parametrize(
    ("key", "value"),
    [("base", "http://example.org/"), ("base", "ftp://example.org/"), ("base", "https://example.org/file"),
     ("engine", "other"), ("unknown", "key"), ("base", "https:" + "x" * 1_000 + "/")],
)  # fmt: skip
def test_a_manifest_that_is_not_valid_says_where(key: str, value: str) -> None:
    own("https://example.org", **{key: value})
    assert key in invoke("list", code=6).output


def test_a_manifest_that_is_no_toml_and_pins_that_are_no_json() -> None:
    own("https://example.org")
    Path("models/pins.json").write_text("{")
    Path("models/piper-mine").mkdir()
    Path("models/piper-mine/voice.onnx").write_bytes(b"x")
    assert "delete it" in " ".join(invoke("verify", code=6).output.split())
    Path("models/manifest.toml").write_text("format = ")
    assert "cannot be read" in invoke("list", code=6).output

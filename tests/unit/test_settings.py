from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from agent.config.keys import keys
from agent.config.load import load, save
from agent.config.show import MASK, describe, masked, rows
from agent.errors import SettingsError
from agent.settings import Settings


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "agent.toml"


def refusal(path: Path | None = None, environ: dict[str, str] | None = None, *overrides: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load(path, environ or {}, overrides)
    return str(caught.value)


def test_without_sources_everything_is_default() -> None:
    loaded = load(None, {"PATH": "/bin"})
    assert loaded.settings == Settings()
    assert set(loaded.origin.values()) == {"default"}
    assert "endpointing.floor_ms" in loaded.origin


def test_later_sources_win_and_are_named(path: Path) -> None:
    path.write_text("# mine\n[server]\nport = 1\nhost = 'a'\n\n[vad]\nonset_ms = 70\n")
    environ = {"VOICE_AGENT__SERVER__PORT": "2", "VOICE_AGENT__SERVER__HOST": "b"}
    loaded = load(path, environ, ["server.port=3"])
    assert (loaded.settings.server.port, loaded.settings.server.host, loaded.settings.vad.onset_ms) == (3, "b", 70)
    assert loaded.origin["server.port"] == "command line"
    assert loaded.origin["server.host"] == "environment VOICE_AGENT__SERVER__HOST"
    assert loaded.origin["vad.onset_ms"] == "agent.toml:7"
    assert loaded.origin["vad.hangover_ms"] == "default"


def test_the_last_of_several_overrides_wins() -> None:
    assert load(None, {}, ["server.port=1", "server.port=2"]).settings.server.port == 2


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("server.token=12345", "12345"),
        ("server.token='12345'", "12345"),
        ("server.token=true", "true"),
        ("server.token=a b=c", "a b=c"),
        ("server.token=", ""),
        ('server.origins=["http://x", "http://y"]', ("http://x", "http://y")),
        ("tts.speed=2", 2.0),
        ("browser.vad=false", False),
        ("brain.memory=/var/x.sqlite3", Path("/var/x.sqlite3")),
        ("interruption.mode=never", "never"),
        ("interruption.stop_words=[]", ()),
        ('interruption.backchannels={ de = ["aha"], fr = [] }', {"de": ("aha",), "fr": ()}),
    ],
)
def test_values_in_words_are_read_as_their_key_wants_them(override: str, value: object) -> None:
    table, _, key = override.partition("=")[0].partition(".")
    loaded = load(None, {}, [override])
    assert getattr(getattr(loaded.settings, table), key) == value


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("server.port=99999", "server.port = 99999 (command line) must be 0 to 65535"),
        ("server.port=true", "server.port = True (command line) must be 0 to 65535"),
        ("server.port=1.5", "server.port = 1.5 (command line) must be 0 to 65535"),
        ("tts.speed=nan", "tts.speed = nan (command line) must be 0.5 to 3.0"),
        ("vad.frame_ms=15", "vad.frame_ms = 15 (command line) must be one of 10, 20, 30"),
        ("interruption.mode=loud", "interruption.mode = 'loud' (command line) must be one of graded, never, any_sound"),
        ("server.origins=http://x", "must be a list of strings"),
        ("interruption.backchannels=['uh']", "interruption.backchannels = ['uh'] (command line) must be a table with"),
        ("interruption.backchannels={de='ja'}", "= {'de': 'ja'} (command line) must be a table with lists of strings"),
        ("interruption.backchannels={x=[]}", "interruption.backchannels has 'x'; a language is two or three small"),
        ("interruption.language=German", "interruption.language is 'German'; it must be two or three small letters"),
        ("endpointing.floor_ms=soon", "endpointing.floor_ms = 'soon' (command line) must be a valid integer"),
        ("endpointing.floor_ms=-1", "endpointing.floor_ms is -1; it must lie between 0 and 5000 (command line)"),
        ("server.porrt=1", "there is no setting server.porrt (command line); did you mean server.port?"),
        ("floor_ms=1", "there is no setting floor_ms (command line); did you mean endpointing.floor_ms?"),
        ("server.port", "'server.port' (command line) is not of the form table.key=value"),
    ],
)
def test_a_bad_value_is_refused_with_its_key_its_source_and_what_is_allowed(override: str, complaint: str) -> None:
    assert complaint in refusal(None, None, override)


def test_a_default_that_another_value_makes_impossible_names_that_value() -> None:
    message = refusal(None, None, "endpointing.floor_ms=800")
    assert message.startswith("endpointing.neutral_ms is 500; it must lie between 800 and 10000")
    assert "endpointing.floor_ms = 800 (command line)" in message


def test_every_mistake_has_its_line() -> None:
    assert len(refusal(None, None, "tts.speed=9", "tts.pitch=-1", "server.port=-1").splitlines()) == 3


def test_the_value_of_a_secret_is_not_in_the_message() -> None:
    message = refusal(None, {"VOICE_AGENT__SERVER__TOKEN": "hush"}, "server.token=hush", "server.port=-1")
    assert "hush" not in message


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[server]\nprot = 1\n", "server.prot (agent.toml:2); did you mean server.port?"),
        ("[sever]\nport = 1\n", "there is no table [sever] (agent.toml); did you mean server?"),
        ("port = 1\n", "port (agent.toml) stands outside any table; did you mean server.port?"),
        ("[server]\nport = 'x'\n", "server.port = 'x' (agent.toml:2) must be 0 to 65535"),
        ("[server.port]\nx = 1\n", "server.port = {'x': 1} (agent.toml) must be 0 to 65535"),
        ("[server\n", "is not TOML"),
        ("[server]\ntoken = '\udcff'\n", "is not UTF-8"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(path: Path, text: str, complaint: str) -> None:
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert complaint in refusal(path)


def test_a_missing_file_is_refused(path: Path) -> None:
    assert "agent.toml cannot be read: No such file" in refusal(path)


def test_an_unknown_variable_is_refused() -> None:
    message = refusal(None, {"VOICE_AGENT__VAD__ONSET": "1"})
    assert "vad.onset (environment VOICE_AGENT__VAD__ONSET); did you mean vad.onset_ms?" in message


# ── saving ───────────────────────────────────────────────────────────────────────────────

FILE = """\
# My agent.

[server]   # where it listens
port = 9000  # not 8700
# host = "0.0.0.0"

[vad]
aggressiveness   =  1
"""


def test_saving_changes_one_value_and_keeps_the_rest(path: Path) -> None:
    path.write_text(FILE)
    save(path, {"server.port": 9001})
    assert path.read_text() == FILE.replace("9000", "9001")


def test_saving_adds_keys_and_tables(path: Path) -> None:
    path.write_text(FILE)
    save(path, {"vad.onset_ms": 80, "interruption.backchannels": {"en": ["uh"]}, "browser.vad": False})
    text = path.read_text()
    assert text.startswith(FILE.rstrip("\n"))
    settings = load(path, {}).settings
    assert (settings.server.port, settings.vad.aggressiveness, settings.vad.onset_ms) == (9000, 1, 80)
    assert (settings.interruption.backchannels, settings.browser.vad) == ({"en": ("uh",)}, False)


def test_saving_makes_the_file(path: Path) -> None:
    save(path, {"vad.onset_ms": 80})
    assert load(path, {}).settings.vad.onset_ms == 80


@pytest.mark.parametrize("changes", [{"vad.onset_ms": 5}, {"vad.onset": 80}, {"endpointing.floor_ms": 800}])
def test_what_would_not_load_is_not_saved(path: Path, changes: dict[str, object]) -> None:
    path.write_text(FILE)
    with pytest.raises(SettingsError, match="to be saved"):
        save(path, changes)
    assert path.read_text() == FILE


def test_a_file_that_is_wrong_already_is_left_alone(path: Path) -> None:
    path.write_text("[vad]\nonset_ms = 5\n")
    with pytest.raises(SettingsError, match=r"vad\.onset_ms = 5 \(agent\.toml:2\)"):
        save(path, {"server.port": 1})
    assert path.read_text() == "[vad]\nonset_ms = 5\n"


def test_an_inline_table_is_not_edited(path: Path) -> None:
    path.write_text("vad = { onset_ms = 70 }\n")
    with pytest.raises(SettingsError, match=r"write vad as a table of its own"):
        save(path, {"vad.hangover_ms": 90})


def test_saving_keeps_permissions_and_links_and_leaves_no_drafts(path: Path, tmp_path: Path) -> None:
    real = tmp_path / "elsewhere.toml"
    real.write_text(FILE)
    real.chmod(0o600)
    path.symlink_to(real)
    save(path, {"server.port": 1})
    assert path.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o600
    assert sorted(file.name for file in tmp_path.iterdir()) == ["agent.toml", "elsewhere.toml"]
    assert load(real, {}).settings.server.port == 1


def test_a_folder_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be written"):
        save(tmp_path / "nowhere" / "agent.toml", {"server.port": 1})


# ── what a listener says, by language ─────────────────────────────────────────────────────


def test_a_table_in_the_file_has_the_words_of_each_language(path: Path) -> None:
    path.write_text("[interruption.backchannels]\nde = ['ja', 'eben']\n\n[interruption]\nlanguage = 'de'\n")
    loaded = load(path, {})
    assert loaded.settings.policy.interruption.spoken_backchannels == ("ja", "eben")
    found = {row.key: row for row in rows(loaded)}
    assert found["interruption.backchannels"].value == '{ de = ["ja", "eben"] }'
    assert found["interruption.backchannels"].origin == "agent.toml"


@pytest.mark.parametrize(
    ("overrides", "language"),
    [
        ([], "en"),
        (["asr.language=de"], "en"),
        (["asr.engine=whisper", "asr.language=de"], "en"),
        (["asr.engine=whisper", "asr.model=whisper-small", "asr.language=de"], "de"),
        (["asr.engine=ears:Ears", "asr.language=de"], "de"),
        (["asr.engine=ears:Ears", "asr.language=de", "interruption.language=fr"], "fr"),
    ],
)
def test_the_words_are_those_of_the_language_that_is_heard(overrides: list[str], language: str) -> None:
    interruption = load(None, {}, overrides).settings.policy.interruption
    assert interruption.spoken_backchannels == interruption.backchannels[language]


# ── families of tables ───────────────────────────────────────────────────────────────────


def test_a_family_has_any_number_of_tables_each_with_its_keys(path: Path) -> None:
    path.write_text("[mcp.files]\ncommand = 'serve-files'\nargs = ['a']\n\n[mcp.web]\nurl = 'http://h/mcp'\n")
    loaded = load(path, {"VOICE_AGENT__MCP__WEB__TRUSTED": "false"}, ["mcp.files.timeout_s=3"])
    files, web = loaded.settings.mcp["files"], loaded.settings.mcp["web"]
    assert (files.command, files.args, files.timeout_s, files.trusted) == ("serve-files", ("a",), 3.0, True)
    assert (web.url, web.trusted) == ("http://h/mcp", False)
    assert loaded.origin["mcp.files.args"] == "agent.toml:3"
    assert loaded.origin["mcp.web.trusted"] == "environment VOICE_AGENT__MCP__WEB__TRUSTED"
    found = {row.key: row.value for row in rows(loaded)}
    assert found["mcp.files.command"] == '"serve-files"'
    assert "mcp.web.command" not in found


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[mcp.files]\ncomand = 'x'\n", "there is no setting mcp.files.comand (agent.toml:2); did you mean"),
        ("[mcp.files]\n", "[mcp.files] (agent.toml) is empty"),
        ("[mcp.files]\ncommand = 'x'\nurl = 'y'\n", "mcp.files: give it either a command or a url"),
        ("[mcp.files]\ncommand = 'x'\ntimeout_s = 0\n", "mcp.files.timeout_s = 0 (agent.toml:3) must be 0.1 to 600"),
        ("[mcp.files]\nurl = 'x'\nheaders = ['Authorization: Bearer abc']\n", 'not of the form "Header = VARIABLE"'),
        ("[mcp.'My Files']\ncommand = 'x'\n", "should match pattern"),
        ("[mcp]\nfiles = 1\n", "mcp.files"),
    ],
)
def test_what_is_wrong_in_a_family_is_named(path: Path, text: str, says: str) -> None:
    path.write_text(text)
    assert says in refusal(path)


# ── showing ──────────────────────────────────────────────────────────────────────────────


def test_the_description_is_a_file_with_every_key_at_its_default(path: Path) -> None:
    path.write_text(describe())
    tables = tomllib.loads(describe())
    assert [f"{table}.{key}" for table in tables for key in tables[table]] == list(keys())
    assert load(path, {}).settings == Settings()
    assert "# [mcp.NAME]\n# # The program that is the server;" in describe().replace("\n# # it is", " it is")


def test_the_description_says_what_a_key_means_and_allows() -> None:
    text = describe()
    assert "# Speech frames in a row that begin an utterance. (10 to 1000)\nonset_ms = 60\n" in text
    assert "# How sounds during the agent's speech are judged.\n[interruption]\n" in text
    assert "stable_ms" in text.split("# The hypothesis must not have changed for this long.")[1][:20]


def test_rows_show_what_is_in_force_and_where_it_came_from() -> None:
    found = {row.key: row for row in rows(load(None, {}, ["vad.onset_ms=80"]))}
    assert list(found) == list(keys())
    row = found["vad.onset_ms"]
    assert (row.value, row.origin) == ("80", "command line")
    assert row.doc.startswith("Speech frames in a row")
    assert found["server.host"].value == '"127.0.0.1"'


def test_secrets_are_masked_wherever_settings_are_shown() -> None:
    loaded = load(None, {}, ["server.token=hush", 'server.ice_servers=["turn:me:hush@h:1", "stun:h:2"]'])
    found = {row.key: row for row in rows(loaded)}
    assert found["server.token"].value == f'"{MASK}"'
    assert found["server.ice_servers"].value == f'["turn:me:{MASK}@h:1", "stun:h:2"]'
    report = masked(loaded.settings)
    assert report["server"]["token"] == MASK
    assert "hush" not in str(report)
    assert report["brain"]["memory"] == "voice-agent-memory.sqlite3"
    assert masked(Settings())["server"]["token"] == ""


@pytest.mark.parametrize("password", ["hush", "hu@sh", "hu:sh"])
def test_an_error_about_an_address_keeps_its_password_to_itself(password):
    address = f"http://me:{password}@localhost:1/v1"
    with pytest.raises(SettingsError, match=r"brain\.base_url = 'http://…@localhost:1/v1'") as found:
        load(None, {}, [f"brain.base_url={address}"])
    assert "hu" not in str(found.value)

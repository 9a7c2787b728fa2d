"""Who the owners are, and whose a token is."""

import re
import tomllib
from pathlib import Path

import pytest

from agent.config.load import load
from agent.config.show import masked, rows
from agent.errors import SettingsError
from agent.owners import LOCAL, NOBODY, own_file, owner_of, owner_tokens

ANNA, BEN = "anna's long token", "ben's = long token"


def test_each_token_is_its_owners_and_no_others() -> None:
    tokens = owner_tokens([f"anna = {ANNA}", f"ben-2={BEN}"], "the server's")
    assert tokens == {LOCAL: "the server's", "anna": ANNA, "ben-2": BEN}
    for name, token in tokens.items():
        assert owner_of([token], tokens) == name
        assert owner_of(["", "none", token], tokens) == name
    for wrong in ([], [""], ["anna"], [ANNA[:-1]], [ANNA + " "], ["\udcff"]):
        assert owner_of(wrong, tokens) == NOBODY


def test_where_nobody_has_a_token_everybody_is_local() -> None:
    assert owner_tokens([], "") == {}
    assert owner_of([], {}) == owner_of(["whatever"], {}) == LOCAL


def test_where_only_others_have_one_nobody_is_local_without() -> None:
    tokens = owner_tokens([f"anna = {ANNA}"], "")
    assert LOCAL not in tokens
    assert owner_of([], tokens) == NOBODY


@pytest.mark.parametrize(
    "entries",
    [
        ["anna"],
        ["anna = "],
        ["anna = short"],
        [f"Anna = {ANNA}"],
        [f" = {ANNA}"],
        [f"../anna = {ANNA}"],
        [f"local = {ANNA}"],
        [f"anna = {ANNA}", "anna = another long one"],
        [f"anna = {ANNA}", f"ben = {ANNA}"],
        ["anna = the server's"],
    ],
)
def test_what_cannot_be_is_said_without_the_token(entries: list[str]) -> None:
    with pytest.raises(SettingsError, match=f"server.owner_tokens, entry {len(entries)}") as refused:
        owner_tokens(entries, "the server's")
    assert "long" not in str(refused.value)


def test_the_tokens_are_shown_to_nobody() -> None:
    loaded = load(None, {}, [f'server.owner_tokens=["anna = {ANNA}"]'])
    assert ANNA not in str([row.value for row in rows(loaded)])
    assert ANNA not in str(masked(loaded.settings))


def test_each_owner_has_files_of_their_own() -> None:
    path = Path("folder/memory.sqlite3")
    assert own_file(path, LOCAL) == path
    assert own_file(path, "anna") == Path("folder/memory-anna.sqlite3")
    assert own_file(Path(":memory:"), "anna") == Path(":memory:")


def test_what_the_readme_shows_names_owners() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    [shown] = [text for text in re.findall(r"```toml\n(.*?)```", readme, re.DOTALL) if "owner_tokens" in text]
    server = tomllib.loads(shown)["server"]
    assert list(owner_tokens(server["owner_tokens"], server["token"])) == [LOCAL, "anna", "ben"]

"""Tokens by which a session is taken up again."""

import stat

import pytest

from agent.errors import StoreError, TokenRefused
from agent.transport.session_token import KEY_BYTES, TokenKey, key_in

KEY = TokenKey(bytes(range(KEY_BYTES)))
TOKEN = KEY.issue("abc123", 1_000, 60)


def test_a_token_grants_its_session_until_it_expires():
    assert KEY.check(TOKEN, 1_059).session_id == "abc123"
    assert KEY.check(TOKEN, 1_060).scopes == {"talk", "watch", "confirm"}
    assert KEY.check(KEY.issue("abc123", 0, 9, "w"), 1).scopes == {"watch"}
    with pytest.raises(TokenRefused, match="expired"):
        KEY.check(TOKEN, 1_061)


def test_every_change_of_a_token_is_seen():
    for at, letter in enumerate(TOKEN):
        other = "A" if letter != "A" else "B"
        with pytest.raises(TokenRefused):
            KEY.check(TOKEN[:at] + other + TOKEN[at + 1 :], 1_000)
    for wrong in ("", "v1", TOKEN[:-1], TOKEN + "A", "x" * 10_000, TOKEN.replace("abc123", "abc124"), TOKEN + "\n"):
        with pytest.raises(TokenRefused):
            KEY.check(wrong, 1_000)
    with pytest.raises(TokenRefused):
        TokenKey().check(TOKEN, 1_000)


def test_the_key_is_kept_for_its_owner_alone_and_found_again(tmp_path):
    path = tmp_path / "timeline.sqlite3.key"
    token = key_in(path).issue("s", 0, 10)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.stat().st_size == KEY_BYTES
    assert key_in(path).check(token, 1).session_id == "s"
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_key_that_is_none_or_cannot_be_kept_is_said(tmp_path):
    (tmp_path / "short").write_bytes(b"123")
    with pytest.raises(StoreError, match="remove it"):
        key_in(tmp_path / "short")
    with pytest.raises(StoreError, match="cannot be kept"):
        key_in(tmp_path / "nowhere" / "key")

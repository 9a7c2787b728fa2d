"""Tokens by which a session is taken up again."""

import stat

import pytest

from agent.errors import ScopeNeeded, StoreError, TokenRefused
from agent.transport.session_token import EXPIRED, KEY_BYTES, MAX_DEPTH, REVOKED, TokenKey, key_in

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


def test_a_renewed_token_is_the_same_for_longer_and_a_minted_one_is_not():
    own = KEY.check(TOKEN, 1_000)
    renewed = KEY.check(KEY.renew(own, 1_050, 60)[0], 1_050)
    assert (renewed.name, renewed.scopes, renewed.expires_s) == (own.name, own.scopes, 1_110)
    minted = KEY.check(KEY.mint(own, ["watch"], 1_000, 30), 1_000)
    assert minted.expires_s == 1_030
    assert KEY.check(KEY.renew(minted, 1_020, 60)[0], 1_020) == minted


def test_a_link_that_renews_lets_in_for_a_while_and_who_came_in_stays():
    own = KEY.check(TOKEN, 1_000)
    link = KEY.mint(own, ["talk"], 1_000, 10, renews=True)
    with pytest.raises(TokenRefused, match="expired"):
        KEY.check(link, 1_011)
    inside = KEY.check(KEY.renew(KEY.check(link, 1_005), 1_005, 3_600)[0], 1_005)
    assert (inside.expires_s, inside.scopes) == (4_605, own.scopes)
    assert KEY.ended(KEY.check(link, 1_005), 9_999) == ""
    watching = KEY.check(KEY.mint(inside, ["watch"], 1_005, 10), 1_005)
    assert not watching.renews
    KEY.revoke(own, inside.name)
    assert KEY.ended(inside, 1_005) == REVOKED
    with pytest.raises(TokenRefused, match="ends at its time"):
        KEY.mint(KEY.check(KEY.mint(own, ["talk"], 1_000, 10), 1_000), ["talk"], 1_000, 5, renews=True)


def test_a_minted_token_allows_what_was_asked_and_no_more_than_its_maker_has():
    own = KEY.check(TOKEN, 1_000)
    allowed = {
        scope: KEY.check(KEY.mint(own, [scope], 1_000, 10), 1_000).scopes for scope in ("watch", "confirm", "talk")
    }
    assert allowed == {
        "watch": {"watch"},
        "confirm": {"confirm", "watch"},
        "talk": {"talk", "confirm", "watch"},  # who may talk can say "yes"
    }
    assert KEY.check(KEY.mint(own, ["watch"], 1_000, 1e9), 1_000).expires_s == own.expires_s
    watching = KEY.check(KEY.mint(own, ["watch"], 1_000, 10), 1_000)
    for scope in ("watch", "confirm", "talk"):
        with pytest.raises(ScopeNeeded, match="scope talk"):
            KEY.mint(watching, [scope], 1_000, 10)


def test_a_token_is_passed_on_only_so_far():
    grant = KEY.check(TOKEN, 1_000)
    for _ in range(MAX_DEPTH - 1):
        grant = KEY.check(KEY.mint(grant, ["talk"], 1_000, 10), 1_000)
    with pytest.raises(TokenRefused, match="too often"):
        KEY.mint(grant, ["watch"], 1_000, 10)


def test_revoking_a_token_ends_it_and_what_came_of_it_and_nothing_else(tmp_path):
    key = key_in(tmp_path / "timeline.sqlite3.key")
    own = key.check(key.issue("s1", 0, 60), 0)
    talking, other = (key.mint(own, ["talk"], 0, 50) for _ in range(2))
    watching = key.mint(key.check(talking, 0), ["watch"], 0, 40)
    with pytest.raises(TokenRefused, match="no other"):
        key.revoke(key.check(other, 0), key.check(talking, 0).name)
    with pytest.raises(TokenRefused, match="no other"):
        key.revoke(key.check(watching, 0), key.check(talking, 0).name)
    seen = key.check(watching, 0)
    key.revoke(own, key.check(talking, 0).name)
    for token in (talking, watching):
        with pytest.raises(TokenRefused, match="revoked"):
            key.check(token, 0)
        with pytest.raises(TokenRefused, match="revoked"):
            key_in(tmp_path / "timeline.sqlite3.key").check(token, 0)
    assert key.ended(seen, 0) == REVOKED
    assert key.check(other, 0).session_id == "s1"
    assert key.ended(own, 61) == "", "a connection renews what lets it in"
    assert key.ended(key.check(other, 0), 51) == EXPIRED


def test_a_token_says_whose_session_it_is_and_what_is_minted_from_it_too():
    assert KEY.check(TOKEN, 1_000).owner == "local"
    theirs = KEY.check(KEY.issue("abc123", 1_000, 60, owner="anna-2"), 1_000)
    assert (theirs.session_id, theirs.owner, theirs.scopes) == ("abc123", "anna-2", KEY.check(TOKEN, 1_000).scopes)
    assert KEY.check(KEY.renew(theirs, 1_010, 60)[0], 1_010).owner == "anna-2"
    assert KEY.check(KEY.mint(theirs, ["watch"], 1_000, 10), 1_000).owner == "anna-2"


def test_the_longest_names_fit():
    grant = KEY.check(KEY.issue("s" * 64, 1_000, 10**10, owner="a" * 32), 1_000)
    for _ in range(MAX_DEPTH - 1):
        grant = KEY.check(KEY.mint(grant, ["talk"], 1_000, 10**10, renews=True), 1_000)
    assert (grant.session_id, grant.owner) == ("s" * 64, "a" * 32)

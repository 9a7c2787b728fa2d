"""Session tokens under any use: none that was not given is taken, and none allows more than what it was made from."""

from __future__ import annotations

import string
from contextlib import suppress

from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.errors import ScopeNeeded, TokenRefused
from agent.transport.session_token import KEY_BYTES, Scope, TokenKey

KEY = TokenKey(bytes(range(KEY_BYTES)))
TOKEN = KEY.issue("abc123", 1_000, 60, "w")
LETTERS = string.ascii_letters + string.digits + "._-"
SCOPES = st.sampled_from(("talk", "watch", "confirm"))
STEP = st.tuples(st.integers(0, 9), st.lists(SCOPES, min_size=1, max_size=3), st.integers(1, 100), st.booleans())
STEPS = st.lists(STEP, max_size=8)


def taken(token: str, now_s: float = 1_000, key: TokenKey = KEY) -> bool:
    with suppress(TokenRefused):
        key.check(token, now_s)
        return True
    return False


@settings(max_examples=300)
@given(st.data())
def test_no_edit_of_a_token_is_taken(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(TOKEN)))
    end = data.draw(st.integers(start, len(TOKEN)))
    edited = TOKEN[:start] + data.draw(st.text(LETTERS, max_size=12)) + TOKEN[end:]
    assert taken(edited) == (edited == TOKEN)


@given(st.text(max_size=250))
@example(TOKEN.replace(".wr.", ".twcr."))
@example(TOKEN.replace(".1060.", ".9060."))
@example(TOKEN.replace(".abc123.", ".abc123.anna."))
@example(KEY.issue("abc123", 1_000, 60, "w", "anna").replace(".anna.", "."))
@example(KEY.issue("abc123", 1_000, 60, "w", "anna").replace(".anna.", ".ben."))
@example(TOKEN.rpartition(".")[0] + ".")
def test_nothing_that_anybody_makes_up_is_taken(token: str) -> None:
    assert not taken(token)


@given(st.integers(0, 2_000), st.integers(1, 1_000), st.integers(0, 4_000))
def test_a_token_is_taken_until_it_expires(issued_s: int, valid_s: int, now_s: int) -> None:
    assert taken(KEY.issue("s", issued_s, valid_s), now_s) == (now_s <= issued_s + valid_s)


@settings(max_examples=100)
@given(STEPS, st.integers(0, 9))
def test_passing_on_never_gives_more_and_revoking_takes_all_of_it(
    steps: list[tuple[int, list[Scope], int, bool]], revoked: int
) -> None:
    """Tokens minted from each other in any order: each from an earlier one."""
    key = TokenKey(bytes(KEY_BYTES))
    tokens = [key.issue("s", 0, 50)]
    parents = [0]
    for parent, scopes, valid_s, renews in steps:
        parent %= len(tokens)
        with suppress(ScopeNeeded, TokenRefused):
            tokens.append(key.mint(key.check(tokens[parent], 0), scopes, 0, valid_s, renews=renews))
            parents.append(parent)
    grants = [key.check(token, 0) for token in tokens]
    for grant, parent in zip(grants, parents, strict=True):
        assert grants[parent].renews or not grant.renews
        assert grant.scopes <= grants[parent].scopes
        assert grant.expires_s <= grants[parent].expires_s
        assert key.check(key.renew(grant, 0, 0)[0], 0).scopes == grant.scopes
    gone = {revoked % len(tokens)}
    key.revoke(grants[0], grants[revoked % len(tokens)].name)
    for number, parent in enumerate(parents):
        if parent in gone:
            gone.add(number)
    assert {number for number, token in enumerate(tokens) if not taken(token, 0, key)} == gone

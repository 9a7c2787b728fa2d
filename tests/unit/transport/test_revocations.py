"""Which session tokens do not count any more, as a file says that several processes share."""

import pytest

from agent.errors import StoreError
from agent.transport.revocations import Revocations


@pytest.fixture
def path(tmp_path):
    return tmp_path / "timeline.sqlite3.revoked"


def test_a_token_goes_with_all_that_was_minted_from_it(path):
    revoked = Revocations(path)
    revoked.add("s1", "aa-bb")
    for name in ("aa-bb", "aa-bb-cc", "aa-bb-cc-dd"):
        assert revoked.covers("s1", name)
    for name in ("aa", "aa-b", "aa-bbb", "aa-cc-bb", "bb"):
        assert not revoked.covers("s1", name)
    assert not revoked.covers("s2", "aa-bb")


def test_every_process_sees_it_at_once_and_after_a_restart(path):
    here, there = Revocations(path), Revocations(path)
    assert not there.covers("s1", "aa")
    here.add("s1", "aa")
    assert there.covers("s1", "aa")
    there.add("s2", "bb")
    assert here.covers("s2", "bb")
    assert Revocations(path).covers("s1", "aa")
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("torn", ["s1 aa", "s1 aa-bb", "s1 aa revo", "s1 "])
def test_half_a_line_revokes_nothing_and_spoils_no_other(path, torn):
    path.write_text(f"\ns0 00 revoked\n\n{torn}")
    revoked = Revocations(path)
    assert revoked.covers("s0", "00")
    assert not revoked.covers("s1", "aa")
    revoked.add("s3", "cc")
    assert Revocations(path).covers("s3", "cc")
    assert not Revocations(path).covers("s1", "aa")


def test_a_line_that_another_process_is_writing_is_read_once_it_is_whole(path):
    revoked = Revocations(path)
    with path.open("w") as file:
        file.write("\ns1 aa rev")
        file.flush()
        assert not revoked.covers("s1", "aa")
        file.write("oked\n")
        file.flush()
        assert revoked.covers("s1", "aa")


def test_what_cannot_be_kept_or_told_is_said(tmp_path):
    with pytest.raises(StoreError, match="could not be revoked"):
        Revocations(tmp_path / "nowhere" / "file").add("s1", "aa")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError, match="cannot be told"):
        Revocations(tmp_path / "folder").covers("s1", "aa")


def test_without_a_file_they_end_with_the_process():
    revoked = Revocations()
    revoked.add("s1", "aa")
    assert revoked.covers("s1", "aa-bb")
    assert not Revocations().covers("s1", "aa")

"""Messages as files and over SMTP; what is told of a server that refuses, and of one that breaks off."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

import pytest

from agent.errors import ToolError
from agent.thinking.tools.outbox import Letter, Outbox
from agent.thinking.tools.smtp import Smtp
from tests.fixtures.smtp_server import certificate, mail_server

LETTER = Letter("name", "me@example.org", ["anna@example.org", "bob@example.org"], b"Subject: hi\r\n\r\n.dot\r\n")


def sent(folder: Path | None, smtp: Smtp | None = None, times: int = 1) -> list[bool | str]:
    """What each time is answered: whether it was sent, or the class of the failure."""

    async def main() -> list[bool | str]:
        outbox = Outbox(folder, smtp)
        found: list[bool | str] = []
        for _ in range(times):
            try:
                found.append(await outbox.send(LETTER))
            except ToolError as error:
                found.append(error.error_class)
        await outbox.close()
        return found

    return asyncio.run(main())


def places(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def plain(port: int, **more: str) -> Smtp:
    return Smtp("127.0.0.1", port, "none", timeout_s=2.0, **more)


def checked(folder: Path | None, smtp: Smtp | None = None) -> str:
    async def main() -> str:
        outbox = Outbox(folder, smtp)
        problem = await outbox.check()
        await outbox.close()
        return problem

    return asyncio.run(main())


def test_without_a_server_it_waits_in_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "outbox"
    assert checked(folder) == ""
    assert not folder.exists(), "looking makes nothing"
    assert sent(folder, times=2) == [False, False]
    assert places(folder) == ["name.eml"]
    assert (folder / "name.eml").read_bytes() == LETTER.data
    assert (folder / "name.eml").stat().st_mode & 0o777 == 0o600


def test_a_server_gets_it_once(tmp_path: Path) -> None:
    with mail_server() as box:
        assert sent(tmp_path, plain(box.port), times=3) == [True, True, True]
    assert box.messages == [b"Subject: hi\r\n\r\n..dot\r\n"], "the dot is stuffed"
    assert box.envelopes[0][0].startswith("mail FROM:<me@example.org>")
    assert len(box.envelopes[0][1]) == 2
    assert places(tmp_path) == ["sent/name.eml"]


@pytest.mark.parametrize("mood", ["refuse_rcpt", "refuse_data"])
def test_what_is_refused_goes_to_nobody_and_may_be_tried_again(tmp_path: Path, mood: str) -> None:
    with mail_server(mood) as box:
        assert sent(tmp_path, plain(box.port)) == ["permission"]
        assert box.messages == []
        assert places(tmp_path) == ["failed/name.eml"]
        box.mood = "take"
        assert sent(tmp_path, plain(box.port)) == [True]
    assert len(box.messages) == 1


def test_when_the_server_breaks_off_behind_the_content_nobody_knows_and_it_is_not_sent_again(tmp_path: Path) -> None:
    with mail_server("hang_up") as box:
        assert sent(tmp_path, plain(box.port), times=3) == ["unknown"] * 3
    assert len(box.messages) == 1
    assert places(tmp_path) == ["sending/name.eml"]


def test_a_server_that_is_not_there_is_said_at_the_start_and_when_it_is_needed(tmp_path: Path) -> None:
    with mail_server() as box:
        assert checked(tmp_path, plain(box.port)) == ""
    assert f"127.0.0.1:{box.port} cannot be reached" in checked(tmp_path, plain(box.port))
    assert sent(tmp_path, plain(box.port)) == ["unreachable"]
    assert places(tmp_path) == ["failed/name.eml"]


def test_the_password_is_needed_and_never_sent_in_the_clear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAIL_PASSWORD", raising=False)
    smtp = Smtp("mail.example.org", 25, "starttls", "ann", "MAIL_PASSWORD")
    assert "MAIL_PASSWORD" in checked(tmp_path, smtp)
    monkeypatch.setenv("MAIL_PASSWORD", "secret")
    assert "without encryption" in checked(tmp_path, Smtp("mail.example.org", 25, "none", "ann", "MAIL_PASSWORD"))
    assert sent(tmp_path, Smtp("mail.example.org", 25, "none", "ann", "MAIL_PASSWORD")) == ["permission"]


@pytest.mark.parametrize(("password", "expected"), [("secret", [True]), ("wrong", ["permission"])])
def test_login_over_tls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str], password: str, expected: Sequence[bool | str],
) -> None:  # fmt: skip
    context, trusted = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    monkeypatch.setenv("MAIL_PASSWORD", password)
    smtp = Smtp("127.0.0.1", 0, "starttls", "ann", "MAIL_PASSWORD", 2.0)
    with caplog.at_level(logging.DEBUG), mail_server(tls=context) as box:
        smtp = Smtp("127.0.0.1", box.port, "starttls", "ann", "MAIL_PASSWORD", 2.0)
        assert sent(tmp_path / "outbox", smtp) == list(expected)
    assert box.logins == [f"\0ann\0{password}"]
    told = caplog.text + "".join(capfd.readouterr()) + repr(smtp)
    assert password not in told


def test_a_server_whose_certificate_is_not_trusted_gets_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, _ = certificate(tmp_path)
    monkeypatch.setenv("MAIL_PASSWORD", "secret")
    with mail_server(tls=context) as box:
        smtp = Smtp("127.0.0.1", box.port, "starttls", "ann", "MAIL_PASSWORD", 2.0)
        assert sent(tmp_path / "outbox", smtp) == ["unreachable"]
    assert (box.logins, box.messages) == ([], [])


def test_a_full_or_missing_or_unusable_folder_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "mail.outbox" in checked(None)
    assert sent(None) == ["unreachable"]
    (tmp_path / "file").write_text("")
    assert "is not a folder" in checked(tmp_path / "file" / "outbox")
    assert sent(tmp_path / "file" / "outbox") == ["permission"]
    monkeypatch.setattr("agent.thinking.tools.outbox.MAX_WAITING", 1)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "other.eml").write_text("")
    assert sent(tmp_path / "full") == ["input"]

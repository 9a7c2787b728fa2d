"""Handing a message to an SMTP server (RFC 5321), so that its fate is known or known to be unknown."""

from __future__ import annotations

import os
import smtplib
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from agent.errors import ToolError

CHECK_TIMEOUT_S = 1.5
_LOCAL = ("localhost", "127.0.0.1", "::1")


class Undecided(Exception):
    """The connection broke behind the point from which the server may have taken the message."""


@dataclass(frozen=True, slots=True)
class Smtp:
    """`password_env` names the environment variable that holds the password; it is read when it is
    needed and is in no message, log or result. Both methods block."""

    host: str
    port: int
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str = ""
    password_env: str = ""
    timeout_s: float = 10.0

    def check(self) -> str:
        """Why mail cannot be sent, for people; empty when the server answers and the credential is there."""
        problem = self._misconfigured()
        if problem:
            return problem
        try:
            socket.create_connection((self.host, self.port), timeout=CHECK_TIMEOUT_S).close()
        except OSError as error:
            reason = error.strerror or str(error) or "no answer"
            server = f"{self.host}:{self.port}"
            return f"The mail server {server} cannot be reached ({reason}). Check mail.smtp_host and mail.smtp_port."
        return ""

    def deliver(self, sender: str, recipients: Sequence[str], data: bytes) -> None:
        """Send it to all of the recipients or to none.

        Raises `ToolError` when it surely was not sent, `Undecided` when nobody can know.
        """
        if problem := self._misconfigured():
            raise ToolError(problem, "permission")
        try:
            client = self._connected()
        except smtplib.SMTPAuthenticationError as error:
            raise ToolError(f"The mail server does not accept the login ({error.smtp_code}).", "permission") from None
        except (OSError, smtplib.SMTPException) as error:
            raise ToolError(f"The mail server cannot be used: {_reason(error)}.", "unreachable") from error
        try:
            self._envelope(client, sender, recipients)
            self._content(client, data)
        finally:
            with suppress(OSError, smtplib.SMTPException):
                client.quit()

    def _connected(self) -> smtplib.SMTP:
        """Encrypted and logged in, as configured."""
        context = ssl.create_default_context()
        if self.security == "tls":
            client: smtplib.SMTP = smtplib.SMTP_SSL(self.host, self.port, timeout=self.timeout_s, context=context)
        else:
            client = smtplib.SMTP(self.host, self.port, timeout=self.timeout_s)
        try:
            if self.security == "starttls":
                client.starttls(context=context)
            if self.user:
                client.login(self.user, os.environ[self.password_env])
        except BaseException:
            client.close()
            raise
        return client

    def _envelope(self, client: smtplib.SMTP, sender: str, recipients: Sequence[str]) -> None:
        try:
            client.ehlo_or_helo_if_needed()
            for address, (code, _) in [(sender, client.mail(sender)), *((who, client.rcpt(who)) for who in recipients)]:
                if code // 100 != 2:
                    raise ToolError(f"The mail server does not accept the address {address} ({code}).", "permission")
        except (OSError, smtplib.SMTPException) as error:
            raise ToolError(f"The mail server broke off: {_reason(error)}.", "unreachable") from error

    def _content(self, client: smtplib.SMTP, data: bytes) -> None:
        try:
            code, _ = client.data(data)
        except smtplib.SMTPDataError as error:
            raise ToolError(f"The mail server does not accept the message ({error.smtp_code}).", "permission") from None
        except (OSError, smtplib.SMTPException) as error:
            raise Undecided(_reason(error)) from error
        if code // 100 != 2:
            raise ToolError(f"The mail server does not accept the message ({code}).", "permission")

    def _misconfigured(self) -> str:
        if not self.user:
            return ""
        if self.security == "none" and self.host not in _LOCAL:
            return "A password is not sent without encryption. Set mail.smtp_security to starttls or tls."
        if not os.environ.get(self.password_env):
            name = self.password_env or "named by mail.smtp_password_env"
            return f"The mail password is missing. Set the environment variable {name}."
        return ""


def _reason(error: Exception) -> str:
    """Short, and without what the server or the library quotes."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return "its certificate is not trusted"
    if isinstance(error, TimeoutError):
        return "it takes too long"
    return getattr(error, "strerror", None) or type(error).__name__

"""Serving other devices of the network: what is made once and kept, and HTTPS with it."""

import asyncio
import io
import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from cryptography import x509
from rich.console import Console

from agent import lan
from agent.config.load import load
from agent.errors import SettingsError
from agent.lan import RENEWED_DAYS, VALID_DAYS, prepare
from agent.serving import invite
from agent.settings import Server, Settings
from agent.transport.http import create_app
from agent.transport.server import check_tls, serve

NOW = datetime.now(UTC)
HOME = "192.168.7.20"


def test_a_device_is_asked_once(tmp_path):
    first = prepare(tmp_path / "lan", HOME, NOW)
    assert prepare(tmp_path / "lan", HOME, NOW + timedelta(days=100)) == first
    assert len(first.token) >= 24
    secret = [path for path in (tmp_path / "lan").iterdir() if path.stat().st_mode & 0o077]
    assert not secret, "others can read it"


@pytest.mark.parametrize(
    ("at", "later"), [("10.0.0.3", timedelta()), (HOME, timedelta(days=VALID_DAYS - RENEWED_DAYS + 1))]
)
def test_another_address_and_an_old_certificate_need_a_new_one(tmp_path, at, later):
    first = prepare(tmp_path, HOME, NOW)
    second = prepare(tmp_path, at, NOW + later)
    assert second.fingerprint != first.fingerprint
    assert second.token == first.token


@pytest.mark.parametrize("name", ["certificate.pem", "key.pem"])
def test_what_is_damaged_is_made_anew(tmp_path, name):
    prepare(tmp_path, HOME, NOW)
    (tmp_path / name).write_text("not PEM at all")
    made = prepare(tmp_path, HOME, NOW)
    check_tls(Server(tls_certificate=str(made.certificate), tls_key=str(made.key)))


def test_a_folder_that_cannot_be_is_an_error_that_names_it(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="file"):
        prepare(tmp_path / "file" / "lan", HOME, NOW)


def test_a_machine_in_no_network_is_told_so(monkeypatch):
    monkeypatch.setattr(lan, "_ELSEWHERE", ("127.0.0.1", 9))
    with pytest.raises(SettingsError, match="no network"):
        lan.address()


def test_its_settings_can_be_and_what_is_given_stays(tmp_path):
    made = prepare(tmp_path, HOME, NOW)
    settings = load(None, {}, made.overrides(Server())).settings.server
    assert (settings.host, settings.token) == ("0.0.0.0", made.token)  # noqa: S104
    assert settings.ice_addresses == ("127.0.0.1", HOME)
    assert settings.tls_certificate == str(made.certificate)
    given = Server(token=made.token, tls_certificate="/c.pem", tls_key="/k.pem")
    kept = [override.partition("=")[0] for override in made.overrides(given)]
    assert kept == ["server.host", "server.ice_addresses"]


def test_the_page_comes_over_https_that_the_certificate_stands_for(tmp_path):
    made = prepare(tmp_path, HOME, NOW)
    served = Server(port=0, tls_certificate=str(made.certificate), tls_key=str(made.key))

    async def main():
        ready = asyncio.get_running_loop().create_future()
        app = create_app(None, Settings())
        async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(serve(app, served, ready.set_result))
            url = await ready
            assert url.startswith("https://localhost:")
            trusting = ssl.create_default_context(cafile=made.certificate)
            async with httpx.AsyncClient(verify=trusting, trust_env=False) as client:
                assert (await client.get(f"{url}healthz")).status_code == 200
            serving.cancel()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("certificate", "key", "says"),
    [("c.pem", "", "go together"), ("absent.pem", "absent.pem", "No such file"), ("c.pem", "c.pem", "belong together")],
)
def test_a_certificate_that_cannot_be_served_is_an_error(tmp_path, monkeypatch, certificate, key, says):
    monkeypatch.chdir(tmp_path)
    made = prepare(tmp_path, HOME, NOW)
    made.certificate.rename(tmp_path / "c.pem")
    with pytest.raises(SettingsError, match=says):
        check_tls(Server(tls_certificate=certificate, tls_key=key))


@pytest.mark.parametrize("terminal", [True, False])
def test_the_token_is_shown_on_a_terminal_only(tmp_path, terminal):
    made = replace(prepare(tmp_path, HOME, NOW), fingerprint="1A:CD:AB:OK")
    shown = io.StringIO()
    invite(Console(file=shown, force_terminal=terminal, width=200), made, made.token, 8700)
    assert (made.token in shown.getvalue()) is terminal
    assert f"https://{HOME}:8700/" in shown.getvalue()
    assert made.fingerprint in shown.getvalue()


def test_it_stands_for_this_address_and_is_no_authority(tmp_path):
    known = x509.load_pem_x509_certificate(prepare(tmp_path, HOME, NOW).certificate.read_bytes())
    names = known.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert HOME in [str(one) for one in names.get_values_for_type(x509.IPAddress)]
    assert not known.extensions.get_extension_for_class(x509.BasicConstraints).value.ca

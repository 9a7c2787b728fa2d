"""A page that came by a link to watch sees everything, says so, and changes nothing."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from tests.browser.page import TalkPage
from tests.fixtures.server import Server, payloads

pytestmark = pytest.mark.live

MINT = """
async () => {
  const { token, sessionId } = JSON.parse(sessionStorage.getItem('voice-agent'));
  const request = { method: 'POST', headers: { 'Session-Token': token }, body: '{"scopes": ["watch"]}' };
  return (await (await fetch(`sessions/${sessionId}/tokens`, request)).json()).token;
}
"""


def test_it_sees_and_is_not_heard(server: Server, browser: Browser) -> None:
    contexts = [browser.new_context(bypass_csp=True) for _ in range(2)]
    owner = TalkPage(contexts[0].new_page(), server.url)
    owner.connect()
    watcher = TalkPage(contexts[1].new_page(), f"{server.url}#join={owner.page.evaluate(MINT)}")
    watcher.connect()
    watcher.until(lambda: "You watch this conversation" in watcher.page.inner_text("#notices"), "that it is told")
    owner.type("what is seven times eight")
    watcher.until(lambda: any("56" in text for text in watcher.agent_texts()), "what is said")
    for needed in ("#composer", "#talk", "#stop", "#mute", "#examples", "#forget"):
        assert watcher.page.is_hidden(needed), needed
    assert owner.page.is_visible("#composer")
    watcher.page.evaluate("() => window.voiceAgent.send('text.input', { text: 'what is nine times nine' })")
    watcher.until(lambda: "scope talk" in watcher.page.inner_text("#notices"), "why it is refused")
    watcher.say("stop")
    owner.type("what is six times seven")
    for page in (owner, watcher):
        page.until(lambda at=page: any("42" in text for text in at.agent_texts()), "the second answer")
    entries = server.entries()
    assert [said.text for said in payloads(entries, "text.input")] == [
        "what is seven times eight",
        "what is six times seven",
    ]
    assert not payloads(entries, "speech.started")
    assert not payloads(entries, "device.speech")
    assert len(payloads(entries, "device.focused")) == 1, "the owner is live, and stays so"
    for context in contexts:
        context.close()

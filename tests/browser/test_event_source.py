"""A browser's own EventSource follows a conversation, and comes back by itself to where it was."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from tests.fixtures.server import Server

pytestmark = pytest.mark.live

BEGIN = """
async () => {
  window.hello = await (await fetch('sessions', { method: 'POST' })).json();
  window.ids = [];
  window.types = [];
  window.calls = [];
  const source = new EventSource(`${hello.events}?session_token=${hello.token}&device_id=browser-1`);
  source.onmessage = ({ data, lastEventId }) => {
    const message = JSON.parse(data);
    types.push(message.type);
    if (message.type === 'hello') calls.push(message.payload.call);
    if ('seq' in message) ids.push(lastEventId);
  };
}
"""
SAY = """
async (number) => {
  const payload = { text: 'what is seven times eight' };
  const command = { event_id: `question-${number}`, type: 'text.input', payload };
  const headers = { 'Session-Token': hello.token };
  return (await fetch(hello.commands, { method: 'POST', headers, body: JSON.stringify(command) })).status;
}
"""
REPLIES = "(count) => types.filter((type) => type === 'reply.done').length === count"


def test_it_follows_and_resumes(server: Server, browser: Browser) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(server.url)
    page.evaluate(BEGIN)
    assert page.evaluate(SAY, 1) == 200
    page.wait_for_function(REPLIES, arg=1)
    page.evaluate("() => fetch(`${calls[0]}?resume=true`, { method: 'DELETE' })")
    assert page.evaluate(SAY, 2) == 200
    page.wait_for_function(REPLIES, arg=2)
    assert page.evaluate("() => types.filter((type) => type === 'hello').length") == 2
    ids = page.evaluate("() => ids")
    assert ids == [f"1:{seq}" for seq in range(1, len(ids) + 1)], "each once, in order"
    context.close()

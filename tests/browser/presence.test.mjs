import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { abilitiesOf, emptyPresence, foldPresence, liveElsewhere, nameOf } from '../../web/presence.js';
import { parseMessage } from '../../web/wire.js';

const read = (name) => readFileSync(new URL(`../fixtures/${name}`, import.meta.url), 'utf8');

for (const name of ['answer', 'barge_in', 'cut_off', 'cut_off_heard', 'devices']) {
  test(`the page knows who is here as the agent does, to the byte: ${name}`, () => {
    const expected = new Map(JSON.parse(read(`timeline_${name}.expected.json`)).map((point) => [point.seq, point.presence]));
    let state = emptyPresence();
    for (const line of read(`timeline_${name}.jsonl`).trim().split('\n')) {
      const { entry } = parseMessage(line);
      state = foldPresence(state, entry);
      if (!expected.has(entry.seq)) continue;
      assert.equal(JSON.stringify(state), JSON.stringify(expected.get(entry.seq)), `at ${entry.seq}`);
      expected.delete(entry.seq);
    }
    assert.equal(expected.size, 0, 'every point was reached');
  });
}

const device = (changes) => ({ device_id: 'phone-01', name: 'Firefox on Android', transport: 'webrtc', since_ms: 0, microphone: true, speaker: true, control: true, ...changes });

test('a device is told in words', () => {
  assert.equal(nameOf(device({ name: '' })), 'A device');
  assert.equal(abilitiesOf(device()), 'Microphone and loudspeaker, WebRTC');
  assert.equal(abilitiesOf(device({ microphone: false, transport: 'websocket' })), 'Loudspeaker, WebSocket');
  assert.equal(abilitiesOf(device({ microphone: false, speaker: false, transport: 'sse' })), 'Watching only, events only');
  assert.equal(abilitiesOf(device({ control: false })), 'Microphone and loudspeaker, WebRTC, its buttons do not get through');
});

test('another device is live, or this one, or none', () => {
  const devices = [device({ device_id: 'laptop-1' }), device()];
  assert.equal(liveElsewhere({ live: 'phone-01', devices }, 'laptop-1'), devices[1]);
  assert.equal(liveElsewhere({ live: 'phone-01', devices }, 'phone-01'), null);
  assert.equal(liveElsewhere({ live: '', devices }, 'phone-01'), null);
});

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { abilitiesOf, emptyPresence, foldPresence, liveElsewhere, nameOf } from '../../web/presence.js';
import { initialState, local, reduce, statusText } from '../../web/state.js';
import { PERSONAL } from '../../web/transcript.js';
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

const device = (changes) => ({ device_id: 'phone-01', name: 'Firefox on Android', transport: 'webrtc', since: '2026-01-01T00:00:01.000Z', microphone: true, speaker: true, control: true, media: true, ...changes });

test('a device is told in words', () => {
  assert.equal(nameOf(device({ name: '' })), 'A device');
  assert.equal(abilitiesOf(device()), 'Microphone and loudspeaker, WebRTC');
  assert.equal(abilitiesOf(device({ microphone: false, transport: 'websocket' })), 'Loudspeaker, WebSocket');
  assert.equal(abilitiesOf(device({ microphone: false, speaker: false, transport: 'sse' })), 'Watching only, events only');
  assert.equal(abilitiesOf(device({ control: false })), 'Microphone and loudspeaker, WebRTC, its buttons do not get through');
  assert.equal(abilitiesOf(device({ media: false })), 'Microphone and loudspeaker, WebRTC, it is not heard');
});

test('another device is live, or this one, or none', () => {
  const devices = [device({ device_id: 'laptop-1' }), device()];
  assert.equal(liveElsewhere({ live: 'phone-01', devices }, 'laptop-1'), devices[1]);
  assert.equal(liveElsewhere({ live: 'phone-01', devices }, 'phone-01'), null);
  assert.equal(liveElsewhere({ live: '', devices }, 'phone-01'), null);
});

const entry = (seq, type, payload) => ({ kind: 'entry', entry: { session_id: 's1', event_id: `e${seq}`, seq, ts: '2026-01-01T00:00:01.000Z', t_ms: 0,
  now_us: 0, type, source: '', turn_id: '', parent_event_id: '', rtp_timestamp: null, payload } });
const both = [entry(1, 'device.joined', { device_id: 'laptop-1', transport: 'webrtc' }),
  entry(2, 'device.joined', { device_id: 'phone-01', name: 'Firefox on Android', transport: 'webrtc' })];
const page = [local('connection', { phase: 'connected', transport: 'webrtc' }), local('microphone', { state: 'on' }), local('device', { id: 'laptop-1' })];
const play = (...actions) => actions.reduce(reduce, initialState());

test('the page says plainly that another device is live', () => {
  const there = play(...page, ...both, entry(3, 'device.focused', { device_id: 'phone-01', why: 'joined' }));
  assert.equal(statusText(there), 'Talk to Firefox on Android, or type here.');
  assert.equal(statusText(reduce(there, entry(4, 'agent.status', { status: 'speaking' }))), 'It speaks on Firefox on Android.');
  assert.equal(statusText(reduce(there, entry(4, 'device.focused', { device_id: 'laptop-1', why: 'takeover' }))), 'Go ahead, I am listening.');
});

test('who was second is told on the page that asked, and nothing is said of it in the conversation', () => {
  const complain = (code) => play(...page, ...both, entry(3, 'core.error', { code, message: 'another device was first' })).transcript.items;
  for (const code of PERSONAL) assert.deepEqual(complain(code), [], code);
  assert.equal(complain('asr.late').length, 1);
});

test('a new conversation begins with nobody', () => {
  const next = reduce(play(...page, ...both), { kind: 'entry', entry: { ...entry(1, 'session.created', {}).entry, session_id: 's2' } });
  assert.deepEqual(next.presence, emptyPresence());
});

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { initialState, local, reduce } from '../../web/state.js';
import { Tape, lanesOf, momentsOf } from '../../web/tape.js';

const read = (name) => readFileSync(new URL(`../fixtures/timeline_${name}.jsonl`, import.meta.url), 'utf8')
  .trim().split('\n').map((line) => ({ rtp_timestamp: null, ...JSON.parse(line) }));

const ENTRIES = read('barge_in');
const connected = () => reduce(initialState(), local('connection', { phase: 'connected', transport: '' }));
const shown = (count) => ENTRIES.slice(0, count).reduce((state, entry) => reduce(state, { kind: 'entry', entry }), connected());

test('at every position it is what the live page showed there, whichever way it was come to', () => {
  const long = new Tape([...Array(230).keys()].map((at) => ({ ...ENTRIES[2], seq: at + 1, event_id: `e${at}`, type: 'asr.partial', payload: { text: `${at}` } })));
  assert.equal(long.stateAt(230).seq, 230);
  for (const index of [101, 0, 229, 100, 99, 200]) assert.equal(long.stateAt(index).seq, index);
  const tape = new Tape(ENTRIES);
  for (const index of [ENTRIES.length, 41, 3, 0, 42]) assert.deepEqual(tape.stateAt(index), shown(index));
  assert.deepEqual(tape.stateAt(-3), shown(0));
  assert.deepEqual(tape.stateAt(10_000), shown(ENTRIES.length));
});

test('positions in time and in events agree', () => {
  const tape = new Tape(ENTRIES);
  assert.equal(tape.indexAt(-1), 0);
  assert.equal(tape.indexAt(1e9), ENTRIES.length);
  for (const index of [1, 20, 41]) assert.ok(tape.indexAt(tape.timeOf(index)) >= index);
  assert.equal(tape.entries[tape.indexAt(1_700) - 1].t_ms, 1_700);
  assert.equal(new Tape([]).timeOf(0), 0);
});

test('the lanes say when either side sounded: a pause is silence', () => {
  const { user, agent } = lanesOf(ENTRIES);
  assert.ok(user.length >= 2);
  const paused = ENTRIES.find(({ type }) => type === 'playback.pause').t_ms;
  const resumed = ENTRIES.find(({ type }) => type === 'playback.resume').t_ms;
  assert.equal(agent[0].toMs, paused);
  assert.equal(agent[1].fromMs, resumed);
  for (const spans of [user, agent]) for (const { fromMs, toMs } of spans) assert.ok(toMs > fromMs);
});

test('who looks for a fault finds interruptions and actions, with the event to go to', () => {
  const found = momentsOf(ENTRIES);
  assert.deepEqual(found.map(({ kind, text }) => [kind, text]).slice(0, 3), [
    ['typed', 'typed “tell me a story”'], ['dismissed', 'went on (backchannel)'], ['confirmed', 'interrupted (words)']]);
  for (const { index, atMs } of found) assert.equal(ENTRIES[index - 1].t_ms, atMs);
  const actions = [
    { type: 'action.proposed', payload: { action_id: 'r1:c1', name: 'send_email' }, t_ms: 1 },
    { type: 'action.started', payload: { action_id: 'r1:c1' }, t_ms: 2 },
    { type: 'action.rejected', payload: { action_id: 'r1:c1', reason: 'refused' }, t_ms: 3 },
  ];
  assert.deepEqual(momentsOf(actions).map(({ text }) => text), ['send email proposed', 'send email rejected (refused)']);
});

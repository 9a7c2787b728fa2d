import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { emptyFigures, figures, foldFigures } from '../../web/figures.js';
import { initialState, reduce } from '../../web/state.js';
import { rowsOf } from '../../web/view_figures.js';

const FIXTURES = new URL('../fixtures/', import.meta.url);
const read = (name) => readFileSync(new URL(name, FIXTURES), 'utf8');
const EXPECTED = JSON.parse(read('figures.expected.json'));

for (const [name, points] of Object.entries(EXPECTED)) {
  test(`the page folds the same figures as the agent: ${name}`, () => {
    const left = new Map(points.map((point) => [point.seq, point.figures]));
    let state = emptyFigures();
    for (const line of read(`timeline_${name}.jsonl`).trim().split('\n')) {
      const entry = JSON.parse(line);
      state = foldFigures(state, entry);
      if (left.has(entry.seq)) assert.deepEqual(figures(state), left.get(entry.seq), `at ${entry.seq}`);
      left.delete(entry.seq);
    }
    assert.equal(left.size, 0);
  });
}

test('the fold is pure, and what it does not know changes nothing', () => {
  const entries = read('timeline_faults.jsonl').trim().split('\n').map((line) => JSON.parse(line));
  const half = entries.slice(0, 60).reduce(foldFigures, emptyFigures());
  const before = JSON.stringify(figures(half));
  entries.slice(60).reduce(foldFigures, half);
  assert.equal(JSON.stringify(figures(half)), before);
  assert.equal(foldFigures(half, { ...entries[0], type: 'steering.queued' }), half);
});

test('a long session stays small', () => {
  let state = emptyFigures();
  const at = (seq, type, payload) => ({ session_id: 's', event_id: `e${seq}`, seq, ts: '', t_ms: seq, now_us: seq * 1000, type, source: '',
    turn_id: `t${seq}`, parent_event_id: '', payload: { reply_id: `r${seq}`, ...payload } });
  for (let seq = 1; seq <= 400; seq += 1) {
    for (const [type, payload] of [['tts.say', { chunk: 0, text: 'a', rests_on: [] }], ['action.proposed', { action_id: `r${seq}:c` }],
      ['action.committed', { action_id: `r${seq}:c`, late: true }], ['cancel.requested', { target: 'tts' }], ['cancel.ack', { target: 'tts' }],
      ['cancel.freed', { target: 'tts' }], ['reply.done', { outcome: 'interrupted' }]]) state = foldFigures(state, at(seq, type, payload));
  }
  const { turns, late_commits: late, cancels } = figures(state);
  assert.deepEqual([turns.ended, late.count, cancels.tts.acked], [400, 400, 400]);
  for (const map of [state.replies, state.turns, state.actions, state.cut, state.untold, state.waiting, state.tells]) assert.ok(map.size <= 256);
});

test('stop pressed twice is no ghost speech, and a device that played on is', () => {
  const event = (type, payload) => ({ type, turn_id: 't1', t_ms: 1, now_us: 1000, payload: { reply_id: 'r1', ...payload } });
  const press = (sample) => event('control.stop', { played: { reply_id: 'r1', sample } });
  const stop = event('playback.stop', { heard_ms: 1800, heard_text: 'Once', unheard_text: 'upon', method: 'device' });
  const ghostMs = (...entries) => figures(entries.reduce(foldFigures, emptyFigures())).ghost_speech.ms;
  const pressed = press(2000 * 48); // 200 ms beyond the last mark
  assert.equal(ghostMs(pressed, stop, pressed, pressed), 0);
  assert.equal(ghostMs(pressed, stop, press(2500 * 48)), 460);
  assert.equal(ghostMs(stop, pressed), 160);
  const cut = (undo) => event('device.cut', { undo, played: { reply_id: 'r1', sample: 2000 * 48 } });
  const resume = event('playback.resume', { sample: 1800 * 48 });
  assert.equal(ghostMs(cut(false), resume, stop, cut(true)), 0, 'taken back, it tells nothing of what was audible since');
});

test('the panel tells the figures, and marks what must not be', () => {
  const panel = (name) => {
    const entries = read(`timeline_${name}.jsonl`).trim().split('\n').map((line) => JSON.parse(line));
    const state = entries.reduce((before, entry) => reduce(before, { kind: 'entry', entry }), initialState());
    return Object.fromEntries(rowsOf(state.figures).map(({ id, value, bad }) => [id, [value, bad]]));
  };
  assert.deepEqual(panel('barge_in'), { interrupted: ['1 of 2 (50 %)', false], false: ['1 of 2 (50 %)', false], cancel: ['12 ms', false],
    'ghost-speech': ['0 ms', false], 'ghost-actions': ['0', false], late: ['0, 0', false], mismatches: ['0', false] });
  const bad = Object.entries(panel('faults')).filter(([, [, isBad]]) => isBad).map(([id]) => id);
  assert.deepEqual(bad, ['ghost-speech', 'ghost-actions', 'late', 'mismatches']);
});

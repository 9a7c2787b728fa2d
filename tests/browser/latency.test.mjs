import assert from 'node:assert/strict';
import { test } from 'node:test';

import { emptyLatency, foldAudible, foldLatency, waterfall } from '../../web/latency.js';

function fold(rows, start = emptyLatency()) {
  return rows.reduce((state, [type, tMs, payload = {}]) => foldLatency(state, { session_id: 's', event_id: '', seq: 1, ts: '', t_ms: tMs,
    now_us: 5_000_000 + tMs * 1000, type, source: '', turn_id: 't1', parent_event_id: '', payload }), start);
}

const SPOKEN = [
  ['turn.start', 100], ['speech.stopped', 1100, { end_us: 6_000_000 }], ['model.start', 1110, { reply_id: 'r1', speculative: true }],
  ['model.token', 1130, { reply_id: 'r1', text: 'a' }], ['tts.say', 1140, { reply_id: 'r1' }], ['tts.chunk', 1150, { reply_id: 'r1' }],
  ['turn.end', 1200, { text: 'what time is it' }], ['reply.committed', 1200, { reply_id: 'r1' }], ['playback.start', 1210, { reply_id: 'r1' }],
];

test('the waterfall counts from the end of speech, not from the end of the hangover', () => {
  const [turn] = foldAudible(fold(SPOKEN), 1290).turns;
  assert.equal(turn.speechEnd, 1000);
  const { spans, totalMs } = waterfall(turn);
  assert.equal(totalMs, 290);
  assert.deepEqual(spans.map(({ id, from, to }) => [id, from, to]),
    [['endpoint', 0, 200], ['model', 110, 130], ['tts', 140, 150], ['playout', 200, 210], ['ear', 210, 290]]);
});

test('typed text is measured from when the turn ended', () => {
  const [turn] = fold([['turn.end', 500, { text: 'hi' }], ['model.start', 510, { reply_id: 'r1', speculative: false }],
    ['model.token', 540, { reply_id: 'r1' }], ['playback.start', 600, { reply_id: 'r1' }]]).turns;
  assert.equal(turn.speechEnd, null);
  assert.deepEqual([waterfall(turn).totalMs, waterfall(turn).spans[0]], [100, { id: 'model', label: 'Thinking to first word', from: 10, to: 40 }]);
});

test('a discarded reply does not count for the turn', () => {
  const [turn] = fold([['model.start', 10, { reply_id: 'r0', speculative: true }], ['turn.end', 50, { text: 'x' }],
    ['model.start', 60, { reply_id: 'r1', speculative: false }], ['model.token', 70, { reply_id: 'r0' }], ['model.token', 90, { reply_id: 'r1' }]]).turns;
  assert.equal(turn.replyId, 'r1');
  assert.equal(turn.marks.token, 90);
});

test('a false turn is no turn, and what is heard long after belongs to none', () => {
  assert.deepEqual(fold([['turn.end', 50, { text: '' }]]).turns, []);
  assert.equal(foldAudible(fold(SPOKEN), 9000).turns[0].audible, null);
  const state = foldAudible(fold(SPOKEN), 1290);
  assert.equal(foldAudible(state, 1400).turns[0].audible, 1290);
});

test('a chunk that is whole only after its first sound does not stretch the synthesis', () => {
  const [turn] = fold([...SPOKEN.filter(([type]) => type !== 'tts.chunk'), ['tts.chunk', 1900, { reply_id: 'r1' }]]).turns;
  const { spans } = waterfall(turn);
  assert.deepEqual(spans.filter(({ id }) => id === 'tts' || id === 'playout').map(({ from, to }) => [from, to]), [[140, 210], [210, 210]]);
});

test('a turn that was ended too early and goes on is one row', () => {
  const rows = [['turn.start', 0, { turn_id: 'a' }], ['asr.final', 80, { text: 'set a timer' }],
    ['turn.end', 100, { turn_id: 'a', text: 'set a timer' }], ['model.start', 110, { reply_id: 'r1', speculative: false }],
    ['turn.start', 300, { turn_id: 'b', continues: 'a' }], ['asr.reset', 300], ['asr.final', 480, { text: 'for one minute' }],
    ['turn.end', 500, { turn_id: 'b', joins: 'a', text: 'set a timer for one minute' }], ['model.start', 510, { reply_id: 'r2', speculative: false }]];
  const turns = rows.reduce((state, [type, tMs, payload = {}]) => foldLatency(state, { session_id: 's', event_id: '', seq: 1, ts: '',
    t_ms: tMs, now_us: tMs * 1000, type, source: '', turn_id: payload.turn_id ?? '', parent_event_id: '', payload }), emptyLatency()).turns;
  assert.deepEqual(turns.map(({ text, replyId }) => [text, replyId]), [['set a timer for one minute', 'r2']]);
});

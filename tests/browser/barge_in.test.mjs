import assert from 'node:assert/strict';
import { test } from 'node:test';

import { BargeIn, REACTION_MS } from '../../web/barge_in.js';

const entry = (type, payload = {}) => ({ session_id: 's', event_id: '', seq: 1, ts: '', t_ms: 0, now_us: null, type, source: '', turn_id: '',
  parent_event_id: '', payload });

function cut() {
  const barge = new BargeIn();
  barge.entry(entry('playback.start', { reply_id: 'r1' }), 0);
  assert.deepEqual(barge.closed(1000), [{ to: 'agent', undo: false }]);
  return barge;
}

const opens = (orders) => orders.some((order) => order.to === 'gate' && order.type === 'open');

test('stays closed through a confirmed interruption until another reply is played', () => {
  const barge = cut();
  const ladder = [entry('interruption.suspected', { by: 'page' }), entry('playback.pause', { reply_id: 'r1' }),
    entry('interruption.confirmed', { evidence: 'words' }), entry('playback.stop', { reply_id: 'r1' }), entry('reply.done', { reply_id: 'r1' }),
    entry('playback.mark', { reply_id: 'r1', sample: 1 })];
  for (const step of ladder) assert.equal(opens(barge.entry(step, 1100)), false, step.type);
  assert.deepEqual(barge.tick(9000), []);
  assert.deepEqual(barge.entry(entry('playback.start', { reply_id: 'r2' }), 9000), [{ to: 'gate', type: 'open', falseAlarm: false }]);
});

test('opens when the agent dismisses or resumes', () => {
  const dismissed = cut();
  dismissed.entry(entry('interruption.suspected', { by: 'page' }), 1050);
  assert.deepEqual(dismissed.entry(entry('interruption.dismissed', { evidence: 'device' }), 1400),
    [{ to: 'gate', type: 'judge', verdict: 'echo' }, { to: 'gate', type: 'open', falseAlarm: true }]);
  assert.equal(opens(cut().entry(entry('playback.resume', { reply_id: 'r1', sample: 0 }), 1200)), true);
});

test('a cough is not learnt as echo, nor is a backchannel', () => {
  const verdict = (evidence) => {
    const barge = cut();
    barge.entry(entry('speech.started', {}), 1020);
    return barge.entry(entry('interruption.dismissed', { evidence }), 1500)[0].verdict;
  };
  assert.equal(verdict('no_words'), 'noise');
  assert.equal(verdict('backchannel'), 'unknown');
});

test('takes the cut back when the agent never reacts', () => {
  const barge = cut();
  assert.deepEqual(barge.tick(1000 + REACTION_MS - 1), []);
  assert.deepEqual(barge.tick(1000 + REACTION_MS),
    [{ to: 'agent', undo: true }, { to: 'gate', type: 'judge', verdict: 'unknown' }, { to: 'gate', type: 'open', falseAlarm: true }]);
  assert.deepEqual(barge.tick(1000 + 2 * REACTION_MS), []);
});

test('news that the reply began, arriving after its sound was cut, does not undo the cut', () => {
  const barge = new BargeIn();
  barge.closed(1000);
  assert.deepEqual(barge.entry(entry('playback.start', { reply_id: 'r1' }), 1050), []);
  const later = new BargeIn();
  later.closed(1000);
  assert.equal(opens(later.entry(entry('playback.start', { reply_id: 'r1' }), 1900)), true);
});

test('stop silences at once, and only what is being played', () => {
  assert.deepEqual(new BargeIn().stop(0), []);
  const barge = new BargeIn();
  barge.entry(entry('playback.start', { reply_id: 'r1' }), 0);
  assert.deepEqual(barge.stop(10), [{ to: 'gate', type: 'close' }]);
  assert.equal(barge.tick(10 + REACTION_MS).some((order) => order.to === 'agent'), false);
});

test('the suspicion of the agent alone stops the learning', () => {
  const barge = new BargeIn();
  assert.deepEqual(barge.entry(entry('interruption.suspected', { by: 'vad' }), 0), [{ to: 'gate', type: 'suspect' }]);
});

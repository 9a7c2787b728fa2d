import assert from 'node:assert/strict';
import { test } from 'node:test';

import { BargeIn, PARDON_MS, REACTION_MS, UNHEEDED_MS } from '../../web/barge_in.js';
import { DRAIN_S, LEAD_S, LONGEST_S, Reopening } from '../../web/worklets/reopening.js';

const entry = (type, payload = {}, rtp = null) => ({ rtp_timestamp: rtp, session_id: 's', event_id: '', seq: 1, ts: '', t_ms: 0, now_us: null, type, source: '', turn_id: '',
  parent_event_id: '', payload });

const command = (event_id, type = 'device.cut') => ({ ...entry(type), event_id });

/** The page cut r1 at 1000, and is telling the agent so. */
function cutting() {
  const barge = new BargeIn();
  barge.entry(entry('playback.start', { reply_id: 'r1' }), 0);
  assert.deepEqual(barge.closed(1000), [{ to: 'agent', undo: false }, { to: 'gate', type: 'close' }]);
  barge.told('cut-1');
  return barge;
}

/** And the agent knows. */
function cut() {
  const barge = cutting();
  assert.deepEqual(barge.entry(command('cut-1'), 1000), []);
  return barge;
}

const opens = (orders) => orders.some((order) => order.to === 'gate' && order.type === 'open');

test('stays closed through a confirmed interruption until another reply is played', () => {
  const barge = cut();
  const ladder = [entry('interruption.suspected', { by: 'page' }), entry('playback.pause', { reply_id: 'r1' }),
    entry('interruption.confirmed', { evidence: 'words' }), entry('playback.stop', { reply_id: 'r1' }), entry('reply.done', { reply_id: 'r1' }),
    entry('playback.mark', { reply_id: 'r1', sample: 1 })]; // its last frames may be marked late
  for (const step of ladder) assert.equal(opens(barge.entry(step, 1100)), false, step.type);
  assert.deepEqual(barge.tick(9000), []);
  assert.deepEqual(barge.entry(entry('playback.start', { reply_id: 'r2' }, 960), 9000),
    [{ to: 'gate', type: 'open', falseAlarm: false, now: false, rtp: 960 }]);
});

test('dismissed, it plays on at the timestamp that the agent names', () => {
  const barge = cut();
  barge.entry(entry('interruption.suspected', { by: 'page' }), 1050);
  assert.deepEqual(barge.entry(entry('playback.pause', { reply_id: 'r1' }, 4800), 1050), [{ to: 'gate', type: 'drain', now: false, rtp: 4800 }]);
  assert.deepEqual(barge.entry(entry('interruption.dismissed', { evidence: 'device' }), 1400), [{ to: 'gate', type: 'judge', verdict: 'echo' }]);
  assert.deepEqual(barge.tick(1400 + PARDON_MS - 1), []);
  assert.deepEqual(barge.entry(entry('playback.resume', { reply_id: 'r1', sample: 0 }, 24000), 1410),
    [{ to: 'gate', type: 'open', falseAlarm: true, now: false, rtp: 24000 }]);
  assert.deepEqual(barge.tick(9000), []);
});

test('dismissed, it plays on even if nothing is named', () => {
  const barge = cut();
  barge.entry(entry('interruption.dismissed', { evidence: 'device' }), 1400);
  assert.deepEqual(barge.tick(1400 + PARDON_MS), [{ to: 'gate', type: 'open', falseAlarm: true, now: true, rtp: null }]);
});

const near = (a, b) => assert.ok(Math.abs(a - b) < 1e-9, `${a} is not ${b}`);

/** The first time at which it opens, looking every 10 ms from `from` on. */
function opensAt(reopening, from, audible = () => false, to = from + 5) {
  for (let n = 0; from + n / 100 < to; n++) if (reopening.step(from + n / 100, audible(from + n / 100))) return from + n / 100;
  return null;
}

test('the gate opens a little before the audio that was named, not before the old audio has passed', () => {
  const reopening = new Reopening();
  reopening.open(10, 0.3, true);
  near(opensAt(reopening, 10), 10.24);
  assert.deepEqual([LEAD_S, DRAIN_S, reopening.falseAlarm], [0.06, 0.06, true]);
  reopening.drain(20, 0.2);
  reopening.open(20.1, 0.1, true);
  near(opensAt(reopening, 20.1), 20.26);
});

test('the gate opens in the end, whatever was named', () => {
  const reopening = new Reopening();
  for (const afterS of [3_000, Infinity]) {
    reopening.drain(10, afterS);
    reopening.open(10, afterS, true);
    near(opensAt(reopening, 10), 10 + LONGEST_S);
  }
  reopening.open(30, -3_000, true);
  near(opensAt(reopening, 30), 30);
});

test('a message that comes after its audio loses nothing of it', () => {
  const reopening = new Reopening();
  reopening.drain(10, 0.04);
  const audible = (now) => now < 10.07 || now >= 10.9; // what was still on its way, then what it plays on with
  near(opensAt(reopening, 10, audible), 10.9);
  assert.equal(opensAt(reopening, 11, () => true), null, 'and only once');
  reopening.open(11.2, -0.3, true);
  near(opensAt(reopening, 11.2), 11.2);
});

test('audio that comes before the moment that was named for it loses nothing either', () => {
  const reopening = new Reopening();
  reopening.drain(10, 0.04);
  reopening.open(10.3, 0.3, true);
  near(opensAt(reopening, 10.3, (now) => now >= 10.45), 10.45);
  assert.equal(opensAt(reopening, 11, () => true), null, 'and only once');
  reopening.drain(20, 0.2);
  reopening.open(20.1, 0.1, true);
  near(opensAt(reopening, 20.1, () => true), 20.26);
});

test('messages that both come late, because the page was busy, mute nothing of what the agent plays on with', () => {
  const reopening = new Reopening();
  reopening.drain(10, -0.4);
  reopening.open(10, -0.1, true);
  near(opensAt(reopening, 10), 10);
  assert.equal(opensAt(reopening, 19.6, () => false, 20), null);
  reopening.drain(20, -0.4);
  near(opensAt(reopening, 20, () => true), 20);
  reopening.drain(30, -0.02);
  near(opensAt(reopening, 30, (now) => now < 30.02 || now >= 30.1), 30.1);
});

test('what was cut does not open the gate, however long a stalled machine holds it up', () => {
  const reopening = new Reopening();
  reopening.drain(10, 0.04);
  const old = (now) => now < 10.42 && !(now >= 10.2 && now < 10.24); // with the pause of a plosive in it
  near(opensAt(reopening, 10, (now) => old(now) || now >= 10.9), 10.9);
  reopening.drain(20, 0.04);
  assert.equal(opensAt(reopening, 20, () => true, 20.4), null);
  reopening.open(20.4, 0, false);
  near(opensAt(reopening, 20.4, () => true), 20.4);
});

test('a new cut takes the opening back', () => {
  const reopening = new Reopening();
  reopening.open(10, 0.3, true);
  reopening.cancel();
  assert.equal(opensAt(reopening, 10), null);
  reopening.drain(20, 0.04);
  reopening.open(20.3, 0.3, true);
  reopening.cancel();
  assert.equal(opensAt(reopening, 20.3, () => true), null, 'whatever is heard meanwhile');
  reopening.drain(30, 0.04);
  reopening.cancel();
  assert.equal(opensAt(reopening, 30, () => true), null, 'a pause of what was before says nothing of it');
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

const EARLIER = [entry('interruption.suspected', { by: 'vad' }), entry('playback.pause', { reply_id: 'r1' }, 4800),
  entry('interruption.dismissed', { evidence: 'no_words' }), entry('playback.resume', { reply_id: 'r1', sample: 0 }, 24000),
  entry('playback.mark', { reply_id: 'r1', sample: 1 }, 24960)];

test('a pause and a resume of an earlier suspicion, however late they come, open nothing that was cut anew', () => {
  const barge = cutting();
  for (const late of EARLIER) assert.deepEqual(barge.entry(late, 1200), [], late.type);
  assert.deepEqual(barge.tick(1200 + PARDON_MS), [], 'that suspicion is judged, this cut is not');
  assert.deepEqual(barge.entry(command('cut-1'), 1300), []);
  assert.deepEqual(barge.entry(entry('interruption.suspected', { by: 'page' }), 1300), []);
  assert.deepEqual(barge.entry(entry('playback.pause', { reply_id: 'r1' }, 28800), 1300),
    [{ to: 'gate', type: 'drain', now: false, rtp: 28800 }]);
  assert.deepEqual(barge.tick(1300 + UNHEEDED_MS), [], 'it is being judged');
  assert.equal(opens(barge.entry(entry('playback.resume', { reply_id: 'r1', sample: 0 }, 40000), 1800)), true);
});

test('a cut into a suspicion that stands already waits for the verdict on that, and for the rest of the old sound', () => {
  const barge = cutting();
  for (const late of EARLIER.slice(0, 2)) assert.deepEqual(barge.entry(late, 1100), [], late.type);
  assert.deepEqual(barge.entry(command('cut-1'), 1200), [{ to: 'gate', type: 'drain', now: false, rtp: 4800 }]);
  assert.deepEqual(barge.tick(1000 + REACTION_MS), [], 'it has reacted before it was told');
  assert.deepEqual(barge.entry(EARLIER[2], 2900), [{ to: 'gate', type: 'judge', verdict: 'echo' }]);
  assert.deepEqual(barge.entry(EARLIER[3], 2900), [{ to: 'gate', type: 'open', falseAlarm: true, now: false, rtp: 24000 }]);
});

test('what had ended when the agent heard of the cut stays cut until something else is played', () => {
  const barge = cutting();
  assert.deepEqual(barge.entry(entry('playback.stop', { reply_id: 'r1' }, 4800), 1100), []);
  assert.deepEqual(barge.entry(entry('reply.done', { reply_id: 'r1' }), 1100), []);
  assert.deepEqual(barge.entry(command('cut-1'), 1200),
    [{ to: 'gate', type: 'judge', verdict: 'unknown' }, { to: 'gate', type: 'drain', now: false, rtp: 4800 }]);
  assert.deepEqual(barge.tick(9000), []);
  assert.equal(opens(barge.entry(entry('playback.start', { reply_id: 'r2' }, 9600), 9000)), true);
});

test('a cut of which the agent knows, and which it does not heed, is no cut', () => {
  const barge = cut();
  assert.deepEqual(barge.tick(1000 + UNHEEDED_MS - 1), []);
  assert.deepEqual(barge.tick(1000 + UNHEEDED_MS),
    [{ to: 'gate', type: 'judge', verdict: 'unknown' }, { to: 'gate', type: 'open', falseAlarm: true, now: true, rtp: null }]);
});

test('stop, pressed while a cut is being judged, outlasts the verdict on that', () => {
  const barge = cut();
  barge.entry(entry('interruption.suspected', { by: 'page' }), 1050);
  barge.entry(entry('playback.pause', { reply_id: 'r1' }, 4800), 1050);
  assert.deepEqual(barge.stop(1400), [{ to: 'gate', type: 'close' }]);
  barge.told('stop-1');
  for (const late of EARLIER.slice(2)) assert.deepEqual(barge.entry(late, 1450), [], late.type);
  assert.deepEqual(barge.entry(command('stop-1', 'control.stop'), 1500), []);
  assert.deepEqual(barge.entry(entry('interruption.confirmed', { evidence: 'stop' }), 1500), [{ to: 'gate', type: 'judge', verdict: 'speech' }]);
  assert.equal(opens(barge.entry(entry('playback.stop', { reply_id: 'r1' }, 28800), 1500)), false);
  assert.deepEqual(barge.tick(9000), []);
});

test('takes the cut back when the agent never hears of it', () => {
  const barge = cutting();
  assert.deepEqual(barge.tick(1000 + REACTION_MS - 1), []);
  assert.deepEqual(barge.tick(1000 + REACTION_MS),
    [{ to: 'agent', undo: true }, { to: 'gate', type: 'judge', verdict: 'unknown' },
      { to: 'gate', type: 'open', falseAlarm: true, now: true, rtp: null }]);
  assert.deepEqual(barge.tick(1000 + 2 * REACTION_MS), []);
});

test('news that the reply began, arriving after its sound was cut, does not undo the cut, however late', () => {
  const barge = new BargeIn();
  barge.closed(1000);
  barge.told('cut-1');
  assert.deepEqual(barge.entry(entry('playback.start', { reply_id: 'r1' }), 1050), []);
  barge.entry(command('cut-1'), 1900);
  assert.deepEqual(barge.entry(entry('playback.mark', { reply_id: 'r1', sample: 1 }), 1900), []);
  const later = new BargeIn();
  later.closed(1000);
  later.told('cut-1');
  later.entry(command('cut-1'), 1100);
  assert.equal(opens(later.entry(entry('playback.start', { reply_id: 'r1' }), 1150)), true);
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

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Playout, advanced } from '../../web/playout.js';
import { WebRtcLink } from '../../web/webrtc.js';

const FIRST = 2 ** 32 - 48_000; // it wraps around within the second
const NETWORK_MS = 15;
/** Anything from 0 to 1 that is no pattern of the 20 ms that frames last. */
const scatter = (n) => (n * 0.618034) % 1;
const ms = (samples) => (samples | 0) / 48;

/** A call in virtual time: frames that arrive 15 to 25 ms behind their sending and leave the buffer when `bufferMs` says, messages
 * that arrive up to 60 ms later than they could, and a look at the statistics every 500 ms. Calls `check` every 10 ms with by how
 * much the estimate is ahead of what really leaves the buffer, and with its bound. */
function call(bufferMs, seconds, check) {
  const playout = new Playout();
  const totals = { jitterBufferDelay: 0, jitterBufferEmittedCount: 0 };
  for (let now = 0; now <= seconds * 1000; now += 10) {
    if (now % 20 === 0) {
      const heldMs = bufferMs(now) - 10 * scatter(now);
      totals.jitterBufferDelay += (heldMs / 1000) * 960;
      totals.jitterBufferEmittedCount += 960;
    }
    if (now % 330 === 0) {
      const late = 60 * scatter(now / 330);
      playout.sent(advanced(FIRST, Math.floor((now - NETWORK_MS - late) / 20) * 20), now);
    }
    if (now % 500 === 0) playout.look(totals);
    const truth = advanced(FIRST, now - NETWORK_MS - bufferMs(now));
    const estimate = playout.at(now);
    if (estimate) check(ms(estimate.rtp - truth), estimate.withinS * 1000, now);
  }
}

test('what leaves the buffer is known to a frame where the buffer is steady', () => {
  let checks = 0;
  call(() => 70, 60, (aheadMs, withinMs, now) => {
    if (now < 3_000) return; // the first messages may all have been late
    assert.ok(Math.abs(aheadMs) <= withinMs, `${aheadMs} ms, within ${withinMs} ms, at ${now} ms`);
    assert.ok(withinMs <= 25, `${withinMs} ms`);
    checks += 1;
  });
  assert.ok(checks > 5_000);
});

test('behind a change of the buffer the bound is wide until the change is past', () => {
  const bounds = [];
  call((now) => (now < 5_000 ? 40 : 120), 10, (aheadMs, withinMs, now) => {
    if (now < 3_000 || (now >= 5_000 && now < 5_500)) return; // not before the next look can it be seen
    assert.ok(aheadMs <= withinMs, `${aheadMs} ms, within ${withinMs} ms, at ${now} ms: more than was played`);
    if (now % 1_000 === 0) bounds.push(Math.round(withinMs));
  });
  assert.ok(bounds[0] <= 25 && bounds.at(-1) <= 25 && Math.max(...bounds) >= 90, bounds.join(' '));
});

test('a slow message does not set it back, and an old fast one does not hold for ever', () => {
  const playout = new Playout();
  playout.look({ jitterBufferDelay: 0, jitterBufferEmittedCount: 960 });
  playout.sent(48_000, 1_000);
  playout.sent(96_000, 2_080);
  assert.equal(playout.at(3_000).rtp, 144_000);
  playout.sent(48_000 * 40, 40_080);
  assert.equal(playout.at(40_080).rtp, 48_000 * 40);
});

test('without statistics of the buffer, or a message, nothing is known', () => {
  const playout = new Playout();
  assert.equal(playout.at(0), null);
  playout.sent(48_000, 0);
  playout.look({});
  assert.equal(playout.at(0), null);
  playout.look({ jitterBufferDelay: 60, jitterBufferEmittedCount: 1_000 });
  assert.equal(playout.at(0).rtp, 48_000 - 2_880);
});

test('a browser that names no frame is asked for its statistics, and a command says so', async (t) => {
  t.after(() => delete globalThis.RTCPeerConnection);
  globalThis.RTCPeerConnection = class { createDataChannel() {} };
  const link = new WebRtcLink({}, [], {});
  const stats = new Map([['a', { type: 'inbound-rtp', packetsReceived: 7, jitterBufferDelay: 96, jitterBufferEmittedCount: 1_920 }]]);
  link.receiver = { getStats: async () => stats };
  assert.deepEqual(link.played(0), {}, 'nothing is known yet');
  assert.equal(await link.received(), 7);
  link.sent(480_000);
  const { rtp_timestamp: at, measured } = link.played(0.1);
  assert.equal(measured, 'stats');
  assert.ok(Math.abs(ms(480_000 - at) - 200) < 20, `${ms(480_000 - at)} ms: the buffer, the graph, a frame, and how long ago`);
  assert.ok(Math.abs(link.untilS(480_000) - 0.08) < 0.02);

  link.receiver.getSynchronizationSources = () => [{ rtpTimestamp: 480_000 }];
  assert.deepEqual(link.played(0), { rtp_timestamp: 480_000 - 1_440, measured: 'source' });
  link.receiver.getSynchronizationSources = () => [{}];
  assert.equal(link.played(0).measured, 'stats');
});

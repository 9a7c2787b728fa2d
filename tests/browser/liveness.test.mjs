import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Lag } from '../../web/lag.js';
import { GONE_MS, LOOK_MS, Liveness, SILENT_MS } from '../../web/liveness.js';
import { Reconnector, delayMs } from '../../web/reconnect.js';

/** Looks every LOOK_MS until `toMs`; the time of each judgement's first appearance. */
function watch(receivedAt, toMs) {
  const liveness = new Liveness(0);
  const first = {};
  for (let now = LOOK_MS; now <= toMs; now += LOOK_MS) first[liveness.look(receivedAt(now), now)] ??= now;
  return first;
}

test('audio that goes on is life', () => {
  assert.deepEqual(Object.keys(watch((now) => now / 20, 60_000)), ['well']);
});

test('silence is said within three seconds, and given up later', () => {
  const deadMs = 10_100;
  const { silent, gone } = watch((now) => Math.min(now, deadMs) / 20, 30_000);
  assert.ok(silent - deadMs <= 3_000 && silent - deadMs >= SILENT_MS, `${silent - deadMs}`);
  assert.ok(gone - deadMs >= GONE_MS && gone - deadMs <= GONE_MS + 2 * LOOK_MS, `${gone - deadMs}`);
});

test('a stall of a second and a half is no loss', () => {
  assert.deepEqual(Object.keys(watch((now) => (now < 5_000 || now > 6_500 ? now : 5_000), 20_000)), ['well']);
});

test('a page that slept does not blame the agent', () => {
  const liveness = new Liveness(0);
  assert.equal(liveness.look(50, 500), 'well');
  assert.equal(liveness.look(50, 60_500), 'well');
  assert.equal(liveness.look(50, 61_000), 'well');
  assert.equal(liveness.look(50, 62_500), 'silent');
});

test('attempts become rarer, to a limit, and are spread', () => {
  const middle = [0, 1, 2, 3, 9].map((attempt) => delayMs(attempt, 0.5));
  assert.deepEqual(middle, [500, 1_000, 2_000, 4_000, 5_000]);
  assert.deepEqual([delayMs(2, 0), delayMs(2, 1)], [1_000, 3_000]);
});

test('it calls until it is answered, at once when asked to, and not after it was stopped', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const settle = () => new Promise((resolve) => setImmediate(resolve));
  const results = ['again', 'done'];
  let attempts = 0;
  const waits = [];
  const reconnector = new Reconnector({ attempt: async () => results[attempts++] ?? 'done', waiting: (ms) => waits.push(ms), gaveUp: () => waits.push('gave up') });
  reconnector.now();
  assert.equal(attempts, 0, 'nothing to do before the loss');
  reconnector.start();
  t.mock.timers.tick(waits[0]);
  await settle();
  assert.deepEqual([attempts, waits.length, reconnector.active], [1, 2, true]);
  reconnector.now();
  await settle();
  assert.deepEqual([attempts, reconnector.active], [2, false]);
  reconnector.start();
  reconnector.stop();
  t.mock.timers.tick(60_000);
  await settle();
  assert.equal(attempts, 2);
});

test('it gives up after a while and says so', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let gaveUp = 0;
  const reconnector = new Reconnector({ attempt: async () => 'again', waiting: () => undefined, gaveUp: () => (gaveUp += 1) });
  reconnector.start();
  for (let n = 0; n < 200; n++) {
    t.mock.timers.tick(30_000);
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.deepEqual([gaveUp, reconnector.active], [1, false]);
});

test('the agent is told how far its audio lags, and only when that changes much', () => {
  const lag = new Lag(40);
  const told = [60, 55, 70, 60, 65, 200, 190, 60, 60, 60, 60, 60, 60].filter((ms) => lag.measure(ms));
  assert.deepEqual([told, lag.ms], [[200, 60], 60]);
  for (let n = 0; n < 9; n++) lag.measure(99_999);
  assert.equal(lag.ms, 2_000);
});

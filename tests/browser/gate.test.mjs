import assert from 'node:assert/strict';
import { test } from 'node:test';

import { EnergyGate, meanSquare, toDb } from '../../web/worklets/energy_gate.js';

const RATE = 48_000;
const QUANTUM_S = 128 / RATE;
const power = (db) => (db === null ? 0 : 10 ** (db / 10));
const quanta = (ms) => Math.round(ms / 1000 / QUANTUM_S);

/** Feed levels in dBFS for some time; null is digital silence. Returns the ms at which it closed, or null. */
function feed(gate, ms, mic, remote) {
  for (let n = 0; n < quanta(ms); n++) {
    const level = (value) => power(typeof value === 'function' ? value(n * QUANTUM_S * 1000) : value);
    if (gate.step(level(mic), level(remote)) > 0) return (n + 1) * QUANTUM_S * 1000;
  }
  return null;
}

/** The rise and fall of speech: syllables of 200 ms with gaps. */
const speech = (peakDb) => (ms) => peakDb - 25 * Math.abs(Math.sin((Math.PI * ms) / 200)) ** 4;

/** A gate that has heard the agent alone for a while; `echoDb` is what comes back of it, null for nothing, so many ms later. */
function listening(echoDb, options = {}, delayMs = 120) {
  const gate = new EnergyGate(RATE, options);
  feed(gate, 1000, -70, null);
  const back = echoDb === null ? -70 : (ms) => (ms < delayMs ? -70 : Math.max(-70, speech(-20)(ms - delayMs) + echoDb));
  assert.equal(feed(gate, 3000, back, speech(-20)), null, 'the agent alone must not cut itself');
  return gate;
}

test('closes within ten milliseconds of the onset while the agent speaks', () => {
  const closedMs = feed(listening(null), 500, -20, speech(-20));
  assert.ok(closedMs !== null && closedMs <= 10.7, `closed after ${closedMs} ms`);
});

test('tells since when the sound was there', () => {
  const gate = listening(null);
  let after = 0;
  while ((after = gate.step(power(-20), power(-20))) === 0);
  assert.equal(after, 3);
});

test('stays open while nothing is played', () => {
  const gate = new EnergyGate(RATE);
  feed(gate, 500, -70, null);
  assert.equal(feed(gate, 3000, speech(-15), null), null);
  assert.equal(gate.gain, 1);
});

test('the agent on the loudspeaker does not cut itself, however loud it comes back', () => {
  for (const echoDb of [-40, -20, -10, 0, 6]) listening(echoDb);
});

test('nor when the loudspeaker is far away, from its first word on', () => {
  for (const delayMs of [5, 200, 290]) for (const echoDb of [-30, -10, 0]) listening(echoDb, {}, delayMs);
});

test('who interrupts less than half a second into the first words ever heard is not waited for', () => {
  const gate = new EnergyGate(RATE);
  feed(gate, 1000, -70, null);
  assert.equal(feed(gate, 420, -70, -20), null);
  const closedMs = feed(gate, 500, -20, -20);
  assert.ok(closedMs !== null && closedMs <= 10.7, `closed after ${closedMs} ms`);
});

test('the user is still heard over the loudspeaker', () => {
  const closedMs = feed(listening(-20), 300, -18, speech(-20));
  assert.ok(closedMs !== null && closedMs < 60, `closed after ${closedMs} ms`);
});

test('a loudspeaker turned up is learnt from the dismissals', () => {
  const gate = listening(-30);
  let cuts = 0;
  for (let round = 0; round < 10; round++) {
    if (feed(gate, 1500, (ms) => speech(-20)(ms) - 8, speech(-20)) === null) break;
    cuts += 1;
    gate.judge('echo');
    gate.open(true);
  }
  assert.ok(cuts >= 1 && cuts <= 3, `${cuts} cuts`);
});

test('what the user said is not taken for echo', () => {
  const gate = listening(-30);
  const before = gate.couplingDb;
  assert.notEqual(feed(gate, 300, -15, speech(-20)), null);
  gate.judge('speech');
  gate.open(false);
  assert.ok(gate.couplingDb <= before);
  assert.notEqual(feed(gate, 300, -15, speech(-20)), null);
});

test('steady noise is the floor after a second and a half', () => {
  const gate = new EnergyGate(RATE);
  feed(gate, 2000, -35, null);
  assert.equal(feed(gate, 3000, -35, speech(-20)), null);
});

test('a click is not speech', () => {
  const gate = listening(null);
  assert.equal(feed(gate, 4, -5, speech(-20)), null);
  assert.equal(feed(gate, 500, -70, speech(-20)), null);
});

test('after a false alarm the same sound does not cut again', () => {
  const gate = listening(null);
  assert.notEqual(feed(gate, 100, -20, -20), null);
  gate.open(true);
  assert.equal(feed(gate, 1000, -20, -20), null);
  feed(gate, 200, -70, -20);
  assert.notEqual(feed(gate, 100, -20, -20), null);
});

test('is switched off by its setting, and can be closed by hand all the same', () => {
  const gate = listening(null, { vad: false });
  assert.equal(feed(gate, 500, -15, -20), null);
  gate.close();
  assert.equal(gate.gain, 0);
});

test('min_db is respected and can be changed', () => {
  const gate = listening(null);
  gate.configure({ min_db: -10 });
  assert.equal(feed(gate, 300, -20, -20), null);
  gate.configure({ min_db: -45 });
  assert.notEqual(feed(gate, 300, -20, -20), null);
});

test('levels', () => {
  assert.equal(meanSquare(undefined), 0);
  assert.equal(toDb(0), -120);
  assert.ok(Math.abs(toDb(meanSquare(new Float32Array(128).fill(0.1))) + 20) < 1e-4);
});

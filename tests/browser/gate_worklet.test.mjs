import assert from 'node:assert/strict';
import { before, test } from 'node:test';

const RATE = 48_000;
const QUANTUM = 128;
let Gate;

before(async () => {
  Object.assign(globalThis, { sampleRate: RATE, currentTime: 0,
    AudioWorkletProcessor: class { port = { sent: [], postMessage(message) { this.sent.push(message); } }; },
    registerProcessor: (_name, made) => { Gate = made; } });
  await import('../../web/worklets/gate.js');
});

const tone = (level) => Float32Array.from({ length: QUANTUM }, (_, n) => level * Math.sin((2 * Math.PI * n * 5) / QUANTUM));

/** Runs it for so long; returns the loudest sample that got through. */
function run(gate, ms, mic, remote) {
  let loudest = 0;
  for (let n = 0; n < (ms / 1000) * (RATE / QUANTUM); n++) {
    const output = [new Float32Array(QUANTUM)];
    gate.process([[tone(mic)], [tone(remote)]], [output]);
    globalThis.currentTime += QUANTUM / RATE;
    loudest = Math.max(loudest, ...output[0].map(Math.abs));
  }
  return loudest;
}

const say = (gate, data) => gate.port.onmessage({ data });
const events = (gate) => gate.port.sent.map(({ type }) => type).filter((type) => type === 'closed' || type === 'opened');

/** The agent speaks; it paused before, and its audio has gone by, when the person speaks. */
function cutAfterPause() {
  const gate = new Gate({});
  run(gate, 1000, 0.0001, 0);
  run(gate, 2000, 0.0001, 0.1);
  say(gate, { type: 'drain', afterS: 0.01 });
  run(gate, 40, 0.0001, 0.1);
  run(gate, 40, 0.3, 0.1);
  assert.deepEqual(events(gate), ['closed']);
  return gate;
}

test('a pause that came before the cut does not open the gate for what is heard behind it', () => {
  const gate = cutAfterPause();
  assert.equal(run(gate, 1000, 0.3, 0.1), 0);
  assert.deepEqual(events(gate), ['closed']);
});

test('nor does what the page still ordered when it did not know of the cut, once it closes', () => {
  const gate = cutAfterPause();
  say(gate, { type: 'drain', afterS: 0.05 });
  say(gate, { type: 'open', afterS: 0.1, falseAlarm: true });
  say(gate, { type: 'close' });
  assert.equal(run(gate, 1000, 0.3, 0.1), 0);
  say(gate, { type: 'open', afterS: 0, falseAlarm: true });
  assert.ok(run(gate, 1000, 0.0001, 0.1) > 0.09, 'and what is ordered behind it opens it');
  assert.deepEqual(events(gate), ['closed', 'opened']);
});

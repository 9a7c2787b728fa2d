import assert from 'node:assert/strict';
import { before, test } from 'node:test';

import { PcmPlayer } from '../../web/pcm_player.js';
import { WebSocketLink } from '../../web/websocket.js';

const QUANTUM = 128;
let Player;

before(async () => {
  Object.assign(globalThis, { sampleRate: 48_000, currentTime: 0,
    AudioWorkletProcessor: class { port = { sent: [], postMessage(message) { this.sent.push(message); } }; },
    registerProcessor: (name, made) => { if (name === 'pcm-player') Player = made; } });
  await import('../../web/worklets/pcm.js');
});

/** The processor in its thread, and the page's side of it; messages between them arrive at once. */
function player(contextRate, rate = 48_000) {
  Object.assign(globalThis, { sampleRate: contextRate, currentTime: 0 });
  const processor = new Player({ processorOptions: { rate } });
  globalThis.AudioWorkletNode = class { port = {}; };
  const context = { currentTime: 0 };
  const page = new PcmPlayer(context, rate);
  processor.port.postMessage = (data) => page.node.port.onmessage({ data });
  page.node.port.postMessage = (data) => processor.port.onmessage({ data });
  const frame = () => page.play(new Int16Array(rate / 50).buffer);
  const run = (seconds) => {
    for (const end = context.currentTime + seconds; context.currentTime < end; context.currentTime += QUANTUM / contextRate) {
      globalThis.currentTime = context.currentTime;
      processor.process([], [[new Float32Array(QUANTUM)]]);
    }
  };
  return { page, frame, run };
}

const near = (value, expected, within) => assert.ok(Math.abs(value - expected) <= within, `${value}, and not ${expected}`);

for (const contextRate of [48_000, 44_100]) {
  test(`at ${contextRate} Hz it counts what has come by, and not what waits`, () => {
    const { page, frame, run } = player(contextRate);
    assert.equal(page.surely(0), null);
    assert.equal(page.untilS(0), null);
    run(0.5);
    assert.equal(page.surely(0), 0, 'nothing came yet');
    for (let n = 0; n < 50; n++) frame();
    run(0.3);
    near(page.surely(0), 0.3 * 48_000, 0.025 * 48_000);
    assert.ok(page.surely(0) <= 0.3 * 48_000 + QUANTUM);
    near(page.surely(0.1), 0.2 * 48_000, 0.025 * 48_000);
    assert.equal(page.surely(2), 0);
    near(page.untilS(0.5 * 48_000), 0.2, 0.005);
    near(page.untilS(0.1 * 48_000), -0.2, 0.005);
    run(2);
    near(page.surely(0), 48_000, 30);
    assert.ok(page.surely(0) <= 48_000, 'silence is none of it');
  });
}

test('what was dropped because too much waited has passed, too', () => {
  const { page, frame, run } = player(48_000);
  for (let n = 0; n < 150; n++) frame();
  run(0.5);
  near(page.surely(0), 1.5 * 48_000, 0.025 * 48_000);
});

test('over a WebSocket a cut says what its player had played, in 32 bits', () => {
  globalThis.WebSocket = class extends EventTarget {};
  const link = new WebSocketLink({ socketUrl: 'ws://localhost/ws' }, {});
  assert.deepEqual([link.played(0), link.untilS(null), link.untilS(9)], [{}, 0.06, 0.06], 'nothing is known yet');
  link.player = { surely: (agoS) => 2 ** 32 + 4_800 - agoS * 48_000, untilS: (sample) => sample / 48_000 };
  assert.deepEqual(link.played(0.1), { rtp_timestamp: 0, measured: 'player' });
  assert.equal(link.untilS(480), 0.01);
  assert.equal(link.untilS(null), 0.06);
  const page = new PcmPlayer({ currentTime: 10 }, 48_000);
  page.told = { samples: 2 ** 32 + 100, at: 10 };
  assert.equal(page.untilS(580), 0.01, 'which wrap around');
});

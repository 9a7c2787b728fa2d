import assert from 'node:assert/strict';
import { test } from 'node:test';

import { MicrophoneKeeper } from '../../web/microphone.js';

/** A stream of one track, and a browser that asks the person each time. */
function browser() {
  const asked = [];
  const track = () => ({ readyState: 'live', stop() { this.readyState = 'ended'; }, addEventListener() {} });
  const streamOf = (one) => ({ getTracks: () => [one], getAudioTracks: () => [one] });
  const getUserMedia = () => new Promise((resolve) => {
    const one = track();
    asked.push({ track: one, allow: () => resolve(streamOf(one)) });
  });
  Object.defineProperty(globalThis, 'navigator', { configurable: true, value: { mediaDevices: { getUserMedia } } });
  return asked;
}

test('leave that comes after the call was hung up leaves no microphone open', async () => {
  const asked = browser();
  const told = [];
  const keeper = new MicrophoneKeeper(({ state }) => told.push(state));
  const opening = keeper.open('');
  keeper.close();
  asked[0].allow();
  await opening;
  assert.equal(asked[0].track.readyState, 'ended');
  assert.equal(keeper.track, null);
  assert.deepEqual(told, ['off']);
});

test('the next call asks again, and uses what it is given', async () => {
  const asked = browser();
  const keeper = new MicrophoneKeeper(() => undefined);
  const first = keeper.open('');
  keeper.close();
  const second = keeper.open('');
  asked[1].allow();
  await second;
  asked[0].allow();
  await first;
  assert.equal(keeper.track, asked[1].track);
  assert.deepEqual(asked.map(({ track }) => track.readyState), ['ended', 'live']);
});

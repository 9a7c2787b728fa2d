import assert from 'node:assert/strict';
import { test } from 'node:test';

import { TAP_MS, Talk } from '../../web/talk.js';
import { GROUPS, withNeighbours } from '../../web/view_settings.js';

test('held, the button talks while it is held', () => {
  const talk = new Talk();
  assert.deepEqual([talk.press(0), talk.press(100), talk.release(TAP_MS)], [true, true, false]);
});

test('tapped, it talks until it is tapped again', () => {
  const talk = new Talk();
  assert.deepEqual([talk.press(0), talk.release(TAP_MS - 1), talk.press(5000), talk.release(5100)], [true, true, false, false]);
  assert.deepEqual([talk.press(6000), talk.release(9000)], [true, false]);
});

test('a release without a press changes nothing', () => {
  const talk = new Talk();
  assert.equal(talk.release(10), false);
  talk.press(20);
  talk.release(30);
  assert.equal(talk.release(9000), true);
});

test('the delays of endpointing never cross, in steps that are each allowed', () => {
  const settings = { 'endpointing.floor_ms': 160, 'endpointing.neutral_ms': 500, 'endpointing.ceiling_ms': 1400 };
  const steps = (key, value) => Object.entries(withNeighbours(settings, key, value));
  assert.deepEqual(steps('endpointing.floor_ms', 200), [['endpointing.floor_ms', 200]]);
  assert.deepEqual(steps('endpointing.floor_ms', 1500), [['endpointing.ceiling_ms', 1500], ['endpointing.neutral_ms', 1500], ['endpointing.floor_ms', 1500]]);
  assert.deepEqual(steps('endpointing.ceiling_ms', 100), [['endpointing.floor_ms', 100], ['endpointing.neutral_ms', 100], ['endpointing.ceiling_ms', 100]]);
  assert.deepEqual(steps('vad.onset_ms', 80), [['vad.onset_ms', 80]]);
});

test('every slider has a range and a step that fits it', () => {
  for (const { key, min, max, step } of GROUPS.flatMap(([, sliders]) => sliders)) {
    const steps = (max - min) / step;
    assert.ok(max > min && Math.abs(steps - Math.round(steps)) < 1e-6, key);
  }
});

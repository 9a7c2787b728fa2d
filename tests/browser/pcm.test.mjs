import assert from 'node:assert/strict';
import { test } from 'node:test';

import { PlayoutBuffer, Resampler, toFloat, toInt16 } from '../../web/worklets/resample.js';

const sine = (hz, rate, count) => Float32Array.from({ length: count }, (_, n) => Math.sin((2 * Math.PI * hz * n) / rate));

function resample(input, from, to, block) {
  const resampler = new Resampler(from, to);
  const output = [];
  for (let at = 0; at < input.length; at += block) output.push(...resampler.push(input.subarray(at, at + block)));
  return output;
}

const rms = (values) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);

test('resampling keeps the length and the level of speech, in blocks of any size', () => {
  for (const [from, to] of [[48_000, 16_000], [44_100, 16_000], [48_000, 44_100]]) {
    const out = resample(sine(1000, from, from), from, to, 128);
    assert.ok(Math.abs(out.length - to) < 50, `${from} to ${to}: ${out.length}`);
    assert.ok(Math.abs(rms(out.slice(200)) - Math.SQRT1_2) < 0.01, `${from} to ${to}: ${rms(out.slice(200))}`);
    assert.deepEqual(resample(sine(1000, from, 4096), from, to, 128), resample(sine(1000, from, 4096), from, to, 4096));
  }
});

test('what lies above the new band does not fold into it', () => {
  assert.ok(rms(resample(sine(11_000, 48_000, 48_000), 48_000, 16_000, 128).slice(200)) < 0.003);
});

test('equal rates pass through', () => {
  const input = sine(440, 48_000, 300);
  assert.deepEqual(new Resampler(48_000, 48_000).push(input), input);
});

test('int16 is clipped, not wrapped', () => {
  assert.deepEqual([...toInt16(Float32Array.of(0, 1, -1, 2, -2))], [0, 32767, -32767, 32767, -32768]);
  assert.deepEqual([...toFloat(Int16Array.of(0, -32768, 16384))], [0, -1, 0.5]);
});

test('the playout waits for its lead, then plays in order, and waits again when it ran dry', () => {
  const buffer = new PlayoutBuffer(4, 8);
  const out = new Float32Array(2);
  const pull = () => (buffer.pull(out), [...out]);
  buffer.push(Float32Array.of(1, 2));
  assert.deepEqual(pull(), [0, 0]);
  buffer.push(Float32Array.of(3, 4, 5));
  assert.deepEqual([pull(), pull(), pull()], [[1, 2], [3, 4], [5, 0]]);
  buffer.push(Float32Array.of(6));
  assert.deepEqual(pull(), [0, 0]);
});

test('the playout drops the oldest beyond its bound', () => {
  const buffer = new PlayoutBuffer(1, 4);
  buffer.push(Float32Array.of(1, 2, 3, 4, 5, 6));
  const out = new Float32Array(4);
  buffer.pull(out);
  assert.deepEqual([[...out], buffer.dropped], [[3, 4, 5, 6], 2]);
});

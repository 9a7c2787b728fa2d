// @ts-check
/** Sample-rate conversion of a stream by a windowed-sinc low-pass, any ratio (Smith, "Digital Audio
 * Resampling"). Pure, so that it can be tested outside a worklet. */

const ZERO_CROSSINGS = 12;
const PHASES = 64;

export class Resampler {
  /** @param {number} fromRate Hz @param {number} toRate Hz */
  constructor(fromRate, toRate) {
    this.step = fromRate / toRate;
    this.same = fromRate === toRate;
    const cutoff = Math.min(1, toRate / fromRate) * 0.94; // of the input's Nyquist rate
    this.half = Math.ceil(ZERO_CROSSINGS / cutoff);
    this.table = kernels(this.half, cutoff);
    this.history = new Float32Array(2 * this.half);
    this.position = this.half; // of the next output sample, in `history` and what follows it
  }

  /** @param {Float32Array} input @returns {Float32Array} what is complete so far */
  push(input) {
    if (this.same) return input.slice();
    const buffer = new Float32Array(this.history.length + input.length);
    buffer.set(this.history);
    buffer.set(input, this.history.length);
    const last = buffer.length - this.half - 1;
    const count = this.position > last ? 0 : Math.floor((last - this.position) / this.step) + 1;
    const output = new Float32Array(count);
    for (let n = 0; n < count; n++) output[n] = this.at(buffer, this.position + n * this.step);
    const kept = Math.max(0, buffer.length - 2 * this.half);
    this.history = buffer.slice(kept);
    this.position += count * this.step - kept;
    return output;
  }

  /** @param {Float32Array} buffer @param {number} position */
  at(buffer, position) {
    const whole = Math.floor(position);
    const kernel = this.table[Math.round((position - whole) * PHASES)];
    let sum = 0;
    for (let k = 0, i = whole - this.half + 1; k < kernel.length; k++, i++) sum += kernel[k] * buffer[i];
    return sum;
  }
}

/** @param {number} half @param {number} cutoff @returns {Float32Array[]} one kernel for each phase, gain 1 at 0 Hz */
function kernels(half, cutoff) {
  return Array.from({ length: PHASES + 1 }, (_, phase) => {
    const kernel = new Float32Array(2 * half);
    let sum = 0;
    for (let k = 0; k < kernel.length; k++) {
      const x = k - half + 1 - phase / PHASES;
      const sinc = x === 0 ? 1 : Math.sin(Math.PI * cutoff * x) / (Math.PI * cutoff * x);
      kernel[k] = sinc * (0.5 + 0.5 * Math.cos((Math.PI * x) / (half + 1)));
      sum += kernel[k];
    }
    return kernel.map((value) => value / sum);
  });
}

/** @param {Float32Array} samples @returns {Int16Array} */
export function toInt16(samples) {
  return Int16Array.from(samples, (value) => Math.max(-32768, Math.min(32767, Math.round(value * 32767))));
}

/** @param {Int16Array} samples @returns {Float32Array} */
export function toFloat(samples) {
  return Float32Array.from(samples, (value) => value / 32768);
}

/**
 * Samples waiting to be played. It begins to play when `leadSamples` are there, again after it ran dry.
 * More than `maxSamples` are never kept: the oldest are dropped.
 */
export class PlayoutBuffer {
  /** @param {number} leadSamples @param {number} maxSamples */
  constructor(leadSamples, maxSamples) {
    this.lead = leadSamples;
    this.ring = new Float32Array(maxSamples);
    this.read = 0;
    this.length = 0;
    this.playing = false;
    this.dropped = 0;
    /** Samples that have left it: pulled, or dropped. */
    this.left = 0;
  }

  /** @param {Float32Array} samples */
  push(samples) {
    for (let i = 0; i < samples.length; i++) {
      if (this.length === this.ring.length) {
        this.read = (this.read + 1) % this.ring.length;
        this.length -= 1;
        this.dropped += 1;
        this.left += 1;
      }
      this.ring[(this.read + this.length) % this.ring.length] = samples[i];
      this.length += 1;
    }
  }

  /** Fill `out`; silence where there is nothing. @param {Float32Array} out */
  pull(out) {
    if (!this.playing && this.length >= this.lead) this.playing = true;
    const count = this.playing ? Math.min(out.length, this.length) : 0;
    for (let i = 0; i < count; i++) out[i] = this.ring[(this.read + i) % this.ring.length];
    out.fill(0, count);
    this.read = (this.read + count) % this.ring.length;
    this.length -= count;
    this.left += count;
    if (count < out.length) this.playing = false;
  }
}

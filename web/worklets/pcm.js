// @ts-check
/// <reference path="./globals.d.ts" />
/** PCM in and out of the audio graph, for when the audio goes over a WebSocket. */
import { PlayoutBuffer, Resampler, toFloat, toInt16 } from './resample.js';

const CAPTURE_RATE = 16_000;
const FRAME_SAMPLES = 320; // 20 ms
const LEAD_S = 0.06;
const MAX_S = 2;
const TELL_S = 0.02;

/** Posts the microphone as 20 ms ArrayBuffers of int16, mono, 16 kHz, until it is told that nobody wants them. */
class CaptureProcessor extends AudioWorkletProcessor {
  /** @param {AudioWorkletNodeOptions} options */
  constructor(options) {
    super(options);
    this.resampler = new Resampler(sampleRate, CAPTURE_RATE);
    this.frame = new Float32Array(FRAME_SAMPLES);
    this.filled = 0;
    this.wanted = true;
    this.port.onmessage = () => (this.wanted = false);
  }

  /** @param {Float32Array[][]} inputs */
  process(inputs) {
    const channel = inputs[0]?.[0];
    if (!channel) return this.wanted;
    for (const sample of this.resampler.push(channel)) {
      this.frame[this.filled++] = sample;
      if (this.filled < FRAME_SAMPLES) continue;
      const { buffer } = toInt16(this.frame);
      this.port.postMessage(buffer, [/** @type {ArrayBuffer} */ (buffer)]);
      this.filled = 0;
    }
    return this.wanted;
  }
}

/** Plays ArrayBuffers of int16, mono, at `processorOptions.rate`; null is the end of them. Posts how many of their samples have come
 * by, `{samples, at}`, by the time `at` of the audio context. */
class PlayerProcessor extends AudioWorkletProcessor {
  /** @param {AudioWorkletNodeOptions} options */
  constructor(options) {
    super(options);
    this.step = (options.processorOptions?.rate ?? 48_000) / sampleRate;
    const resampler = new Resampler(this.step * sampleRate, sampleRate);
    this.buffer = new PlayoutBuffer(Math.round(LEAD_S * sampleRate), Math.round(MAX_S * sampleRate));
    this.over = false;
    this.toldAt = -Infinity;
    this.port.onmessage = ({ data }) => {
      if (data === null) this.over = true;
      else this.buffer.push(resampler.push(toFloat(new Int16Array(data))));
    };
  }

  /** @param {Float32Array[][]} _inputs @param {Float32Array[][]} outputs */
  process(_inputs, outputs) {
    const [channel] = outputs[0];
    if (channel) this.buffer.pull(channel);
    if (channel && currentTime - this.toldAt >= TELL_S) {
      this.toldAt = currentTime;
      this.port.postMessage({ samples: this.buffer.left * this.step, at: currentTime + channel.length / sampleRate });
    }
    return !this.over;
  }
}

registerProcessor('pcm-capture', CaptureProcessor);
registerProcessor('pcm-player', PlayerProcessor);

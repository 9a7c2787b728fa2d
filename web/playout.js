// @ts-check
/**
 * Which audio leaves the browser's jitter buffer, where the browser does not name it (getSynchronizationSources), by its
 * statistics: the audio that the agent's messages name comes in with them, and stays in the buffer for as long as audio did lately
 * (getStats: jitterBufferDelay by jitterBufferEmittedCount). Pure: timestamps, counts and times come in.
 */

export const RTP_RATE = 48_000;
/** Looks at the statistics whose delays are remembered. */
const KEPT = 4;
/** One frame: the place inside it, and where it was while its message was made, is not known. */
const FRAME_S = 0.02;
/** The clocks drift apart: a message that came faster than the others counts for so long. */
const FASTEST_MS = 30_000;

export class Playout {
  constructor() {
    /** The audio that came in at a moment, by the fastest message lately. @type {{rtp: number, ms: number} | null} */
    this.arrival = null;
    this.totalS = 0;
    this.emitted = 0;
    /** How long audio was in the buffer, on average between two looks, s; the last one last. @type {number[]} */
    this.delays = [];
  }

  /** A message came that names the audio sent just before it. @param {number} rtp @param {number} nowMs */
  sent(rtp, nowMs) {
    const known = this.arrival;
    const slower = known && nowMs - known.ms < FASTEST_MS && ((rtp - advanced(known.rtp, nowMs - known.ms)) | 0) <= 0;
    if (!slower) this.arrival = { rtp, ms: nowMs };
  }

  /** @param {{jitterBufferDelay?: number, jitterBufferEmittedCount?: number}} stats of the audio that comes in, since it began */
  look({ jitterBufferDelay: totalS = 0, jitterBufferEmittedCount: emitted = 0 }) {
    if (emitted <= this.emitted) return;
    this.delays = [...this.delays, (totalS - this.totalS) / (emitted - this.emitted)].slice(-KEPT);
    [this.totalS, this.emitted] = [totalS, emitted];
  }

  /** @param {number} nowMs @returns {{rtp: number, withinS: number} | null} the RTP timestamp, and how wrong it may be; null where
   * nothing is known */
  at(nowMs) {
    if (!this.arrival || !this.delays.length) return null;
    const delayS = this.delays[this.delays.length - 1];
    const withinS = Math.max(...this.delays) - Math.min(...this.delays) + FRAME_S;
    return { rtp: advanced(this.arrival.rtp, nowMs - this.arrival.ms - delayS * 1000), withinS };
  }
}

/** @param {number} rtp @param {number} ms @returns {number} 32 bits, which wrap around */
export const advanced = (rtp, ms) => (rtp + Math.round((ms * RTP_RATE) / 1000)) >>> 0;

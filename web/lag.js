// @ts-check
/**
 * How far the audio lags behind the messages that come with it: what waits in the network's and the browser's buffers. The agent
 * needs it to know what was heard before the page cut its playback. Pure.
 */

const KEPT = 5;
const STEP_MS = 40;
const MOST_MS = 2_000;

export class Lag {
  /** @param {number} ms until it is measured */
  constructor(ms) {
    this.ms = ms;
    /** @type {number[]} */
    this.recent = [];
  }

  /** @param {number} ms from a message's coming to that of the audio it is about @returns {boolean} whether `ms` has changed */
  measure(ms) {
    this.recent = [...this.recent, Math.min(Math.max(ms, 0), MOST_MS)].slice(-KEPT);
    const highest = Math.round(Math.max(...this.recent));
    if (this.recent.length < KEPT || Math.abs(highest - this.ms) < STEP_MS) return false;
    this.ms = highest;
    return true;
  }
}

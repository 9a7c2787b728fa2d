// @ts-check
/**
 * Whether the agent is still there. It sends audio every 20 ms, silence included, so a count of what was received that does
 * not grow says that it is not, long before the browser does. Pure: counts and times come in, a judgement comes out.
 */

/** How often to look. */
export const LOOK_MS = 500;
/** Without anything for this long, the person is told; a busy machine can be silent for a second. */
export const SILENT_MS = 2_000;
/** And for this long, the call is given up. */
export const GONE_MS = 5_000;
/** Looks further apart than this: the page itself was asleep. */
const ASLEEP_MS = 1_500;

/** @typedef {'well' | 'silent' | 'gone'} Judgement */

export class Liveness {
  /** @param {number} nowMs */
  constructor(nowMs) {
    this.received = -1;
    this.grewMs = nowMs;
    this.lookedMs = nowMs;
  }

  /** @param {number} received packets or messages since the call began @param {number} nowMs @returns {Judgement} */
  look(received, nowMs) {
    const asleep = nowMs - this.lookedMs > ASLEEP_MS;
    this.lookedMs = nowMs;
    if (asleep || received !== this.received) {
      this.received = received;
      this.grewMs = nowMs;
    }
    const silentMs = nowMs - this.grewMs;
    return silentMs >= GONE_MS ? 'gone' : silentMs >= SILENT_MS ? 'silent' : 'well';
  }
}

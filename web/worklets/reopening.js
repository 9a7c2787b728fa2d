// @ts-check
/**
 * When a closed gate opens again: at the moment that the agent named for it, on the clock of the audio.
 *
 * Messages and audio travel apart. What the agent sent before it paused may still be on its way when the message comes that it
 * plays on; and that message may come after the audio it speaks of. So the gate does not open before the old audio has passed,
 * and it opens by itself when, behind that and a silence, something is to be heard: the agent means it. Without a silence it may
 * be the old audio, held up by a machine that stalled. It never waits for longer than LONGEST_S. Pure; times are those of the
 * AudioContext, in seconds.
 */

/** The page knows the position of the audio to about this; the frame that fades the old audio out is in it. */
export const DRAIN_S = 0.06;
/** The named moment is that of the message; the first of the audio may have been sent a little before it. */
export const LEAD_S = 0.06;
export const LONGEST_S = 0.5;
/** So long a silence is between what was cut and what comes next. */
export const SILENCE_S = 0.06;

export class Reopening {
  constructor() {
    this.drainedAt = Infinity;
    this.openAt = Infinity;
    this.quietFrom = Infinity;
    this.silentUntil = -Infinity;
    this.falseAlarm = false;
  }

  /** The agent has stopped sending. @param {number} now @param {number} afterS until the last of it comes by; negative where it
   * has passed, because the message had to wait: then nothing has to be waited for twice */
  drain(now, afterS) {
    this.drainedAt = now + Math.min(afterS, LONGEST_S) + DRAIN_S;
    this.falseAlarm = false;
  }

  /** The agent plays on. @param {number} now @param {number} afterS until what it named comes by @param {boolean} falseAlarm */
  open(now, afterS, falseAlarm) {
    const drainedAt = this.drainedAt === Infinity ? now : this.drainedAt;
    this.openAt = Math.min(Math.max(now + afterS - LEAD_S, drainedAt, now), now + LONGEST_S);
    this.falseAlarm = falseAlarm;
  }

  /** Cut anew: what was said of the sound before does not open it. */
  cancel() {
    this.openAt = this.drainedAt = Infinity;
    this.silentUntil = -Infinity;
  }

  /** @param {number} now @param {boolean} audible whether something of the agent comes by now @returns {boolean} whether to open */
  step(now, audible) {
    this.quietFrom = audible ? Infinity : Math.min(this.quietFrom, now);
    if (now - this.quietFrom >= SILENCE_S) this.silentUntil = now;
    const meant = audible && this.silentUntil >= this.drainedAt;
    if (!meant && now < this.openAt) return false;
    this.cancel();
    return true;
  }
}

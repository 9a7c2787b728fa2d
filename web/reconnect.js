// @ts-check
/** Calling again after the connection was lost: soon at first, then ever more rarely, and never all pages at once. */

const FIRST_MS = 500;
const MOST_MS = 5_000;
const JITTER = 0.5;
/** Some ten minutes; after that it is for the person to say. */
const ATTEMPTS = 120;

/** How long to wait before an attempt. @param {number} attempt from 0 @param {number} chance from 0 to 1 @returns {number} ms */
export function delayMs(attempt, chance) {
  return Math.round(Math.min(FIRST_MS * 2 ** attempt, MOST_MS) * (1 - JITTER + 2 * JITTER * chance));
}

/**
 * @typedef {object} Handlers
 * @property {() => Promise<'done' | 'again' | 'stop'>} attempt never rejects
 * @property {(ms: number) => void} waiting until the next attempt
 * @property {() => void} gaveUp
 */

export class Reconnector {
  /** @param {Handlers} handlers */
  constructor(handlers) {
    this.handlers = handlers;
    this.active = false;
    this.attempts = 0;
    /** Counts losses: what becomes of an attempt says nothing of a later loss. */
    this.losses = 0;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
  }

  start() {
    this.stop();
    this.active = true;
    this.attempts = 0;
    this.losses += 1;
    this.wait();
  }

  stop() {
    this.active = false;
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  /** The network is back, or the person is: do not wait for the timer. */
  now() {
    if (this.active && this.timer !== undefined) void this.attempt();
  }

  wait() {
    if (this.attempts >= ATTEMPTS) {
      this.stop();
      return this.handlers.gaveUp();
    }
    const ms = delayMs(this.attempts++, Math.random());
    this.timer = setTimeout(() => void this.attempt(), ms);
    this.handlers.waiting(ms);
  }

  async attempt() {
    clearTimeout(this.timer);
    this.timer = undefined;
    const { losses } = this;
    const result = await this.handlers.attempt();
    if (!this.active || losses !== this.losses) return;
    if (result === 'again') this.wait();
    else this.stop();
  }
}

// @ts-check
/** Push-to-talk and tap-to-talk in one button: held it is on while held, tapped it stays on until tapped again. Pure. */

export const TAP_MS = 350;

export class Talk {
  constructor() {
    this.on = false;
    this.latched = false;
    /** @type {number | null} */
    this.pressedMs = null;
  }

  /** @param {number} nowMs @returns {boolean} whether it is on now */
  press(nowMs) {
    if (this.pressedMs !== null) return this.on;
    this.pressedMs = nowMs;
    this.on = !this.latched;
    return this.on;
  }

  /** @param {number} nowMs @returns {boolean} whether it is on now */
  release(nowMs) {
    if (this.pressedMs === null) return this.on;
    this.latched = this.on && nowMs - this.pressedMs < TAP_MS;
    this.on = this.latched;
    this.pressedMs = null;
    return this.on;
  }

  reset() {
    this.on = false;
    this.latched = false;
    this.pressedMs = null;
  }
}

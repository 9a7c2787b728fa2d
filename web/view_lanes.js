// @ts-check
/** The two lanes of a stored conversation as a drawing: who sounded when, how loud where that was recorded, and marks. */
import { byId } from './dom.js';

const LANE_PX = 52;
const MARKS_PX = 18;
const GAP_PX = 6;

export class LanesView {
  /** @param {import('./tape.js').Tape} tape @param {{user: import('./tape.js').Span[], agent: import('./tape.js').Span[]}} lanes
   * @param {import('./tape.js').Moment[]} moments @param {(tMs: number) => void} seek */
  constructor(tape, lanes, moments, seek) {
    this.canvas = byId('lanes', HTMLCanvasElement);
    this.lanes = lanes;
    this.moments = moments;
    /** @type {import('./recording.js').Recording | null} */
    this.recording = null;
    this.fromMs = tape.startMs;
    this.toMs = Math.max(tape.endMs, tape.startMs + 1);
    this.atMs = this.fromMs;
    /** @type {ImageData | null} */
    this.drawn = null;
    this.canvas.setAttribute('aria-valuemin', String(this.fromMs));
    this.canvas.addEventListener('pointerdown', (event) => seek(this.msAt(event)));
    this.canvas.addEventListener('pointermove', (event) => event.buttons & 1 && seek(this.msAt(event)));
    new ResizeObserver(() => this.redraw()).observe(this.canvas);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.redraw());
    this.redraw();
  }

  /** @param {PointerEvent} event */
  msAt(event) {
    const { left, width } = this.canvas.getBoundingClientRect();
    return this.fromMs + ((event.clientX - left) / width) * (this.toMs - this.fromMs);
  }

  /** @param {import('./recording.js').Recording} recording */
  hear(recording) {
    this.recording = recording;
    this.toMs = Math.max(this.toMs, recording.endMs);
    this.redraw();
  }

  redraw() {
    const { canvas } = this;
    const scale = devicePixelRatio || 1;
    canvas.width = Math.max(1, Math.round(canvas.clientWidth * scale));
    canvas.height = Math.round((2 * LANE_PX + GAP_PX + MARKS_PX) * scale);
    canvas.setAttribute('aria-valuemax', String(Math.round(this.toMs)));
    const context = canvas.getContext('2d', { willReadFrequently: true });
    if (!context) return;
    const style = getComputedStyle(document.documentElement);
    const color = (/** @type {string} */ name) => style.getPropertyValue(name);
    const x = (/** @type {number} */ ms) => ((ms - this.fromMs) / (this.toMs - this.fromMs)) * canvas.width;
    for (const [lane, spans, ink] of /** @type {const} */ ([[0, this.lanes.user, '--soft'], [1, this.lanes.agent, '--accent']])) {
      const top = lane * (LANE_PX + GAP_PX) * scale;
      context.fillStyle = color('--sunken');
      context.fillRect(0, top, canvas.width, LANE_PX * scale);
      context.fillStyle = color(ink);
      context.globalAlpha = 0.28;
      for (const { fromMs, toMs } of spans) context.fillRect(x(fromMs), top, Math.max(2, x(toMs) - x(fromMs)), LANE_PX * scale);
      context.globalAlpha = 1;
      this.wave(context, lane, top + (LANE_PX * scale) / 2, (LANE_PX * scale) / 2);
    }
    const marks = /** @type {Record<string, string>} */ ({ confirmed: '--bad', dismissed: '--soft', action: '--accent', typed: '--ink' });
    for (const { atMs, kind } of this.moments) {
      context.fillStyle = color(marks[kind]);
      const [side, top] = [7 * scale, (2 * LANE_PX + GAP_PX + 7) * scale];
      if (kind === 'action') context.fillRect(x(atMs) - side / 2, top, side, side);
      else if (kind === 'typed') context.fillRect(x(atMs) - scale, top, 2 * scale, side);
      else {
        context.beginPath();
        context.arc(x(atMs), top + side / 2, side / 2, 0, 2 * Math.PI);
        context.fill();
      }
    }
    this.drawn = context.getImageData(0, 0, canvas.width, canvas.height);
    this.show(this.atMs);
  }

  /** @param {CanvasRenderingContext2D} context @param {number} lane @param {number} middle @param {number} half */
  wave(context, lane, middle, half) {
    const peaks = this.recording?.peaks(lane, this.fromMs, this.toMs, context.canvas.width);
    peaks?.forEach((peak, column) => {
      const tall = Math.min(1, peak * 1.6) * half;
      if (tall > 0.5) context.fillRect(column, middle - tall, 1, 2 * tall);
    });
  }

  /** The line of the present. @param {number} atMs */
  show(atMs) {
    this.atMs = atMs;
    this.canvas.setAttribute('aria-valuenow', String(Math.round(atMs)));
    this.canvas.setAttribute('aria-valuetext', `${(atMs / 1000).toFixed(1)} seconds`);
    const context = this.canvas.getContext('2d');
    if (!context || !this.drawn) return;
    context.putImageData(this.drawn, 0, 0);
    context.fillStyle = getComputedStyle(document.documentElement).getPropertyValue('--ink');
    const at = ((atMs - this.fromMs) / (this.toMs - this.fromMs)) * this.canvas.width;
    context.fillRect(Math.min(at, this.canvas.width - 2), 0, 2 * (devicePixelRatio || 1), this.canvas.height);
  }
}

// @ts-check
/** The agent's state as a shape: a soft body that follows the sound of whoever has the floor. */

/** @typedef {import('./state.js').Mode} Mode */
/** @typedef {{size: number, wobble: number, speed: number, ring: number, arc: number, bars: number, strength: number}} Look */

/** @type {Record<Mode, Look>} */
const LOOKS = {
  off: { size: 0.72, wobble: 0.05, speed: 0.25, ring: 0, arc: 0, bars: 0, strength: 0.75 },
  connecting: { size: 0.62, wobble: 0.04, speed: 0.6, ring: 0, arc: 1, bars: 0, strength: 0.7 },
  listening: { size: 0.7, wobble: 0.05, speed: 0.5, ring: 1, arc: 0, bars: 0, strength: 0.9 },
  thinking: { size: 0.6, wobble: 0.12, speed: 1.6, ring: 0, arc: 1, bars: 0, strength: 0.95 },
  speaking: { size: 0.82, wobble: 0.1, speed: 1.1, ring: 0, arc: 0, bars: 0, strength: 1 },
  interrupted: { size: 0.62, wobble: 0, speed: 0.1, ring: 1, arc: 0, bars: 1, strength: 0.7 },
};

const FRAME_MS = 33; // the processor has sound to attend to
const CALM_MS = 80; // while nobody is loud it only breathes
const LOUD = 0.08;
const TURN = 2 * Math.PI;

export class Orb {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
    /** @type {Mode} */
    this.mode = 'off';
    this.look = { ...LOOKS.off };
    this.level = 0;
    this.target = 0;
    this.phase = 0;
    this.lastMs = 0;
    /** The timer of the next frame, 0 for none. */
    this.frame = 0;
    this.restMs = FRAME_MS;
    this.still = matchMedia('(prefers-reduced-motion: reduce)');
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.wake());
    this.wake();
  }

  /** @param {Mode} mode */
  show(mode) {
    if (mode === this.mode) return;
    this.mode = mode;
    this.wake();
  }

  /** @param {number} micDb @param {number} remoteDb */
  hear(micDb, remoteDb) {
    const db = this.mode === 'speaking' ? remoteDb : micDb;
    this.target = Math.max(0, Math.min(1, (db + 55) / 45));
  }

  wake() {
    this.frame ||= setTimeout(() => requestAnimationFrame((now) => this.draw(now)), this.restMs);
  }

  /** @param {number} nowMs */
  draw(nowMs) {
    this.frame = 0;
    const dtS = Math.min(0.1, (nowMs - this.lastMs) / 1000);
    this.lastMs = nowMs;
    const still = this.still.matches;
    const before = this.level;
    const moving = this.ease(dtS, still);
    if (!still) this.phase += dtS * this.look.speed;
    if (!still || moving || Math.abs(this.level - before) > 0.002) this.paint();
    const calm = !moving && this.mode === 'listening' && Math.max(this.level, this.target) < LOUD;
    this.restMs = calm || still ? CALM_MS : FRAME_MS;
    if (moving || this.mode !== 'off') this.wake();
  }

  /** @param {number} dtS @param {boolean} still @returns {boolean} whether anything is on its way */
  ease(dtS, still) {
    const goal = LOOKS[this.mode];
    const pull = still ? 1 : 1 - Math.exp(-dtS * 7);
    let left = 0;
    for (const key of /** @type {(keyof Look)[]} */ (Object.keys(goal))) {
      this.look[key] += (goal[key] - this.look[key]) * pull;
      left = Math.max(left, Math.abs(goal[key] - this.look[key]));
    }
    this.target = this.mode === 'off' ? 0 : this.target;
    this.level += (this.target - this.level) * (1 - Math.exp(-dtS * (this.target > this.level ? 30 : 8)));
    return left > 0.002;
  }

  paint() {
    const { pen, canvas, look, level } = this;
    const half = canvas.width / 2;
    const accent = getComputedStyle(canvas).color;
    const radius = half * look.size * (0.8 + 0.22 * level);
    pen.clearRect(0, 0, canvas.width, canvas.height);
    pen.save();
    pen.translate(half, half);
    pen.fillStyle = accent;
    pen.strokeStyle = accent;
    this.halo(radius, half);
    for (let layer = 0; layer < 3; layer++) this.body(radius * (1 - 0.1 * layer), layer);
    this.shine(radius * 0.8);
    if (look.ring > 0.01) this.ring(radius, half);
    if (look.arc > 0.01) this.arc(half);
    if (look.bars > 0.01) this.bars(radius);
    pen.restore();
  }

  /** A glow in steps: a gradient to transparent turns grey on the way. @param {number} radius @param {number} half */
  halo(radius, half) {
    const { pen, look, level } = this;
    const steps = 14;
    pen.globalAlpha = look.strength * (0.012 + 0.014 * level);
    for (let step = 0; step < steps; step++) {
      pen.beginPath();
      pen.arc(0, 0, radius + (half - radius) * (1 - step / steps) ** 1.5, 0, TURN);
      pen.fill();
    }
  }

  /** @param {number} radius @param {number} layer */
  body(radius, layer) {
    const { pen, look, level, phase } = this;
    const wobble = look.wobble * (0.5 + 0.9 * level);
    const turn = phase * (1 + 0.4 * layer) + layer * 2.1;
    pen.globalAlpha = look.strength * (0.22 + 0.2 * layer);
    pen.beginPath();
    for (let step = 0; step <= 96; step++) {
      const angle = (step / 96) * TURN;
      const wave = Math.sin(2 * angle + turn) * 0.6 + Math.sin(3 * angle - 1.3 * turn) * 0.5 + Math.sin(5 * angle + 0.7 * turn) * 0.25;
      const r = radius * (1 + wobble * wave);
      pen.lineTo(r * Math.cos(angle), r * Math.sin(angle));
    }
    pen.fill();
  }

  /** Light from the upper left. @param {number} radius */
  shine(radius) {
    const { pen } = this;
    const light = pen.createRadialGradient(-radius * 0.4, -radius * 0.5, 0, -radius * 0.2, -radius * 0.25, radius * 1.1);
    light.addColorStop(0, 'rgb(255 255 255 / 55%)');
    light.addColorStop(1, 'rgb(255 255 255 / 0%)');
    pen.globalAlpha = 0.55;
    pen.fillStyle = light;
    pen.beginPath();
    pen.arc(0, 0, radius, 0, TURN);
    pen.fill();
  }

  /** Listening: the sound of the room as a ring around the body. @param {number} radius @param {number} half */
  ring(radius, half) {
    const { pen, look, level } = this;
    pen.globalAlpha = look.ring * (0.25 + 0.55 * level);
    pen.lineWidth = 3 + 5 * level;
    pen.beginPath();
    pen.arc(0, 0, Math.min(half - 8, radius * (1.18 + 0.3 * level)), 0, TURN);
    pen.stroke();
  }

  /** Thinking: two ends of a circle chase each other. @param {number} half */
  arc(half) {
    const { pen, look, phase } = this;
    pen.globalAlpha = look.arc * 0.75;
    pen.lineWidth = 7;
    pen.lineCap = 'round';
    for (const start of [phase * 2.2, phase * 2.2 + Math.PI]) {
      pen.beginPath();
      pen.arc(0, 0, half * 0.86, start, start + 0.9 + 0.4 * Math.sin(phase * 3));
      pen.stroke();
    }
  }

  /** Interrupted: the sign for a pause. @param {number} radius */
  bars(radius) {
    const { pen, look } = this;
    pen.globalAlpha = look.bars;
    pen.fillStyle = getComputedStyle(this.canvas).backgroundColor;
    const [width, height] = [radius * 0.2, radius * 0.7];
    for (const x of [-width * 1.5, width * 0.5]) {
      pen.beginPath();
      pen.roundRect(x, -height / 2, width, height, width / 2);
      pen.fill();
    }
  }
}

// @ts-check
/**
 * The page's own barge-in detector: when to cut the playback, decided from levels alone.
 *
 * It works on render quanta (128 samples) and judges windows of four of them. The microphone counts
 * as the user when it is well above the room's noise and, while the agent is being played, also
 * above what the loudspeaker is expected to return. That return is learnt: the highest ratio of
 * microphone to playback seen while the agent spoke alone, the playback taken at its loudest in
 * the last 300 ms, because the delay of loudspeaker and room is not known.
 *
 * Pure: no audio API, no clock but the count of samples, so that it can be tested anywhere.
 */

/**
 * @typedef {object} GateOptions
 * @property {boolean} vad off: nothing is ever cut by this detector
 * @property {number} onset_db how far above the noise floor the microphone must be
 * @property {number} min_db dBFS below which the microphone is silence
 * @property {number} echo_db how far above the expected echo it must be
 */

/** @type {GateOptions} */
export const DEFAULTS = { vad: true, onset_db: 12, min_db: -45, echo_db: 6 };

const WINDOW_QUANTA = 4;
const LOUD_QUANTA = 3; // of the window; a click is loud in one or two
const LOUD_MARGIN_DB = 6; // a quantum is shorter than a pitch period, so single ones dip
const SILENCE_DB = -120;
const PLAYING_DB = -55;
export const AUDIBLE_POWER = 10 ** (PLAYING_DB / 10);
const PLAYING_HOLD_S = 0.1;
const ECHO_WINDOW_S = 0.3;
const LEARN_RANGE_DB = 12; // learn only near the playback's loudest: elsewhere noise passes for echo
const BLOCK_S = 0.25;
const PENDING_BLOCKS = 3; // a block is believed once this many later ones raised no suspicion
const FIRST_BLOCK_S = 0.125;
const CONFIDENT_BLOCKS = 3; // the first ones, together longer than an echo can be late
const UNKNOWN_COUPLING_DB = 10; // nothing is cut before it is known what the agent sounds like here
const NO_ECHO_DB = -60;
const MAX_COUPLING_DB = 20;
const COUPLING_FALL_DB = 0.25; // a block
const EARLY_FALL_DB = 3; // while little is known, so that one bad first block is soon forgotten
const EARLY_BLOCKS = 12;
const NOISE_RISE_DB = 6; // what a sound that was not the user may add: perhaps it was no echo either
const MAX_PENDING = 20;
const FLOOR_BLOCKS = 6;
const FLOOR_SMOOTHING_S = 0.05;
const REARM_QUIET_S = 0.1;
const REARM_AT_LATEST_S = 3;

/** @param {number} power mean square @returns {number} dBFS */
export function toDb(power) {
  return power > 1e-12 ? 10 * Math.log10(power) : SILENCE_DB;
}

/** @param {Float32Array | undefined} samples @returns {number} mean square, 0 for nothing */
export function meanSquare(samples) {
  if (!samples || samples.length === 0) return 0;
  let sum = 0;
  for (let i = 0; i < samples.length; i++) sum += samples[i] * samples[i];
  return sum / samples.length;
}

/** The lowest level of the last 1.5 s, so that speech with its gaps does not raise it. */
class NoiseFloor {
  /** @param {number} quantumS */
  constructor(quantumS) {
    this.smoothing = 1 - Math.exp(-quantumS / FLOOR_SMOOTHING_S);
    this.blockQuanta = Math.max(1, Math.round(BLOCK_S / quantumS));
    this.power = -1;
    this.quanta = 0;
    this.lowest = Infinity;
    /** @type {number[]} */
    this.blocks = [];
  }

  /** @param {number} power */
  update(power) {
    this.power = this.power < 0 ? power : this.power + this.smoothing * (power - this.power);
    this.lowest = Math.min(this.lowest, this.power);
    if (++this.quanta < this.blockQuanta) return;
    this.blocks.push(this.lowest);
    if (this.blocks.length > FLOOR_BLOCKS) this.blocks.shift();
    this.quanta = 0;
    this.lowest = Infinity;
  }

  get db() {
    const lowest = Math.min(this.lowest, ...this.blocks);
    return Number.isFinite(lowest) ? toDb(lowest) : SILENCE_DB;
  }
}

/** How much of the playback comes back into the microphone, in dB, learnt block by block. */
class EchoCoupling {
  /** @param {number} quantumS */
  constructor(quantumS) {
    this.blockQuanta = Math.max(1, Math.round(BLOCK_S / quantumS));
    this.firstQuanta = Math.max(1, Math.round(FIRST_BLOCK_S / quantumS));
    this.recent = new Float32Array(Math.max(1, Math.round(ECHO_WINDOW_S / quantumS))).fill(SILENCE_DB);
    this.at = 0;
    this.loudestDb = SILENCE_DB;
    this.couplingDb = UNKNOWN_COUPLING_DB;
    this.believed = 0;
    this.quanta = 0;
    this.highest = NO_ECHO_DB;
    /** @type {number[]} */
    this.pending = [];
    this.frozen = false;
  }

  /** @param {number} remoteDb @returns {number} the loudest playback of the last 300 ms */
  play(remoteDb) {
    this.recent[this.at] = remoteDb;
    this.at = (this.at + 1) % this.recent.length;
    let loudest = SILENCE_DB;
    for (let i = 0; i < this.recent.length; i++) if (this.recent[i] > loudest) loudest = this.recent[i];
    this.loudestDb = Math.max(this.loudestDb - 0.002, remoteDb);
    return loudest;
  }

  /** @param {number} micDb @param {number} playedDb @param {number} floorDb */
  learn(micDb, playedDb, floorDb) {
    if (playedDb < Math.max(PLAYING_DB, this.loudestDb - LEARN_RANGE_DB)) return;
    const ratio = micDb > floorDb + LOUD_MARGIN_DB ? micDb - playedDb : NO_ECHO_DB;
    this.highest = Math.max(this.highest, Math.min(ratio, MAX_COUPLING_DB));
    if (++this.quanta < (this.believed < CONFIDENT_BLOCKS ? this.firstQuanta : this.blockQuanta)) return;
    this.pending.push(this.highest);
    this.quanta = 0;
    this.highest = NO_ECHO_DB;
    if (this.pending.length > MAX_PENDING) this.pending.shift();
    if (this.frozen) return;
    const wait = this.believed < CONFIDENT_BLOCKS ? 0 : PENDING_BLOCKS;
    while (this.pending.length > wait) this.believe(/** @type {number} */ (this.pending.shift()));
  }

  /** @param {number} ratio of one block in which the agent spoke alone */
  believe(ratio) {
    const fall = this.believed < EARLY_BLOCKS ? EARLY_FALL_DB : COUPLING_FALL_DB;
    this.couplingDb = this.believed > 0 ? Math.max(ratio, this.couplingDb - fall) : ratio;
    this.believed += 1;
  }

  /** What cut the playback counts too, should it turn out to be echo. @param {number} ratio */
  note(ratio) {
    this.highest = Math.max(this.highest, Math.min(ratio, MAX_COUPLING_DB));
    this.quanta = Math.max(1, this.quanta);
  }

  /** Somebody may be speaking: what is measured from here on waits for the verdict. */
  freeze() {
    this.frozen = true;
  }

  /** @param {number} maxRiseDb how far the coupling may rise by what waited for the verdict */
  release(maxRiseDb) {
    const ceiling = this.couplingDb + maxRiseDb;
    const ratios = [...this.pending, ...(this.quanta > 0 ? [this.highest] : [])];
    if (maxRiseDb > 0) for (const ratio of ratios) this.believe(Math.min(ratio, ceiling));
    this.pending = [];
    this.quanta = 0;
    this.highest = NO_ECHO_DB;
    this.frozen = false;
  }

  /** @param {number} playedDb @returns {number} dBFS expected at the microphone */
  expectedDb(playedDb) {
    if (playedDb <= PLAYING_DB) return SILENCE_DB;
    return playedDb + (this.believed < CONFIDENT_BLOCKS ? Math.max(this.couplingDb, UNKNOWN_COUPLING_DB) : this.couplingDb);
  }
}

/**
 * Feed it one quantum of microphone and playback after the other.
 *
 * `gain` is what the quantum just fed is to be multiplied with at its end; a change is one ramp
 * over that quantum, so the playback is silent when the quantum in which it was cut is over.
 */
export class EnergyGate {
  /** @param {number} rate Hz @param {Partial<GateOptions>} [options] @param {number} [quantum] samples */
  constructor(rate, options = {}, quantum = 128) {
    this.quantumS = quantum / rate;
    this.options = { ...DEFAULTS, ...options };
    this.floor = new NoiseFloor(this.quantumS);
    this.echo = new EchoCoupling(this.quantumS);
    this.mic = new Float32Array(WINDOW_QUANTA);
    this.remote = new Float32Array(WINDOW_QUANTA);
    this.at = 0;
    this.micDb = SILENCE_DB;
    this.remoteDb = SILENCE_DB;
    this.thresholdDb = this.options.min_db;
    this.closed = false;
    this.loudRun = 0;
    this.sincePlayed = Infinity;
    this.armed = true;
    this.quietS = 0;
    this.unarmedS = 0;
  }

  /** @param {Partial<GateOptions>} options */
  configure(options) {
    this.options = { ...this.options, ...options };
  }

  get gain() {
    return this.closed ? 0 : 1;
  }

  /** Something of the agent is being played now, or was a moment ago. */
  get playing() {
    return this.sincePlayed <= PLAYING_HOLD_S;
  }

  get floorDb() {
    return this.floor.db;
  }

  get couplingDb() {
    return this.echo.couplingDb;
  }

  /**
   * @param {number} micPower mean square of this quantum
   * @param {number} remotePower mean square of this quantum
   * @returns {number} 0, or when the gate closes in this quantum: the number of quanta, this one
   *   included, since the sound began that closed it
   */
  step(micPower, remotePower) {
    this.mic[this.at] = micPower;
    this.remote[this.at] = remotePower;
    this.at = (this.at + 1) % WINDOW_QUANTA;
    this.micDb = toDb(mean(this.mic));
    this.remoteDb = toDb(mean(this.remote));
    this.floor.update(micPower);
    this.sincePlayed = this.remoteDb > PLAYING_DB ? 0 : this.sincePlayed + this.quantumS;
    const playedDb = this.echo.play(this.remoteDb);
    const { onset_db, min_db, echo_db } = this.options;
    this.thresholdDb = Math.max(this.floor.db + onset_db, min_db, this.echo.expectedDb(playedDb) + echo_db);
    const loud = this.isLoud();
    this.loudRun = toDb(micPower) > this.thresholdDb - LOUD_MARGIN_DB ? this.loudRun + 1 : 0;
    this.rearm(loud);
    const cut = loud && this.armed && this.options.vad && this.playing && !this.closed;
    if (cut) {
      this.echo.note(this.micDb - playedDb);
      this.close();
    } else if (!this.closed) this.echo.learn(this.micDb, playedDb, this.floor.db);
    return cut ? Math.max(this.loudRun, LOUD_QUANTA) : 0;
  }

  isLoud() {
    if (this.micDb <= this.thresholdDb) return false;
    let quanta = 0;
    for (let i = 0; i < WINDOW_QUANTA; i++) if (toDb(this.mic[i]) > this.thresholdDb - LOUD_MARGIN_DB) quanta += 1;
    return quanta >= LOUD_QUANTA;
  }

  /** After a false alarm the same sound must end, or go on for long, before it can cut again.
   * @param {boolean} loud */
  rearm(loud) {
    if (this.armed || this.closed) return;
    this.quietS = loud ? 0 : this.quietS + this.quantumS;
    this.unarmedS += this.quantumS;
    if (this.quietS >= REARM_QUIET_S || this.unarmedS >= REARM_AT_LATEST_S) this.armed = true;
  }

  /** Cut the playback now (also for the stop button). */
  close() {
    this.closed = true;
    this.echo.freeze();
  }

  /** The server suspects an interruption by itself: stop learning until the verdict. */
  suspect() {
    this.echo.freeze();
  }

  /**
   * The verdict on what was suspected: the user spoke; it was the loudspeaker; it was some noise, which
   * may have been the loudspeaker; or nobody knows.
   * @param {'speech' | 'echo' | 'noise' | 'unknown'} verdict
   */
  judge(verdict) {
    this.echo.release(verdict === 'echo' ? Infinity : verdict === 'noise' ? NOISE_RISE_DB : 0);
  }

  /** Play again. @param {boolean} falseAlarm */
  open(falseAlarm) {
    this.closed = false;
    if (falseAlarm) {
      this.armed = false;
      this.quietS = 0;
      this.unarmedS = 0;
    }
  }
}

/** @param {Float32Array} values */
function mean(values) {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i];
  return sum / values.length;
}

// @ts-check
/**
 * A stored conversation as something that has a position: what the page would have shown once the first `index`
 * entries had come, and what lies where. Pure.
 */
import { initialState, local, reduce } from './state.js';

/** @typedef {import('./wire.js').Entry} Entry */
/** @typedef {import('./state.js').State} State */
/** @typedef {{fromMs: number, toMs: number}} Span */
/** @typedef {{atMs: number, index: number, kind: 'typed' | 'confirmed' | 'dismissed' | 'action', text: string}} Moment
 *   `index`: how many entries there are up to it */

const STRIDE = 100;

export class Tape {
  /** @param {readonly Entry[]} entries in order */
  constructor(entries) {
    this.entries = entries;
    this.startMs = entries[0]?.t_ms ?? 0;
    this.endMs = entries.at(-1)?.t_ms ?? 0;
    /** @type {State[]} every `STRIDE` entries */
    this.marks = [reduce(initialState(), local('connection', { phase: 'connected', transport: '' }))];
  }

  get length() {
    return this.entries.length;
  }

  /** What is shown once `index` entries have come. @param {number} index @returns {State} */
  stateAt(index) {
    const count = Math.max(0, Math.min(this.length, index));
    for (let mark = this.marks.length; mark * STRIDE <= count; mark += 1) {
      this.marks.push(this.fold(this.marks[mark - 1], (mark - 1) * STRIDE, mark * STRIDE));
    }
    const mark = Math.floor(count / STRIDE);
    return this.fold(this.marks[mark], mark * STRIDE, count);
  }

  /** @param {State} state @param {number} from @param {number} to @returns {State} */
  fold(state, from, to) {
    for (let at = from; at < to; at += 1) state = reduce(state, { kind: 'entry', entry: this.entries[at] });
    return state;
  }

  /** How many entries there are up to a time, by halves. @param {number} tMs */
  indexAt(tMs) {
    let [low, high] = [0, this.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.entries[middle].t_ms <= tMs) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** When the last of the first `index` entries came. @param {number} index */
  timeOf(index) {
    return index > 0 ? this.entries[Math.min(index, this.length) - 1].t_ms : this.startMs;
  }
}

/** When either side sounded, as the timeline says. @param {readonly Entry[]} entries @returns {{user: Span[], agent: Span[]}} */
export function lanesOf(entries) {
  /** @type {{user: Span[], agent: Span[]}} */
  const lanes = { user: [], agent: [] };
  /** @type {{user: number | null, agent: number | null}} */
  const open = { user: null, agent: null };
  /** @param {'user' | 'agent'} lane @param {number} toMs */
  const close = (lane, toMs) => {
    const fromMs = open[lane];
    if (fromMs !== null && toMs > fromMs) lanes[lane].push({ fromMs, toMs });
    open[lane] = null;
  };
  for (const { type, payload, t_ms: tMs } of entries) {
    if (type === 'speech.started') open.user = typeof payload.onset_us === 'number' ? payload.onset_us / 1000 : tMs;
    if (type === 'speech.stopped') close('user', typeof payload.end_us === 'number' ? payload.end_us / 1000 : tMs);
    if (type === 'playback.start' || type === 'playback.resume') open.agent ??= tMs;
    if (type === 'playback.pause' || type === 'playback.stop') close('agent', tMs);
  }
  const endMs = entries.at(-1)?.t_ms ?? 0;
  close('user', endMs);
  close('agent', endMs);
  return lanes;
}

const ACTION_TYPES = new Set(['action.proposed', 'action.committed', 'action.rejected', 'action.failed', 'action.unknown', 'action.reverted']);

/** What somebody who looks for a fault looks for. @param {readonly Entry[]} entries @returns {Moment[]} */
export function momentsOf(entries) {
  /** @type {Map<string, string>} */
  const names = new Map();
  return entries.flatMap(({ type, payload, t_ms: atMs }, at) => {
    const index = at + 1;
    const evidence = String(payload.evidence ?? '').replaceAll('_', ' ');
    if (type === 'action.proposed') names.set(payload.action_id, String(payload.name ?? '').replaceAll('_', ' '));
    if (type === 'text.input') return [{ atMs, index, kind: /** @type {const} */ ('typed'), text: `typed “${payload.text}”` }];
    if (type === 'interruption.confirmed') return [{ atMs, index, kind: /** @type {const} */ ('confirmed'), text: `interrupted (${evidence})` }];
    if (type === 'interruption.dismissed') return [{ atMs, index, kind: /** @type {const} */ ('dismissed'), text: `went on (${evidence})` }];
    if (!ACTION_TYPES.has(type)) return [];
    const name = names.get(payload.action_id) ?? payload.action_id;
    const reason = payload.reason || payload.error_class;
    return [{ atMs, index, kind: /** @type {const} */ ('action'), text: `${name} ${type.split('.')[1]}${reason ? ` (${reason})` : ''}` }];
  });
}

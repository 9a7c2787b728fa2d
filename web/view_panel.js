// @ts-check
/** The side panel: the timeline as it grows, and where the time of the last turn went. */
import { KeyedList, byId, make, setText } from './dom.js';
import { waterfall } from './latency.js';
import { FAMILIES } from './log.js';

/** @typedef {import('./log.js').Row} Row */

const NEAR_END_PX = 60;
const TARGET_MS = 350;

export class TimelineView {
  constructor() {
    this.box = byId('log', HTMLOListElement);
    this.count = byId('log-count', HTMLElement);
    this.list = new KeyedList(this.box, (/** @type {Row} */ row) => row.key, rowOf);
    this.pinned = true; // to the end, until the person scrolls away from it
    this.box.addEventListener('scroll', () => (this.pinned = this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight < NEAR_END_PX));
    new ResizeObserver(() => this.follow()).observe(this.box);
    byId('families', HTMLElement).append(...Object.entries(FAMILIES).map(([family, label]) => this.filter(family, label)));
  }

  /** @param {string} family @param {string} label */
  filter(family, label) {
    const button = make('button', { type: 'button', class: 'chip', 'aria-pressed': 'true', 'data-family': family }, [label]);
    button.addEventListener('click', () => {
      const on = button.getAttribute('aria-pressed') !== 'true';
      button.setAttribute('aria-pressed', String(on));
      this.box.classList.toggle(`hide-${family}`, !on);
    });
    return button;
  }

  follow() {
    if (this.pinned) this.box.scrollTop = this.box.scrollHeight;
  }

  /** @param {import('./log.js').Log} log */
  render(log) {
    this.list.render(log.rows);
    this.follow();
    if (log.count) setText(this.count, log.count > log.rows.length ? `The last ${log.rows.length} of ${log.count} events` : `${log.count} events`);
  }
}

/** @param {Row} row */
function rowOf(row) {
  const line = make('summary', {}, [
    make('time', {}, [(row.tMs / 1000).toFixed(3)]),
    make('span', { class: 'type' }, [row.type]),
    make('span', { class: 'what' }, [row.summary]),
  ]);
  const details = make('details', {}, [line]);
  details.addEventListener('toggle', () => {
    if (details.open && details.childElementCount === 1) details.append(make('pre', {}, [JSON.stringify(row.entry, null, 1)]));
  });
  return make('li', { 'data-family': row.family, 'data-type': row.type, 'data-seq': String(row.seq) }, [details]);
}

export class LatencyView {
  constructor() {
    this.total = byId('latency-total', HTMLElement);
    this.what = byId('latency-what', HTMLElement);
    this.turn = byId('latency-turn', HTMLElement);
    this.bars = byId('waterfall', HTMLOListElement);
    this.history = byId('history', HTMLOListElement);
  }

  /** @param {import('./latency.js').Latency} latency */
  render({ turns }) {
    const last = turns.at(-1);
    this.bars.replaceChildren();
    const totals = turns.slice(-12).map((turn) => waterfall(turn).totalMs);
    this.history.replaceChildren(...totals.map((ms) => past(ms, Math.max(TARGET_MS * 2, ...totals))));
    if (!last) return setText(this.total, '–');
    const { spans, totalMs } = waterfall(last);
    const heard = last.audible !== null;
    const from = last.speechEnd === null ? 'from your message' : 'from the end of your words';
    setText(this.total, last.marks.playback === undefined ? '…' : `${Math.round(totalMs)} ms`);
    setText(this.what, `${from} to the agent’s first sound${heard ? ' at your ear' : ' leaving it'}`);
    setText(this.turn, `“${last.text}”`);
    const scale = Math.max(TARGET_MS, totalMs, ...spans.map(({ to }) => to));
    this.bars.append(...spans.map((span) => bar(span, scale)));
  }
}

/** @param {import('./latency.js').Span} span @param {number} scale */
function bar({ id, label, from, to }, scale) {
  const fill = make('span', { class: `fill ${id}` });
  fill.style.insetInlineStart = `${(Math.max(0, from) / scale) * 100}%`;
  fill.style.inlineSize = `${Math.max(0.6, ((to - Math.max(0, from)) / scale) * 100)}%`;
  const ms = make('span', { class: 'ms' }, [`${Math.round(to - from)} ms`]);
  return make('li', { 'data-span': id }, [make('span', { class: 'label' }, [label]), ms, make('span', { class: 'track', 'aria-hidden': 'true' }, [fill])]);
}

/** @param {number} totalMs @param {number} scale */
function past(totalMs, scale) {
  const fill = make('span', { class: 'fill' });
  fill.style.blockSize = `${Math.max(4, (totalMs / scale) * 100)}%`;
  return make('li', {}, [make('span', { class: 'track', 'aria-hidden': 'true' }, [fill]), make('span', { class: 'ms' }, [`${Math.round(totalMs)}`])]);
}

// @ts-check
/** The page that plays a stored conversation back: at the speed at which it was, or event by event. */
import { KeyedList, byId, make, setText } from './dom.js';
import { Recording } from './recording.js';
import { Tape, lanesOf, momentsOf } from './tape.js';
import { FiguresView } from './view_figures.js';
import { LanesView } from './view_lanes.js';
import { LatencyView, TimelineView } from './view_panel.js';
import { TranscriptView } from './view_transcript.js';
import { serverError, unreachable } from './wire.js';

const SKIP_MS = 5_000;
const NO_SOUND = 'No audio was kept of this conversation: what you see is when each side sounded. The setting sessions.record keeps it.';

/** @typedef {import('./tape.js').Moment} Moment */

/** @param {string} id */
const button = (id) => byId(id, HTMLButtonElement);

/** Which conversation, and what opens it: the secrets stand behind the #, which no server sees, and not for long. */
function opened() {
  const session = new URLSearchParams(location.search).get('session') ?? '';
  const given = new URLSearchParams(location.hash.slice(1));
  const key = `voice-agent-replay ${session}`;
  let kept = new URLSearchParams();
  try {
    kept = new URLSearchParams(sessionStorage.getItem(key) ?? '');
    if (given.has('session_token')) sessionStorage.setItem(key, given.toString());
  } catch {
    // Storage is forbidden: the page works, until it is reloaded.
  }
  if (location.hash) history.replaceState(null, '', location.pathname + location.search);
  const held = given.has('session_token') ? given : kept;
  return { session, token: held.get('session_token') ?? '', serverToken: held.get('token') ?? '' };
}

/** @param {ReturnType<typeof opened>} who */
function reader({ token, serverToken }) {
  /** @type {Record<string, string>} */
  const headers = serverToken ? { 'Session-Token': token, Authorization: `Bearer ${serverToken}` } : { 'Session-Token': token };
  return async (/** @type {string} */ path) => {
    const response = await fetch(path, { headers, cache: 'no-store' }).catch(unreachable);
    if (!response.ok) throw await serverError(response);
    return response;
  };
}

class Replay {
  /** @param {Tape} tape */
  constructor(tape) {
    this.tape = tape;
    this.moments = momentsOf(tape.entries);
    this.lanes = new LanesView(tape, lanesOf(tape.entries), this.moments, (tMs) => this.seek(tMs));
    this.transcript = new TranscriptView();
    this.timeline = new TimelineView();
    this.latency = new LatencyView();
    this.figures = new FiguresView();
    this.happened = new KeyedList(byId('moments', HTMLOListElement), (/** @type {Moment} */ moment) => `${moment.index}`, (moment) => this.moment(moment));
    this.happened.render(this.moments);
    byId('no-moments', HTMLElement).hidden = this.moments.length > 0;
    /** @type {Recording | null} */
    this.recording = null;
    this.index = -1;
    this.atMs = tape.startMs;
    this.playing = false;
    this.since = { atMs: 0, clockMs: 0 };
    this.bind();
    this.seek(tape.startMs);
  }

  bind() {
    button('play').addEventListener('click', () => this.toggle());
    button('back').addEventListener('click', () => this.step(-1));
    button('forth').addEventListener('click', () => this.step(1));
    for (const [id, lane] of /** @type {const} */ ([['hear-user', 0], ['hear-agent', 1]])) {
      button(id).addEventListener('click', () => this.mute(button(id), lane));
    }
    document.addEventListener('keydown', (event) => this.key(event));
    const tabs = ['timeline', 'latency', 'moments'].map((name) => button(`tab-${name}`));
    tabs.forEach((tab, at) => {
      tab.addEventListener('click', () => select(tabs, tab));
      tab.addEventListener('keydown', (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!step) return;
        event.stopPropagation();
        const next = tabs[(at + step + tabs.length) % tabs.length];
        select(tabs, next);
        next.focus();
      });
    });
    button('open-panel').addEventListener('click', () => this.panel(true));
    button('close-panel').addEventListener('click', () => this.panel(false));
  }

  /** @param {boolean} open */
  panel(open) {
    document.body.classList.toggle('panel-open', open);
    button('open-panel').setAttribute('aria-expanded', String(open));
    button(open ? 'close-panel' : 'open-panel').focus();
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.code === 'Escape') return this.panel(false);
    if (event.code === 'Space' && event.target instanceof Element && event.target.closest('button, summary, a')) return;
    const known = /** @type {Record<string, () => void>} */ ({
      Space: () => this.toggle(),
      ArrowRight: () => (event.shiftKey ? this.seek(this.atMs + SKIP_MS) : this.step(1)),
      ArrowLeft: () => (event.shiftKey ? this.seek(this.atMs - SKIP_MS) : this.step(-1)),
      Home: () => this.seek(this.tape.startMs),
      End: () => this.seek(this.lanes.toMs),
    })[event.code];
    if (!known) return;
    event.preventDefault();
    known();
  }

  // ── where it is ────────────────────────────────────────────────────────────────────────

  /** @param {number} tMs */
  seek(tMs) {
    this.atMs = Math.max(this.tape.startMs, Math.min(this.lanes.toMs, tMs));
    this.show(this.tape.indexAt(this.atMs));
    if (this.playing) void this.run();
  }

  /** To the event before or behind. @param {number} by */
  step(by) {
    this.pause();
    const index = Math.max(1, Math.min(this.tape.length, this.index + by));
    this.atMs = this.tape.timeOf(index);
    this.show(index);
  }

  toggle() {
    if (this.playing) return this.pause();
    if (this.atMs >= this.lanes.toMs) this.seek(this.tape.startMs);
    this.playing = true;
    void this.run();
  }

  pause() {
    this.playing = false;
    this.recording?.stop();
    setText(button('play'), 'Play');
  }

  async run() {
    setText(button('play'), 'Pause');
    const atMs = this.atMs;
    await this.recording?.play(atMs);
    if (!this.playing) return this.recording?.stop();
    const since = { atMs, clockMs: performance.now() };
    this.since = since;
    const tick = () => {
      if (!this.playing || this.since !== since) return;
      this.atMs = Math.min(this.lanes.toMs, since.atMs + performance.now() - since.clockMs);
      this.show(this.tape.indexAt(this.atMs));
      if (this.atMs >= this.lanes.toMs) return this.pause();
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }

  // ── what is shown ──────────────────────────────────────────────────────────────────────

  /** @param {number} index */
  show(index) {
    this.lanes.show(this.atMs);
    setText(byId('time', HTMLElement), `${seconds(this.atMs)} of ${seconds(this.lanes.toMs)}`);
    if (index === this.index) return;
    this.index = index;
    const state = this.tape.stateAt(index);
    this.transcript.render(state.transcript.items, false);
    this.timeline.render(state.log);
    this.latency.render(state.latency);
    this.figures.render(state.figures);
    const row = state.log.rows.at(-1);
    setText(byId('event', HTMLElement), row ? `${row.type} ${row.summary}` : 'Nothing has happened yet.');
    setText(byId('count', HTMLElement), `${index} of ${this.tape.length}`);
    for (const item of byId('moments', HTMLElement).querySelectorAll('li')) item.classList.toggle('past', Number(item.dataset.index) <= index);
  }

  /** @param {Moment} moment */
  moment({ index, atMs, kind, text }) {
    const go = make('button', { type: 'button', class: 'quiet' }, [make('time', {}, [(atMs / 1000).toFixed(3)]), make('span', {}, [text])]);
    go.addEventListener('click', () => {
      this.pause();
      this.atMs = this.tape.timeOf(index);
      this.show(index);
    });
    return make('li', { 'data-kind': kind, 'data-index': String(index) }, [go]);
  }

  // ── sound ──────────────────────────────────────────────────────────────────────────────

  /** @param {Recording} recording */
  hear(recording) {
    this.recording = recording;
    this.lanes.hear(recording);
    byId('ears', HTMLElement).hidden = false;
    this.seek(this.atMs);
  }

  /** @param {HTMLButtonElement} toggle @param {number} lane */
  mute(toggle, lane) {
    const on = toggle.getAttribute('aria-pressed') !== 'true';
    toggle.setAttribute('aria-pressed', String(on));
    this.recording?.mute(lane, !on);
  }
}

/** @param {number} ms */
const seconds = (ms) => `${(ms / 1000).toFixed(1)} s`;

/** @param {HTMLButtonElement[]} tabs @param {HTMLButtonElement} chosen */
function select(tabs, chosen) {
  for (const tab of tabs) {
    const on = tab === chosen;
    tab.setAttribute('aria-selected', String(on));
    tab.tabIndex = on ? 0 : -1;
    byId(tab.getAttribute('aria-controls') ?? '', HTMLElement).hidden = !on;
  }
}

/** @param {string} text @param {boolean} [bad] */
function say(text, bad = false) {
  const note = byId('sound', HTMLElement);
  note.classList.toggle('bad', bad);
  note.hidden = text === '';
  setText(note, text);
}

async function begin() {
  const who = opened();
  if (!who.session || !who.token) throw new Error('This page needs a link of a conversation: open it from the Timeline of a call, or print one with: voice-agent sessions link ID');
  const read = reader(who);
  const { entries, audio } = await (await read(`sessions/${encodeURIComponent(who.session)}/recorded`)).json();
  const tape = new Tape(entries.map((/** @type {any} */ entry) => ({ rtp_timestamp: null, ...entry })));
  setText(byId('session', HTMLElement), `${who.session.slice(0, 8)} · ${new Date(entries[0].ts).toLocaleString('en-GB', { dateStyle: 'medium', timeStyle: 'short' })}`);
  const replay = new Replay(tape);
  document.documentElement.dataset.phase = 'connected';
  if (!audio.length) return say(NO_SOUND);
  say('Loading the audio …');
  await Recording.load(audio, async (path) => (await read(path)).arrayBuffer()).then(
    (recording) => {
      replay.hear(recording);
      say('');
    },
    (error) => say(`The audio cannot be played: ${error.message}`, true),
  );
}

begin().catch((error) => say(error.message, true));

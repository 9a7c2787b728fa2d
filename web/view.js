// @ts-check
/** The page as DOM: draws the state, and tells the handlers what the person does. */
import { byId, KeyedList, make, setText } from './dom.js';
import { Orb } from './orb.js';
import { modeOf, statusText } from './state.js';
import { FiguresView } from './view_figures.js';
import { LatencyView, TimelineView } from './view_panel.js';
import { ProposalView } from './view_proposal.js';
import { DevicesView } from './view_devices.js';
import { EarlierView } from './view_earlier.js';
import { LinkView } from './view_link.js';
import { SettingsView } from './view_settings.js';
import { TranscriptView } from './view_transcript.js';

/** @typedef {import('./state.js').State} State */
/** @typedef {import('./state.js').Notice} Notice */

/**
 * @typedef {object} Handlers
 * @property {(withMicrophone: boolean) => void} connect
 * @property {() => void} hangUp
 * @property {(pressed: boolean) => void} talk
 * @property {() => void} done
 * @property {(actionId: string, accept: boolean) => void} confirm the card of a proposed action
 * @property {() => void} focus talk and listen on this device
 * @property {() => Promise<import('./view_link.js').Link>} link to this conversation, for another device
 * @property {import('./view_earlier.js').Handlers} earlier conversations
 * @property {() => void} stop
 * @property {() => void} mute
 * @property {(text: string) => void} say
 * @property {(notice: Notice) => void} act a notice's button
 * @property {(id: string) => void} dismiss a notice
 * @property {(deviceId: string) => void} microphone
 * @property {(deviceId: string) => void} speaker
 * @property {(key: string, value: number | boolean) => void} change a setting
 * @property {() => void} save
 * @property {() => void} forget all that was said
 */

const MODE_WORDS = { off: 'Ready', connecting: 'Connecting', listening: 'Listening', thinking: 'Thinking', speaking: 'Speaking', interrupted: 'Interrupted' };
const TRANSPORT_WORDS = { webrtc: 'Connected', websocket: 'Connected without WebRTC', '': 'Connected' };
const ACTION_WORDS = /** @type {Record<string, string>} */ ({ microphone: 'Try again', reconnect: 'Reconnect', sound: 'Enable sound' });
const FORGET = 'Erase all that was said in this conversation, on every device? It cannot be undone. Notes, lists and timers stay.';
const METER_FLOOR_DB = -60;

/** @param {string} id */
const button = (id) => byId(id, HTMLButtonElement);

export class View {
  /** @param {Handlers} handlers */
  constructor(handlers) {
    this.handlers = handlers;
    this.orb = new Orb(byId('orb', HTMLCanvasElement));
    this.transcript = new TranscriptView();
    this.proposal = new ProposalView((actionId, accept) => handlers.confirm(actionId, accept));
    this.devicesHere = new DevicesView(() => handlers.focus());
    this.link = new LinkView(handlers.link);
    this.earlier = new EarlierView(handlers.earlier);
    this.timeline = new TimelineView();
    this.latency = new LatencyView();
    this.figures = new FiguresView();
    this.settings = new SettingsView(handlers.change, handlers.save);
    this.notices = new KeyedList(byId('notices', HTMLElement), (/** @type {Notice} */ notice) => notice.id, (notice) => this.notice(notice));
    this.text = byId('text', HTMLInputElement);
    this.meter = byId('meter', HTMLElement);
    this.meterFill = byId('meter-fill', HTMLElement);
    this.meterTick = byId('meter-tick', HTMLElement);
    this.panel = byId('panel', HTMLElement);
    /** @type {State | null} */
    this.last = null;
    this.bindCall();
    this.bindTalk();
    this.bindPanel();
  }

  // ── what the person does ───────────────────────────────────────────────────────────────

  bindCall() {
    const { handlers } = this;
    button('connect').addEventListener('click', () => handlers.connect(true));
    button('connect-typing').addEventListener('click', () => handlers.connect(false));
    button('hangup').addEventListener('click', () => handlers.hangUp());
    button('done').addEventListener('click', () => handlers.done());
    button('stop').addEventListener('click', () => handlers.stop());
    button('mute').addEventListener('click', () => handlers.mute());
    button('forget').addEventListener('click', () => confirm(FORGET) && handlers.forget());
    byId('composer', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault();
      const text = this.text.value.trim();
      if (text) handlers.say(text);
      this.text.value = '';
    });
    byId('examples', HTMLElement).addEventListener('click', (event) => {
      if (event.target instanceof HTMLButtonElement) handlers.say(event.target.textContent ?? '');
    });
    for (const [id, pick] of /** @type {const} */ ([['microphones', handlers.microphone], ['speakers', handlers.speaker]])) {
      const select = byId(id, HTMLSelectElement);
      select.addEventListener('change', () => pick(select.value));
    }
  }

  bindTalk() {
    const talk = button('talk');
    const press = (/** @type {boolean} */ down) => !talk.disabled && this.handlers.talk(down);
    talk.addEventListener('pointerdown', (event) => {
      if (event.button !== 0) return;
      talk.setPointerCapture(event.pointerId);
      press(true);
    });
    talk.addEventListener('pointerup', () => press(false));
    talk.addEventListener('pointercancel', () => press(false));
    talk.addEventListener('contextmenu', (event) => event.preventDefault()); // a long touch
    talk.addEventListener('click', (event) => {
      if (event.detail !== 0) return; // a pointer's click; what is left comes from assistive technology or Enter
      press(true);
      press(false);
    });
    document.addEventListener('keydown', (event) => this.key(event, press));
    document.addEventListener('keyup', (event) => {
      if (event.code === 'Space' && spaceTalks(event.target)) press(false);
    });
    window.addEventListener('blur', () => press(false));
  }

  /** @param {KeyboardEvent} event @param {(down: boolean) => unknown} press */
  key(event, press) {
    if (event.code === 'Escape') {
      if (document.body.classList.contains('panel-open')) return this.openPanel(false);
      return this.handlers.stop();
    }
    if (event.code !== 'Space' || !spaceTalks(event.target) || button('talk').disabled) return;
    event.preventDefault();
    if (!event.repeat) press(true);
  }

  bindPanel() {
    button('open-panel').addEventListener('click', () => this.openPanel(true));
    button('close-panel').addEventListener('click', () => this.openPanel(false));
    const tabs = ['timeline', 'latency', 'settings'].map((name) => button(`tab-${name}`));
    tabs.forEach((tab, at) => {
      tab.addEventListener('click', () => selectTab(tabs, tab));
      tab.addEventListener('keydown', (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!step) return;
        const next = tabs[(at + step + tabs.length) % tabs.length];
        selectTab(tabs, next);
        next.focus();
      });
    });
  }

  /** On a narrow screen the panel covers the page. @param {boolean} open */
  openPanel(open) {
    document.body.classList.toggle('panel-open', open);
    button('open-panel').setAttribute('aria-expanded', String(open));
    button(open ? 'close-panel' : 'open-panel').focus();
  }

  // ── what the person sees ───────────────────────────────────────────────────────────────

  /** @param {State} state */
  render(state) {
    const { last } = this;
    const connected = state.connection.phase === 'connected';
    this.renderState(state, connected);
    if (state.transcript !== last?.transcript || state.connection !== last?.connection) this.transcript.render(state.transcript.items, connected);
    if (state.proposal !== last?.proposal || state.scopes !== last?.scopes) this.proposal.render(state.proposal, state.scopes.includes('confirm'));
    if (state.presence !== last?.presence || state.deviceId !== last?.deviceId || state.connection !== last?.connection) this.devicesHere.render(state.presence, state.deviceId, connected);
    if (state.connection !== last?.connection) this.link.render(connected);
    if (state.log !== last?.log) this.timeline.render(state.log);
    if (state.latency !== last?.latency) this.latency.render(state.latency);
    if (state.figures !== last?.figures) this.figures.render(state.figures);
    if (state.settings !== last?.settings || state.unsaved !== last?.unsaved) this.settings.render(state.settings, state.unsaved);
    if (state.notices !== last?.notices) this.notices.render(state.notices);
    this.last = state;
  }

  /** @param {State} state @param {boolean} connected */
  renderState(state, connected) {
    const { phase, transport } = state.connection;
    const mode = modeOf(state);
    const { dataset } = document.documentElement;
    dataset.phase = phase;
    dataset.mode = mode;
    this.orb.show(mode);
    dataset.mic = state.microphone.state;
    dataset.may = state.scopes.join(' ');
    setText(byId('mode', HTMLElement), modeWord(state));
    setText(byId('status', HTMLElement), statusText(state));
    setText(byId('connection', HTMLElement), connected ? TRANSPORT_WORDS[transport] : '');
    setText(button('connect'), phase === 'ended' || phase === 'failed' ? 'Reconnect' : 'Start talking');
    for (const id of ['connect', 'connect-typing']) button(id).disabled = phase === 'connecting';
    for (const id of ['done', 'stop', 'send', 'forget']) button(id).disabled = !connected;
    this.text.disabled = !connected;
    byId('transcript', HTMLElement).setAttribute('aria-live', state.soundBlocked ? 'polite' : 'off');
    this.renderMicrophone(state, connected && state.microphone.state === 'on');
  }

  /** @param {State} state @param {boolean} usable */
  renderMicrophone(state, usable) {
    const talk = button('talk');
    talk.disabled = !usable;
    talk.setAttribute('aria-pressed', String(state.talking));
    setText(byId('talk-label', HTMLElement), state.talking ? 'Talking…' : 'Hold to talk');
    const mute = button('mute');
    mute.disabled = state.connection.phase !== 'connected';
    mute.setAttribute('aria-pressed', String(usable && state.muted));
    setText(mute, usable ? (state.muted ? 'Unmute' : 'Mute') : 'Use mic');
    this.meter.classList.toggle('idle', !usable || (state.muted && !state.talking));
  }

  /** @param {{micDb: number, remoteDb: number, thresholdDb: number}} levels */
  levels({ micDb, remoteDb, thresholdDb }) {
    const part = (/** @type {number} */ db) => Math.max(0, Math.min(1, 1 - db / METER_FLOOR_DB));
    this.orb.hear(micDb, remoteDb);
    this.meterFill.style.transform = `scaleX(${part(micDb).toFixed(2)})`; // what has not changed is not painted anew
    this.meterTick.style.insetInlineStart = `${(part(thresholdDb) * 100).toFixed(0)}%`;
    this.meter.setAttribute('aria-valuenow', String(Math.round(Math.max(METER_FLOOR_DB, Math.min(0, micDb)))));
  }

  /** @param {Notice} notice */
  notice(notice) {
    const node = make('div', { class: `notice ${notice.level}`, 'data-notice': notice.id }, [make('p', {}, [notice.text])]);
    if (notice.action) {
      const act = make('button', { type: 'button' }, [ACTION_WORDS[notice.action] ?? notice.action]);
      act.addEventListener('click', () => this.handlers.act(notice));
      node.append(act);
    }
    const close = make('button', { type: 'button', class: 'quiet', 'aria-label': 'Dismiss this message' }, ['×']);
    close.addEventListener('click', () => this.handlers.dismiss(notice.id));
    node.append(close);
    return node;
  }

  /** @param {import('./server.js').Config} config */
  about(config) {
    byId('english', HTMLElement).hidden = config.english_only !== true;
    const engines = Object.entries(config.engines ?? {}).map(([port, engine]) => `${port} ${engine}`);
    setText(byId('engines', HTMLElement), [config.version ? `Version ${config.version}` : '', ...engines].filter(Boolean).join(' · '));
  }

  /** @param {string} href where this conversation is played back */
  replay(href) {
    const link = byId('replay', HTMLAnchorElement);
    link.href = href;
    link.hidden = false;
  }

  /** @param {string} text */
  saved(text) {
    setText(byId('save-state', HTMLElement), text);
  }

  /** @param {MediaDeviceInfo[]} inputs @param {MediaDeviceInfo[]} outputs @param {boolean} canChooseSpeaker */
  devices(inputs, outputs, canChooseSpeaker) {
    fill(byId('microphones', HTMLSelectElement), inputs, 'Microphone');
    fill(byId('speakers', HTMLSelectElement), outputs, 'Loudspeaker');
    byId('speaker-field', HTMLElement).hidden = !canChooseSpeaker;
    byId('speaker-none', HTMLElement).hidden = canChooseSpeaker;
  }
}

/** @param {State} state */
function modeWord(state) {
  const { phase } = state.connection;
  if (phase === 'ended' || phase === 'failed') return 'Not connected';
  const mode = modeOf(state);
  return mode === 'listening' && state.microphone.state !== 'on' ? 'Ready' : MODE_WORDS[mode];
}

/** Where the space bar already means something, it keeps that meaning. @param {EventTarget | null} target */
function spaceTalks(target) {
  return !(target instanceof Element) || target.id === 'talk' || !target.closest('input, textarea, select, button, summary, a, [contenteditable]');
}

/** @param {HTMLButtonElement[]} tabs @param {HTMLButtonElement} chosen */
function selectTab(tabs, chosen) {
  for (const tab of tabs) {
    const on = tab === chosen;
    tab.setAttribute('aria-selected', String(on));
    tab.tabIndex = on ? 0 : -1;
    byId(tab.getAttribute('aria-controls') ?? '', HTMLElement).hidden = !on;
  }
}

/** @param {HTMLSelectElement} select @param {MediaDeviceInfo[]} devices @param {string} word */
function fill(select, devices, word) {
  const chosen = select.value;
  const options = devices.map(({ deviceId, label }, at) => new Option(label || `${word} ${at + 1}`, deviceId));
  select.replaceChildren(new Option('System default', ''), ...options);
  select.value = devices.some(({ deviceId }) => deviceId === chosen) ? chosen : '';
}

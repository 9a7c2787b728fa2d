// @ts-check
/**
 * The page, put together: state, view, audio, call.
 *
 * For tests and for the console there is `window.voiceAgent`:
 *   state()          the whole state, as state.js describes it; mode() its one word
 *   send(type, payload)  a command on the open call; the command sent, or null
 *   connect(withMicrophone), hangUp()
 *   gateEvents       [{type: 'closed', byVoice, onsetAt, closedAt} | {type: 'opened', at}], AudioContext seconds
 *   levels()         the gate's last levels, in dBFS
 *   audio()          {context, gate, microphone, remote}: the nodes, or null before the first call
 */
import { AudioGraph } from './audio.js';
import { BargeIn } from './barge_in.js';
import { Lag } from './lag.js';
import { Membership, tabStorage } from './membership.js';
import { MicrophoneKeeper, listDevices } from './microphone.js';
import { placed } from './placing.js';
import { Reconnector } from './reconnect.js';
import { Server, settingsOf } from './server.js';
import { Call } from './session.js';
import { scopesOf, watchingText } from './scopes.js';
import { initialState, local, modeOf, reduce } from './state.js';
import { Talk } from './talk.js';
import { PERSONAL } from './transcript.js';
import { View } from './view.js';
import { withNeighbours } from './view_settings.js';
import { keepAwake } from './wakelock.js';
import { ServerError } from './wire.js';
import { begunAnew, goodbye, sentence } from './wording.js';

const TICK_MS = 100;
const SETTINGS_EVERY_MS = 150;
const GATE_EVENTS = 200;
/** What waits on its way into the audio graph: the browser's jitter buffer, or that of pcm.js. */
const BUFFER_MS = { '': 0, webrtc: 40, websocket: 80 };
const NOTICE_MS = 10_000;

const params = new URLSearchParams(location.search);
const server = new Server(document.baseURI, params.get('token') ?? '');
const membership = new Membership(tabStorage());
server.wish = () => membership.wish(state, soundHere());
const barge = new BargeIn();
const talk = new Talk();
const microphone = new MicrophoneKeeper(tellMicrophone);
const reconnector = new Reconnector({ attempt: reconnect, waiting: tellWaiting, gaveUp: () => void end('failed', 'The agent stayed away.') });

let state = initialState();
/** @type {Call | null} */
let call = null;
/** @type {AudioGraph | null} */
let audio = null;
/** @type {Extract<import('./audio.js').GateMessage, {type: 'levels'}> | null} */
let levels = null;
/** @type {(Record<string, any> & {type: string})[]} */
const gateEvents = [];
/** Session time minus the page's clock, at least; the fastest message comes closest. */
let clockOffsetMs = -Infinity;
/** Counts the calls that were left, so that one still being placed then knows that it is not wanted any more. */
let left = 0;
let lag = new Lag(0);
let drawing = 0;
/** Why the agent does not take the conversation up, if it says so. */
let held = '';
let speakerId = '';

// ── state and view ───────────────────────────────────────────────────────────────────────

/** @param {import('./state.js').Action} action */
function dispatch(action) {
  state = reduce(state, action);
  if (!drawing) drawing = window.setTimeout(draw, document.hidden ? 500 : 16);
}

function draw() {
  drawing = 0;
  view.render(state);
}

/** What is only said goes by itself; what is wrong, or can be mended, stays.
 * @param {string} id @param {string} text @param {string} [action] @param {'info' | 'error'} [level] */
function notify(id, text, action = '', level = 'error') {
  dispatch(local('notice', { id, text, action, level }));
  if (level === 'info' && !action) window.setTimeout(() => denotify(id), NOTICE_MS);
}
/** @param {string} id */
const denotify = (id) => dispatch(local('notice.closed', { id }));
const phase = () => state.connection.phase;
/** @param {unknown} error */
const messageOf = (error) => (error instanceof Error ? error.message : String(error));

const view = new View({
  connect,
  hangUp: () => hangUp('You hung up.'),
  talk: pressTalk,
  done: () => call?.send('control.done'),
  confirm: (action_id, accept) => call?.send('control.confirm', { action_id, accept }),
  link: () => server.link(membership.kept.sessionId, membership.kept.token),
  earlier: { ask: () => server.earlier(), replay: (one) => server.replay(one.session_id, one.token),
    resume: ({ token }) => void (membership.join(token), dispatch(local('snapshot')), connect(true)) },
  focus: () => call?.send('control.focus'),
  stop,
  mute: () => (state.microphone.state === 'on' ? setMuted(!state.muted) : void openMicrophone(microphone.deviceId)),
  say: (text) => call?.send('text.input', { text }) ?? notify('send', 'The message was not sent: the call is not open.', 'reconnect'),
  act: (notice) => {
    denotify(notice.id);
    if (notice.action === 'microphone') void openMicrophone(microphone.deviceId);
    if (notice.action === 'sound') void audio?.resume();
    if (notice.action === 'reconnect') connect(true);
  },
  dismiss: denotify,
  microphone: (deviceId) => void openMicrophone(deviceId),
  speaker: (deviceId) => void setSpeaker(deviceId),
  change: changeSetting,
  save: () => void saveSettings(),
  forget: () => call?.send('session.forget'),
});

// ── the call ─────────────────────────────────────────────────────────────────────────────

/** @param {boolean} withMicrophone */
async function connect(withMicrophone) {
  if (reconnector.active) return reconnector.now();
  if (phase() === 'connecting' || phase() === 'connected') return;
  dispatch(local('connection', { phase: 'connecting', transport: '' }));
  denotify('send');
  const before = left;
  try {
    await place(withMicrophone);
  } catch (error) {
    if (left === before) await end('failed', messageOf(error));
  }
}

/** @param {boolean} withMicrophone */
async function place(withMicrophone) {
  const refusal = await placed(membership, () => placeOnce(withMicrophone));
  if (refusal) notify('agent', begunAnew(refusal));
}

/** The audio context is made first, while the gesture still counts; a call that was lost leaves its own, and the microphone.
 * @param {boolean} withMicrophone */
async function placeOnce(withMicrophone) {
  const graph = audio ?? new AudioGraph({ gate: fromGate, blocked: setBlocked });
  audio = graph;
  const settings = await loadConfig();
  await graph.start(gateOptions());
  if (speakerId) await graph.setSpeaker(speakerId).catch(() => undefined);
  if (withMicrophone && audio === graph) await microphone.open(microphone.deviceId);
  membership.keep({ microphone: withMicrophone || membership.kept.microphone });
  if (audio !== graph) return;
  graph.setMicrophone(microphone.stream);
  const placed = new Call(server, settings, {
    entry: receive,
    hello: (told) => hello(told, settings),
    token: (token) => {
      membership.keep({ token });
      linkReplay();
    },
    goodbye: (reason, again) => (again ? lost(`${sentence(reason)} The conversation goes on when it is back.`) : void end('ended', goodbye(reason))),
    error: (_code, message) => notify('agent', message),
    remote: (stream) => graph.playStream(stream),
    pcm: (rate) => {
      graph.capturePcm((pcm) => placed.sendAudio(pcm));
      return graph.playPcm(rate);
    },
    trying: (message) => dispatch(local('connection', { phase: 'connecting', message })),
    silent: (silent) => dispatch(local('connection', { message: silent ? 'The agent does not answer. Waiting for it…' : '' })),
    lost,
  });
  call = placed;
  if (membership.kept.sessionId === state.sessionId) placed.seenSeq = state.seq;
  clockOffsetMs = -Infinity;
  const why = await placed.connect(microphone.track);
  if (call !== placed) return placed.close();
  dispatch(local('connection', { phase: 'connected', transport: placed.transport }));
  lag = new Lag(BUFFER_MS[placed.transport]);
  announce();
  if (why) notify('transport', `${why} The call runs over a WebSocket instead; answers can be a little slower.`, '', 'info');
  keepAwake(true);
  await showDevices();
}

async function loadConfig() {
  const config = await server.config();
  if (!membership.waits || membership.kept.sessionId !== state.sessionId) dispatch(local('settings.loaded', { settings: settingsOf(config) }));
  view.about(config);
  return config;
}

/** What of sound this device has. */
function soundHere() {
  const speaker = audio?.context.state === 'running';
  if (microphone.track === null) return speaker ? 'speaker' : 'none';
  return speaker ? 'both' : 'microphone';
}

/** Who this device is; again when its microphone comes or goes. */
function announce() {
  if (!call) return;
  const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
  call.send('device.joined', { time_zone: timeZone ?? '', locale: navigator.language, microphone: microphone.track !== null,
    speaker: audio?.context.state === 'running', output_latency_ms: (audio?.outputLatencyMs ?? 0) + lag.ms });
}

/** Which conversation this is. @param {Record<string, any>} told @param {import('./server.js').Config} config */
function hello(told, config) {
  const scopes = scopesOf(told);
  dispatch(local('device', { id: String(told.device_id || membership.kept.deviceId), scopes }));
  if (membership.take(told)) {
    if (told.session_id === state.sessionId) dispatch(local('snapshot'));
    dispatch(local('settings.loaded', { settings: settingsOf(config) }));
    audio?.tell({ type: 'configure', options: gateOptions() });
  }
  linkReplay();
  if (told.resume === 'snapshot') notify('agent', `${sentence(told.reason)} This is what is left.`);
  if (told.resume === 'failed') notify('agent', `${sentence(told.reason)} This is a new one.`);
  if (!watchingText(scopes)) return;
  notify('watching', watchingText(scopes), '', 'info');
  microphone.close(); // nobody would hear it
  membership.keep({ microphone: false });
}

const linkReplay = () => view.replay(server.replay(membership.kept.sessionId, membership.kept.token));

/** The connection is gone, the person is not. @param {string} message */
function lost(message) {
  leave();
  dispatch(local('lost'));
  dispatch(local('connection', { phase: 'connecting', transport: '', message: `${message} Trying again…` }));
  reconnector.start();
}

/** @returns {Promise<'done' | 'again' | 'stop'>} */
async function reconnect() {
  dispatch(local('connection', { phase: 'connecting', message: 'The connection was lost. Calling the agent again…' }));
  const before = left;
  try {
    await place(false);
    return 'done';
  } catch (error) {
    if (left !== before) return 'stop';
    leave();
    held = error instanceof ServerError && ['session.held', 'session.rests'].includes(error.code) ? sentence(error.message) : '';
    if (!(error instanceof ServerError) || error.status === 0 || error.status === 429 || error.status >= 500) return 'again';
    await end('failed', messageOf(error));
    return 'stop';
  }
}

/** @param {number} ms */
function tellWaiting(ms) {
  if (ms < 1_000) return;
  dispatch(local('connection', { phase: 'connecting', message: `${held || 'The agent does not answer.'} Trying again in ${Math.round(ms / 1000)} s…` }));
}

/** @param {boolean} [forGood] the conversation is over */
function leave(forGood = false) {
  left += 1;
  call?.close(forGood);
  if (forGood) membership.forget();
  call = null;
  talk.reset();
  microphone.enable(!state.muted);
  obey(barge.reset());
}

/** @param {'ended' | 'failed'} phase @param {string} message @param {boolean} [forGood] */
async function end(phase, message, forGood = false) {
  reconnector.stop();
  leave(forGood);
  membership.reread();
  keepAwake(false);
  microphone.close();
  const graph = audio;
  audio = null;
  levels = null;
  dispatch(local('connection', { phase, transport: '', message }));
  dispatch(local('sound', { blocked: false }));
  for (const id of ['sound', 'transport']) denotify(id);
  view.levels({ micDb: -120, remoteDb: -120, thresholdDb: -120 });
  await graph?.stop();
}

/** @param {string} message */
const hangUp = (message) => void end('ended', message, true);

/** @param {import('./wire.js').Entry} entry */
function receive(entry) {
  clockOffsetMs = Math.max(clockOffsetMs, entry.t_ms - performance.now());
  dispatch({ kind: 'entry', entry });
  obey(barge.entry(entry, performance.now()));
  if (call && entry.type === 'playback.mark' && entry.rtp_timestamp !== null && lag.measure(call.untilS(entry.rtp_timestamp) * 1000)) announce();
  if (entry.type === 'device.focused' && entry.payload.device_id !== state.deviceId) obey(barge.stop(performance.now())); // it goes on there
  if (entry.type === 'core.error' && call?.sent.has(entry.parent_event_id)) told(entry.payload);
  if (entry.type === 'settings.changed') audio?.tell({ type: 'configure', options: gateOptions() });
  if (entry.type === 'session.closed') void end('ended', goodbye(entry.payload.reason), true);
}

/** What this page asked for was not done as it was meant: another device was first. @param {Record<string, any>} complaint */
function told({ code, message }) {
  if (!PERSONAL.has(code)) return;
  notify('told', sentence(message), '', 'info');
  if (code !== 'talk.held') return;
  talk.reset();
  dispatch(local('talking', { on: false }));
  microphone.enable(!state.muted);
}

// ── the gate ─────────────────────────────────────────────────────────────────────────────

/** @param {import('./audio.js').GateMessage} message */
function fromGate(message) {
  if (message.type === 'levels') {
    levels = message;
    view.levels(message);
  } else if (message.type === 'remote') {
    if (message.on && audio && clockOffsetMs > -Infinity) dispatch(local('audible', { t_ms: audio.heardAtMs(message.at) + clockOffsetMs }));
  } else {
    gateEvents.push(message);
    if (gateEvents.length > GATE_EVENTS) gateEvents.shift();
    if (message.type === 'closed' && message.byVoice) obey(barge.closed(performance.now()));
    dispatch(local('gate', { closed: message.type === 'closed' }));
  }
}

/** How long ago the gate closed. */
function sinceCutS() {
  const last = gateEvents.at(-1);
  return last?.type === 'closed' && audio ? Math.max(0, audio.context.currentTime - last.closedAt) : 0;
}

/** @param {boolean} undo */
function tellCut(undo) {
  const named = barge.cutReply ? { reply_id: barge.cutReply } : {};
  const sent = call?.send('device.cut', { undo, ...named, ...(undo ? {} : call.played(sinceCutS())) });
  if (!undo) barge.told(sent?.event_id ?? '');
}

/** @param {import('./barge_in.js').Order[]} orders */
function obey(orders) {
  for (const order of orders) {
    if (order.to === 'agent') tellCut(order.undo);
    else if (order.type === 'open' || order.type === 'drain') audio?.tell({ ...order, afterS: order.now ? 0 : call?.untilS(order.rtp) ?? 0 });
    else audio?.tell(order);
  }
}

function stop() {
  if (!call || !state.scopes.includes('talk')) return;
  obey(barge.stop(performance.now()));
  const sent = call.send('control.stop', { ...(state.playingReply ? { reply_id: state.playingReply } : {}), ...call.played() });
  barge.told(sent?.event_id ?? '');
}

/** @param {boolean} pressed */
function pressTalk(pressed) {
  const before = talk.on;
  const on = pressed ? talk.press(performance.now()) : talk.release(performance.now());
  if (on === before) return;
  if (on) obey(barge.stop(performance.now()));
  dispatch(local('talking', { on }));
  microphone.enable(on || !state.muted);
  const sent = call?.send('control.talk', { on });
  if (on) barge.told(sent?.event_id ?? '');
}

/** @param {boolean} on */
function setMuted(on) {
  dispatch(local('muted', { on }));
  microphone.enable(!on || talk.on);
}

// ── devices ──────────────────────────────────────────────────────────────────────────────

/** What became of the microphone; also in mid-call, when it is unplugged.
 * @param {import('./state.js').Microphone} now */
function tellMicrophone(now) {
  dispatch(local('microphone', now));
  if (now.message) notify('microphone', now.message, now.state === 'on' ? '' : 'microphone', now.state === 'on' ? 'info' : 'error');
  else denotify('microphone');
  microphone.enable(!state.muted || talk.on);
  audio?.setMicrophone(microphone.stream);
  if (phase() !== 'connected') return;
  void call?.setTrack(microphone.track);
  announce();
  void showDevices();
}

/** @param {string} deviceId '' for the default */
async function openMicrophone(deviceId) {
  microphone.deviceId = deviceId;
  if (phase() === 'connected') await microphone.open(deviceId);
}

/** @param {string} deviceId '' for the default */
async function setSpeaker(deviceId) {
  speakerId = deviceId;
  try {
    await audio?.setSpeaker(deviceId);
  } catch (error) {
    notify('speaker', `That loudspeaker cannot be used: ${messageOf(error)}`);
  }
}

async function showDevices() {
  const { inputs, outputs } = await listDevices();
  view.devices(inputs, outputs, audio?.canChooseSpeaker === true && outputs.length > 0);
}

/** @param {boolean} blocked */
function setBlocked(blocked) {
  if (blocked === state.soundBlocked) return;
  dispatch(local('sound', { blocked }));
  if (blocked) notify('sound', 'The page is silent until you tap it. If it stays so, connect a loudspeaker or headphones.', 'sound', 'info');
  else denotify('sound');
  if (phase() === 'connected') announce(); // nothing is said to a device that is silent
}

// ── settings ─────────────────────────────────────────────────────────────────────────────

/** @type {import('./state.js').Values} */
let unsent = {};
let sending = 0;

/** @param {string} key @param {number | boolean} value */
function changeSetting(key, value) {
  const changes = withNeighbours(state.settings, key, value);
  dispatch(local('settings.edited', { changes }));
  if (key.startsWith('browser.')) return audio?.tell({ type: 'configure', options: gateOptions() });
  unsent = { ...unsent, ...changes };
  if (!sending) sending = window.setTimeout(sendSettings, SETTINGS_EVERY_MS);
}

function sendSettings() {
  sending = 0;
  call?.send('settings.changed', { changes: unsent });
  unsent = {};
}

async function saveSettings() {
  try {
    await server.save(state.unsaved);
    dispatch(local('settings.saved'));
    view.saved('Saved. The agent starts with these from now on.');
  } catch (error) {
    view.saved(`Not saved: ${messageOf(error)}`);
  }
}

function gateOptions() {
  const entries = Object.entries(state.settings).filter(([key]) => key.startsWith('browser.'));
  return Object.fromEntries(entries.map(([key, value]) => [key.slice('browser.'.length), value]));
}

// ── the page ─────────────────────────────────────────────────────────────────────────────

window.setInterval(() => obey(barge.tick(performance.now())), TICK_MS);
window.addEventListener('pagehide', () => audio && void end('ended', 'You left the page.'));
for (const gesture of ['pointerdown', 'keydown']) {
  document.addEventListener(gesture, () => state.soundBlocked && void audio?.resume());
}
document.addEventListener('visibilitychange', () => {
  if (document.hidden) return;
  reconnector.now();
  void audio?.resume();
});
window.addEventListener('online', () => (call ? call.networkIsBack() : reconnector.now()));
navigator.mediaDevices?.addEventListener('devicechange', () => {
  void showDevices();
  if (phase() === 'connected') void microphone.devicesChanged();
});

Object.assign(window, { voiceAgent: {
  state: () => state,
  mode: () => modeOf(state),
  send: (/** @type {string} */ type, /** @type {Record<string, any>} */ payload = {}) => call?.send(type, payload) ?? null,
  connect,
  hangUp: () => hangUp('You hung up.'),
  gateEvents,
  levels: () => levels,
  audio: () => audio && { context: audio.context, gate: audio.gate, microphone: audio.microphone, remote: audio.remote },
} });

document.getElementById('unloaded')?.remove();
const invitation = new URLSearchParams(location.hash.slice(1)).get('join');
if (invitation) {
  membership.join(invitation);
  history.replaceState(null, '', location.pathname + location.search);
  notify('join', 'Start talking, or type, to go on with your conversation here.', '', 'info');
}
if (membership.waits && !invitation) void connect(membership.kept.microphone);
else loadConfig().catch((error) => dispatch(local('connection', { phase: 'failed', transport: '', message: messageOf(error) })));
draw();

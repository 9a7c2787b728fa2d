// @ts-check
/**
 * Everything that the page shows, as a pure function of the timeline and of a few things that only the page
 * knows (its connection, microphone, sound). No DOM, no clock, no network.
 */
import { emptyPresence, foldPresence, liveElsewhere, nameOf } from './presence.js';
import { foldProposal } from './proposals.js';
import { ALL_SCOPES } from './scopes.js';
import { append, closeTranscript, emptyTranscript, foldTranscript } from './transcript.js';
import { emptyFigures, foldFigures } from './figures.js';
import { emptyLatency, foldAudible, foldLatency } from './latency.js';
import { emptyLog, foldLog } from './log.js';

/** @typedef {import('./wire.js').Entry} Entry */

/** `idle` before the first call; `ended` after one, by whoever ended it.
 * @typedef {{phase: 'idle' | 'connecting' | 'connected' | 'ended' | 'failed', transport: '' | 'webrtc' | 'websocket',
 *   message: string}} Connection */

/** @typedef {{state: 'off' | 'on' | 'denied' | 'absent' | 'lost', message: string}} Microphone */

/** @typedef {{id: string, level: 'info' | 'error', text: string, action: string}} Notice
 *   `action` names what the person can do with a button, '' for nothing */

/** @typedef {Record<string, boolean | number>} Values settings by `table.key` */

/**
 * @typedef {object} State
 * @property {Connection} connection
 * @property {string} sessionId
 * @property {number} seq of the last entry
 * @property {boolean} lost the connection to the session was lost
 * @property {import('./transcript.js').Transcript} transcript
 * @property {import('./latency.js').Latency} latency
 * @property {import('./figures.js').Figures} figures
 * @property {import('./log.js').Log} log
 * @property {import('./proposals.js').Proposal | null} proposal the action that waits for a yes or no
 * @property {import('./presence.js').Presence} presence who is here, and who is live
 * @property {string} deviceId this page's, '' before it is told
 * @property {import('./scopes.js').Scope[]} scopes what it may do
 * @property {{status: string, detail: string}} status of the agent
 * @property {'' | 'playing' | 'paused'} playback of the reply that has the floor
 * @property {string} playingReply
 * @property {boolean} userSpeaking
 * @property {Microphone} microphone
 * @property {boolean} muted
 * @property {boolean} talking push-to-talk is on
 * @property {boolean} gateClosed the page itself has cut the playback
 * @property {boolean} soundBlocked the browser wants a gesture before it plays
 * @property {Notice[]} notices
 * @property {Values} settings
 * @property {Values} unsaved settings changed here and not yet in the config file
 */

/** @typedef {{kind: 'entry', entry: Entry} | {kind: 'local', type: string, payload: Record<string, any>}} Action */

/** @returns {State} */
export const initialState = () => ({
  connection: { phase: 'idle', transport: '', message: '' },
  sessionId: '',
  seq: 0,
  lost: false,
  transcript: emptyTranscript(),
  latency: emptyLatency(),
  figures: emptyFigures(),
  log: emptyLog(),
  proposal: null,
  presence: emptyPresence(),
  deviceId: '',
  scopes: ALL_SCOPES,
  status: { status: '', detail: '' },
  playback: '',
  playingReply: '',
  userSpeaking: false,
  microphone: { state: 'off', message: '' },
  muted: false,
  talking: false,
  gateClosed: false,
  soundBlocked: false,
  notices: [],
  settings: {},
  unsaved: {},
});

/** What happened on the page itself. @param {string} type @param {Record<string, any>} [payload] @returns {Action} */
export const local = (type, payload = {}) => ({ kind: 'local', type, payload });

/** @param {State} state @param {Action} action @returns {State} */
export function reduce(state, action) {
  return action.kind === 'entry' ? reduceEntry(state, action.entry) : reduceLocal(state, action.type, action.payload);
}

/** @typedef {'off' | 'connecting' | 'listening' | 'thinking' | 'speaking' | 'interrupted'} Mode */

/** The one word for what is going on. @param {State} state @returns {Mode} */
export function modeOf(state) {
  if (state.connection.phase === 'connecting') return 'connecting';
  if (state.connection.phase !== 'connected') return 'off';
  if (state.connection.message) return 'connecting';
  const { status } = state.status;
  const cut = state.playback === 'paused' || (state.playback === 'playing' && state.gateClosed);
  if (cut || status === 'interrupted') return 'interrupted';
  if (state.playback === 'playing') return 'speaking';
  if (state.userSpeaking) return 'listening';
  return status === 'thinking' || status === 'working' ? 'thinking' : 'listening';
}

const STATUS_TEXT = /** @type {Record<string, string>} */ ({ listening: 'Go ahead, I am listening.', thinking: 'Finding an answer…',
  working: 'Working on it…', speaking: 'Speak up at any time to interrupt.', interrupted: 'I stopped. Go ahead.',
  not_understood: 'I did not understand that.', failed: 'That did not work.' });

/** Of these the detail is meant for people; of the others it is the evidence. */
const DETAILED = new Set(['thinking', 'working', 'failed']);

/** The status line: what the agent says it is doing. @param {State} state @returns {string} */
export function statusText(state) {
  const { phase, message } = state.connection;
  if (phase === 'idle') return 'Talk to it, or type. It answers aloud.';
  if (phase === 'connecting') return message || 'Calling the agent…';
  if (phase !== 'connected') return message || 'The call has ended.';
  if (message) return message;
  const { status, detail } = state.status;
  const elsewhere = liveElsewhere(state.presence, state.deviceId);
  if (elsewhere && status === 'speaking') return `It speaks on ${nameOf(elsewhere)}.`;
  if (elsewhere && (status === 'listening' || !status)) return `Talk to ${nameOf(elsewhere)}, or type here.`;
  if (!state.scopes.includes('talk') && (status === 'listening' || !status)) return 'You are watching.';
  if (state.microphone.state !== 'on' && (status === 'listening' || !status)) return 'Your microphone is off. Type a message.';
  if (state.muted && !state.talking && (status === 'listening' || !status)) return 'Your microphone is muted.';
  const plain = STATUS_TEXT[status] ?? STATUS_TEXT.listening;
  return detail && DETAILED.has(status) ? `${plain.replace(/[.…]$/, '')}: ${detail}` : plain;
}

const LOST_TEXT = 'The connection was lost. This is a new conversation: the agent no longer knows what was said above.';

const FORGOTTEN_TEXT = 'What was said before is forgotten: erased here, on your other devices and by the agent. Notes, lists and timers stay.';

// ── the timeline ─────────────────────────────────────────────────────────────────────────

/** @param {State} state @param {Entry} entry @returns {State} */
function reduceEntry(state, entry) {
  const same = entry.session_id === state.sessionId;
  if (same && entry.seq <= state.seq) return state;
  const base = entry.type === 'session.forgotten' ? forgotten(state, entry) : same ? state : newSession(state, entry);
  return turnTaking(
    {
      ...base,
      lost: false,
      seq: entry.seq,
      transcript: foldTranscript(base.transcript, entry),
      latency: foldLatency(base.latency, entry),
      figures: foldFigures(base.figures, entry),
      log: foldLog(base.log, entry),
      proposal: foldProposal(base.proposal, entry),
      presence: foldPresence(base.presence, entry),
    },
    entry,
  );
}

/** What was said before stays on the page, above a line. @param {State} state @param {Entry} entry @returns {State} */
function newSession(state, entry) {
  const shown = state.transcript.items.length > 0;
  const text = state.lost ? LOST_TEXT : 'New conversation';
  const transcript = shown
    ? append(closeTranscript(state.transcript), { kind: 'note', key: `${entry.session_id}/0`, level: 'info', text })
    : emptyTranscript();
  return { ...state, sessionId: entry.session_id, seq: 0, lost: false, transcript, latency: emptyLatency(), figures: emptyFigures(), log: emptyLog(), proposal: null,
    presence: emptyPresence(), status: { status: '', detail: '' }, playback: '', playingReply: '', userSpeaking: false };
}

/** Nothing of what the page knew stays. @param {State} state @param {Entry} entry @returns {State} */
function forgotten(state, entry) {
  /** @type {import('./transcript.js').Item} */
  const note = { kind: 'note', key: `${entry.session_id}/${entry.seq}`, level: 'info', text: FORGOTTEN_TEXT };
  const fresh = newSession({ ...state, lost: false, transcript: emptyTranscript() }, entry);
  return { ...fresh, transcript: append(fresh.transcript, note) };
}

/** @param {State} state @param {Entry} entry @returns {State} */
function turnTaking(state, entry) {
  const { payload } = entry;
  switch (entry.type) {
    case 'agent.status':
      return { ...state, status: { status: payload.status ?? '', detail: payload.detail ?? '' } };
    case 'speech.started':
      return { ...state, userSpeaking: true };
    case 'speech.stopped':
    case 'turn.end':
      return { ...state, userSpeaking: false };
    case 'playback.start':
      return { ...state, playback: 'playing', playingReply: payload.reply_id ?? '' };
    case 'playback.pause':
      return state.playback === 'playing' ? { ...state, playback: 'paused' } : state;
    case 'playback.resume':
      return state.playback === 'paused' ? { ...state, playback: 'playing' } : state;
    case 'playback.stop':
    case 'reply.done':
      return !payload.reply_id || payload.reply_id === state.playingReply ? { ...state, playback: '', playingReply: '' } : state;
    case 'settings.changed':
      return { ...state, settings: { ...state.settings, ...known(payload.changes) } };
    default:
      return state;
  }
}

/** @param {unknown} changes @returns {Values} */
function known(changes) {
  const entries = Object.entries(changes ?? {}).filter(([, value]) => typeof value === 'number' || typeof value === 'boolean');
  return /** @type {Values} */ (Object.fromEntries(entries));
}

// ── the page ─────────────────────────────────────────────────────────────────────────────

/** @param {State} state @param {string} type @param {Record<string, any>} payload @returns {State} */
function reduceLocal(state, type, payload) {
  switch (type) {
    case 'connection':
      return connection(state, { ...state.connection, message: '', ...payload });
    case 'lost':
      return { ...state, lost: state.sessionId !== '' };
    case 'snapshot':
      return { ...state, sessionId: '', seq: 0, lost: false, transcript: emptyTranscript() };
    case 'device':
      return { ...state, deviceId: payload.id, scopes: payload.scopes ?? ALL_SCOPES };
    case 'microphone':
      return { ...state, microphone: { state: payload.state, message: payload.message ?? '' } };
    case 'muted':
      return { ...state, muted: payload.on };
    case 'talking':
      return { ...state, talking: payload.on };
    case 'gate':
      return { ...state, gateClosed: payload.closed };
    case 'sound':
      return { ...state, soundBlocked: payload.blocked };
    case 'audible':
      return { ...state, latency: foldAudible(state.latency, payload.t_ms) };
    case 'notice':
      return { ...state, notices: [...without(state.notices, payload.id), notice(payload)].slice(-4) };
    case 'notice.closed':
      return { ...state, notices: without(state.notices, payload.id) };
    case 'settings.loaded':
      return { ...state, settings: known(payload.settings), unsaved: {} };
    case 'settings.edited':
      return { ...state, settings: { ...state.settings, ...payload.changes }, unsaved: { ...state.unsaved, ...payload.changes } };
    case 'settings.saved':
      return { ...state, unsaved: {} };
    default:
      return state;
  }
}

/** @param {State} state @param {Connection} next @returns {State} */
function connection(state, next) {
  if (next.phase === 'connected') return { ...state, connection: next };
  const here = { ...state, talking: false, gateClosed: false, connection: next };
  if (next.phase === 'connecting') return here; // of what was going on the timeline tells how it ends
  const quiet = { playback: /** @type {''} */ (''), playingReply: '', userSpeaking: false, proposal: null, status: { status: '', detail: '' } };
  return { ...here, ...quiet, transcript: closeTranscript(state.transcript) };
}

/** @param {Record<string, any>} payload @returns {Notice} */
const notice = (payload) => ({ id: payload.id, level: payload.level ?? 'info', text: payload.text, action: payload.action ?? '' });

/** @param {Notice[]} notices @param {string} id */
const without = (notices, id) => notices.filter((other) => other.id !== id);

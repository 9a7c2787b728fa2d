// @ts-check
/** Fold of the timeline into what was said: the user's turns, the agent's replies, notes. Pure. */
import { turnOf } from './wire.js';

/** @typedef {import('./wire.js').Entry} Entry */

/** What the user said or typed. `open`: still being recognised. `stable`: so many characters of the text stay as they are.
 * @typedef {{kind: 'user', key: string, turnId: string, text: string, stable: number, open: boolean, understood: boolean,
 *   typed: boolean}} UserItem */

/** @typedef {{start_sample: number, end_sample: number, text_end: number}} Word */

/** @typedef {{text: string, phase: string, failed: boolean, start: number | null, samples: number,
 *   words: Word[]}} Chunk `start` is null until it is synthesised */

/** @typedef {{id: string, name: string, state: string, late: boolean, reason: string}} Action */

/** @typedef {{text: string, kind: 'heard' | 'pending' | 'cut'}} Part */

/** `sent`: reply samples that left the playout. `stop`: set when what was heard is final. `frozen`: what is shown while an
 * interruption is suspected.
 * @typedef {{kind: 'agent', key: string, replyId: string, turnId: string, chunks: Chunk[], sent: number,
 *   playback: 'waiting' | 'playing' | 'paused' | 'ended', stop: {heard: string, unheard: string} | null, frozen: Part[] | null,
 *   outcome: string, actions: Action[]}} AgentItem */

/** @typedef {{kind: 'note', key: string, level: 'info' | 'error', text: string}} NoteItem */

/** @typedef {UserItem | AgentItem | NoteItem} Item */

/** `hidden`: replies that were begun before the turn ended; nobody sees them until they are committed.
 * @typedef {{items: Item[], hidden: AgentItem[]}} Transcript */

export const MAX_ITEMS = 200;

/** @returns {Transcript} */
export const emptyTranscript = () => ({ items: [], hidden: [] });

/**
 * @param {AgentItem} reply
 * @returns {Part[]} its text in order, by what became of it
 */
export function segments(reply) {
  /** @type {Part[]} */
  const parts = [];
  if (reply.stop) {
    parts.push({ text: reply.stop.heard, kind: 'heard' }, { text: reply.stop.unheard, kind: 'cut' });
    return parts.filter((part) => part.text !== '');
  }
  if (reply.frozen) return reply.frozen;
  const said = reply.chunks.filter((chunk) => chunk && !chunk.failed);
  /** @type {string[]} */
  const heard = [];
  /** @type {string[]} */
  const rest = [];
  for (const chunk of said) {
    const end = rest.length ? 0 : heardChars(chunk, reply.sent);
    if (end > 0) heard.push(chunk.text.slice(0, end).trimEnd());
    if (chunk.text.slice(end).trim()) rest.push(chunk.text.slice(end).trim());
  }
  const over = reply.outcome !== '' && reply.outcome !== 'completed';
  parts.push({ text: heard.join(' '), kind: 'heard' }, { text: rest.join(' '), kind: over ? 'cut' : 'pending' });
  return parts.filter((part) => part.text !== '');
}

/** A word half sent is not heard. @param {Chunk} chunk @param {number} sent */
function heardChars(chunk, sent) {
  if (chunk.start === null) return 0;
  if (sent >= chunk.start + chunk.samples) return chunk.text.length;
  let end = 0;
  for (const word of chunk.words) if (word.end_sample <= sent) end = Math.max(end, word.text_end);
  return end;
}

/** @param {Transcript} state @param {Item} item @returns {Transcript} */
export function append(state, item) {
  return { ...state, items: [...state.items, item].slice(-MAX_ITEMS) };
}

/** @param {Transcript} state @param {(item: Item) => boolean} which @param {(item: any) => Item | null} change
 * @returns {Transcript} with the last item that matches replaced, or left out where `change` says null */
function replaceLast(state, which, change) {
  const at = state.items.findLastIndex(which);
  if (at < 0) return state;
  const item = change(state.items[at]);
  return { ...state, items: [...state.items.slice(0, at), ...(item ? [item] : []), ...state.items.slice(at + 1)] };
}

// ── the user ─────────────────────────────────────────────────────────────────────────────

/** @param {Item} item */
const isOpen = (item) => item.kind === 'user' && item.open;

/** @param {Transcript} state @param {Entry} entry @param {Partial<UserItem>} change */
function changeUser(state, entry, change) {
  if (state.items.some(isOpen)) return replaceLast(state, isOpen, (item) => ({ ...item, ...change }));
  /** @type {UserItem} */
  const item = { kind: 'user', key: `${entry.session_id}/${entry.event_id || entry.seq}`, turnId: '', text: '', stable: 0, open: true,
    understood: true, typed: false, ...change };
  return append(state, item);
}

/** @param {Transcript} state @param {Entry} entry */
function endTurn(state, entry) {
  const { text = '', understood = true, joins = '' } = entry.payload;
  if (!text.trim()) return replaceLast(state, isOpen, () => null);
  const ended = changeUser(state, entry, { turnId: turnOf(entry), text, stable: text.length, understood, open: false });
  return join(ended, joins, entry);
}

/** The turn `first`, if there is one, was the first part of this one: its item has all the words now, and what was
 * begun to answer it and not heard is gone. @param {Transcript} state @param {string} first @param {Entry} end */
function join(state, first, end) {
  /** @param {string} id of a turn of this conversation */
  const saidBy = (id) => state.items.findLastIndex((item) =>
    item.kind === 'user' && item.turnId === id && item.key.startsWith(`${end.session_id}/`));
  const [from, to] = [first ? saidBy(first) : -1, saidBy(turnOf(end))];
  if (from < 0 || to < from) return state;
  const items = state.items.flatMap((item, at) => {
    if (at === from) return [{ ...state.items[to], key: item.key }];
    const gone = item.kind === 'agent' && item.turnId === first && cameToNothing(item);
    return at === to || (at > from && gone) ? [] : [item];
  });
  return { ...state, items };
}

/** @param {AgentItem} reply it is over, and nothing of it was heard */
const cameToNothing = (reply) => reply.outcome !== '' && !segments(reply).some(({ kind }) => kind === 'heard');

/** The call is over: what was not recognised or said by now never will be. @param {Transcript} state @returns {Transcript} */
export function closeTranscript(state) {
  const heard = replaceLast(state, isOpen, (item) => (item.text ? { ...item, open: false } : null));
  const items = heard.items.flatMap((item) => (item.kind === 'agent' && item.outcome === '' ? hangUp(item) : [item]));
  return { ...heard, items, hidden: [] };
}

/** @param {AgentItem} reply @returns {AgentItem[]} */
function hangUp(reply) {
  const empty = segments(reply).length === 0 && reply.actions.length === 0;
  return empty ? [] : [{ ...reply, frozen: null, outcome: 'hung_up', playback: 'ended' }];
}

/** What was heard during the agent's speech and came to nothing is no turn. @param {Transcript} state */
function dropUnclaimed(state) {
  return replaceLast(state, (item) => isOpen(item) && /** @type {UserItem} */ (item).turnId === '', () => null);
}

// ── the agent ────────────────────────────────────────────────────────────────────────────

/** Every session counts its replies anew. @param {Entry} entry */
const keyOf = (entry) => `${entry.session_id}/${entry.payload.reply_id}`;

/** @param {Entry} entry @returns {AgentItem} */
const newReply = (entry) => ({ kind: 'agent', key: keyOf(entry),
  replyId: entry.payload.reply_id, turnId: turnOf(entry), chunks: [], sent: 0, playback: 'waiting', stop: null, frozen: null, outcome: '', actions: [] });

/** @param {Transcript} state @param {Entry} entry */
function startModel(state, entry) {
  const { reply_id: id, speculative } = entry.payload;
  if (!id || find(state, entry)) return state;
  return speculative ? { ...state, hidden: [...state.hidden, newReply(entry)].slice(-16) } : append(state, newReply(entry));
}

/** @param {Transcript} state @param {Entry} entry @returns {AgentItem | undefined} */
function find(state, entry) {
  /** @param {Item} item */
  const same = (item) => item.kind === 'agent' && item.key === keyOf(entry);
  return /** @type {AgentItem | undefined} */ (state.items.findLast(same) ?? state.hidden.find(same));
}

/** @param {Transcript} state @param {Entry} entry @param {(reply: AgentItem) => AgentItem | null} change
 * @returns {Transcript} */
function changeReply(state, entry, change) {
  if (!entry.payload.reply_id) return state;
  const key = keyOf(entry);
  if (state.hidden.some((reply) => reply.key === key)) {
    const hidden = state.hidden.map((reply) => (reply.key === key ? change(reply) : reply));
    return { ...state, hidden: hidden.filter((reply) => reply !== null) };
  }
  return replaceLast(state, (item) => item.kind === 'agent' && item.key === key, change);
}

/** @param {Transcript} state @param {Entry} entry */
function show(state, entry) {
  const reply = state.hidden.find((other) => other.key === keyOf(entry));
  if (!reply) return state;
  return append({ ...state, hidden: state.hidden.filter((other) => other !== reply) }, reply);
}

/** @type {Chunk} */
const NO_CHUNK = { text: '', phase: 'claim', failed: false, start: null, samples: 0, words: [] };

/** @param {Transcript} state @param {Entry} entry @param {Partial<Chunk>} change */
function setChunk(state, entry, change) {
  const known = find(state, entry) ? state : append(state, newReply(entry));
  return changeReply(known, entry, (reply) => {
    const chunks = reply.chunks.slice();
    const at = entry.payload.chunk;
    chunks[at] = { ...(chunks[at] ?? NO_CHUNK), ...change };
    return { ...reply, chunks };
  });
}

/** @param {Transcript} state @param {Entry} entry */
function chunkReady(state, entry) {
  const { text, phase, start_sample: start, samples, words = [] } = entry.payload;
  return setChunk(state, entry, { text, phase, start, samples, words });
}

/** A chunk that broke off keeps what was heard of it. @param {Transcript} state @param {Entry} entry */
function chunkFailed(state, entry) {
  const chunk = find(state, entry)?.chunks[entry.payload.chunk];
  return chunk && chunk.start !== null ? state : setChunk(state, entry, { failed: true });
}

/** @param {Transcript} state @param {Entry} entry */
function stopPlayback(state, entry) {
  const { heard_text: heard = '', unheard_text: unheard = '' } = entry.payload;
  return changeReply(state, entry, (reply) => ({ ...reply, playback: 'ended', stop: { heard, unheard } }));
}

/** @param {Transcript} state @param {Entry} entry */
function endReply(state, entry) {
  const { outcome } = entry.payload;
  return changeReply(state, entry, (reply) => {
    const empty = segments(reply).length === 0 && reply.actions.length === 0;
    if (outcome === 'discarded' || empty) return null;
    return { ...reply, frozen: null, outcome, playback: 'ended' };
  });
}

/** @param {Transcript} state @param {Entry} entry */
function changeAction(state, entry) {
  const { action_id: id, name = '', late = false, reason = '', error_class: failure = '' } = entry.payload;
  return changeReply(state, entry, (reply) => {
    const old = reply.actions.find((action) => action.id === id);
    /** @type {Action} */
    const action = { id, name: name || old?.name || 'action', state: entry.type.slice('action.'.length), late, reason: reason || failure };
    return { ...reply, actions: old ? reply.actions.map((other) => (other === old ? action : other)) : [...reply.actions, action] };
  });
}

/** @param {Transcript} state @param {Entry} entry @param {'info' | 'error'} level @param {string} text */
function note(state, entry, level, text) {
  return text ? append(state, { kind: 'note', key: `${entry.session_id}/${entry.seq}`, level, text }) : state;
}

/** @param {Entry} entry @param {number} sample */
const sentTo = (entry, sample) => (/** @type {AgentItem} */ reply) => /** @type {AgentItem} */ ({ ...reply,
  sent: entry.type === 'playback.resume' ? sample : Math.max(reply.sent, sample),
  playback: entry.type === 'playback.resume' ? 'playing' : reply.playback });

/** Told to the device that asked for something when another one was first, and to no other. */
export const PERSONAL = new Set(['action.stale', 'steering.second', 'talk.held', 'focus.taken', 'focus.silent']);

/** @type {Record<string, (state: Transcript, entry: Entry) => Transcript>} */
const FOLDS = {
  'turn.start': (state, entry) => changeUser(state, entry, { turnId: turnOf(entry) || 'turn' }),
  'asr.partial': (state, entry) =>
    entry.payload.text ? changeUser(state, entry, { text: entry.payload.text, stable: entry.payload.stable ?? 0 }) : state,
  'asr.final': (state, entry) =>
    entry.payload.text ? changeUser(state, entry, { text: entry.payload.text, understood: entry.payload.understood !== false }) : state,
  'text.input': (state, entry) => changeUser(state, entry, { text: entry.payload.text, stable: entry.payload.text.length, typed: true }),
  'turn.end': endTurn,
  'model.start': startModel,
  'reply.committed': show,
  'playback.release': show,
  'tts.say': (state, entry) => setChunk(state, entry, { text: entry.payload.text, phase: entry.payload.phase }),
  'tts.chunk': chunkReady,
  'tts.failed': chunkFailed,
  'playback.start': (state, entry) => changeReply(show(state, entry), entry, (reply) => ({ ...reply, playback: 'playing' })),
  'playback.mark': (state, entry) => changeReply(state, entry, sentTo(entry, entry.payload.sample)),
  'playback.pause': (state, entry) => changeReply(state, entry, (reply) => ({ ...reply, playback: 'paused' })),
  'playback.resume': (state, entry) => changeReply(state, entry, sentTo(entry, entry.payload.sample)),
  'playback.stop': stopPlayback,
  'reply.done': endReply,
  'interruption.suspected': (state, entry) => changeReply(state, entry, (reply) => ({ ...reply, frozen: segments(reply) })),
  'interruption.dismissed': (state, entry) => dropUnclaimed(changeReply(state, entry, (reply) => ({ ...reply, frozen: null }))),
  'reminder.due': (state, entry) => note(state, entry, 'info', `Reminder: ${entry.payload.text}`),
  'tool.unavailable': (state, entry) => note(state, entry, 'info', `${entry.payload.name} is not available: ${entry.payload.reason}`),
  'asr.failed': (state, entry) => note(state, entry, 'error', entry.payload.message),
  error: (state, entry) => note(state, entry, 'error', entry.payload.message),
  'core.error': (state, entry) => (PERSONAL.has(entry.payload.code) ? state : note(state, entry, 'error', entry.payload.message)),
};

/** @param {Transcript} state @param {Entry} entry @returns {Transcript} */
export function foldTranscript(state, entry) {
  const fold = FOLDS[entry.type] ?? (entry.type.startsWith('action.') ? changeAction : undefined);
  return fold ? fold(state, entry) : state;
}

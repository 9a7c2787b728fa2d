// @ts-check
/** Fold of the timeline into where the time of a turn went. Pure; all times in ms of the session. */

/** @typedef {import('./wire.js').Entry} Entry */

/** First time of each step of a reply; absent until it happened.
 * @typedef {{model?: number, token?: number, toolCall?: number, toolResult?: number, say?: number, chunk?: number,
 *   playback?: number}} Marks */

/** @typedef {{turnId: string, text: string, speechEnd: number | null, turnEnd: number, replyId: string, marks: Marks,
 *   audible: number | null}} Turn */

/** @typedef {{turns: Turn[], replies: Record<string, Marks>, speechEnd: number | null}} Latency */

const MAX_TURNS = 20;
const MAX_REPLIES = 16;
const AUDIBLE_WITHIN_MS = 2_000;

/** @returns {Latency} */
export const emptyLatency = () => ({ turns: [], replies: {}, speechEnd: null });

/** @type {Record<string, keyof Marks>} */
const MARK_OF = { 'model.start': 'model', 'model.token': 'token', 'tool.call': 'toolCall', 'tool.result': 'toolResult',
  'tts.say': 'say', 'tts.chunk': 'chunk', 'playback.start': 'playback' };

/** A moment on the agent's clock as session time. @param {Entry} entry @param {unknown} us */
function sessionMs(entry, us) {
  return typeof us === 'number' && entry.now_us !== null ? entry.t_ms - (entry.now_us - us) / 1000 : entry.t_ms;
}

/** @param {Latency} state @param {Entry} entry @returns {Latency} */
export function foldLatency(state, entry) {
  const id = entry.payload.reply_id;
  let next = state;
  if (entry.type === 'turn.start') next = { ...next, speechEnd: null };
  if (entry.type === 'speech.stopped') next = { ...next, speechEnd: sessionMs(entry, entry.payload.end_us) };
  if (entry.type === 'turn.end' && entry.payload.text) next = endTurn(next, entry, entry.payload.joins ?? '');
  const mark = MARK_OF[entry.type];
  if (mark && id) next = setMark(next, id, mark, entry.t_ms);
  const answers = entry.type === 'reply.committed' || (entry.type === 'model.start' && !entry.payload.speculative);
  return answers && id ? attach(next, id) : next;
}

/** @param {Latency} state @param {Entry} entry @param {string} firstPart the turn that this one is one with @returns {Latency} */
function endTurn(state, entry, firstPart) {
  /** @type {Turn} */
  const turn = { turnId: entry.turn_id, text: entry.payload.text, speechEnd: state.speechEnd, turnEnd: entry.t_ms, replyId: '',
    marks: {}, audible: null };
  const others = state.turns.filter(({ turnId }) => !firstPart || turnId !== firstPart);
  return { ...state, turns: [...others, turn].slice(-MAX_TURNS), speechEnd: null };
}

/** @param {Latency} state @param {string} id @param {keyof Marks} mark @param {number} tMs @returns {Latency} */
function setMark(state, id, mark, tMs) {
  const old = state.replies[id] ?? {};
  if (old[mark] !== undefined) return state;
  const marks = { ...old, [mark]: tMs };
  const kept = Object.entries({ ...state.replies, [id]: marks }).slice(-MAX_REPLIES);
  const turns = state.turns.map((turn) => (turn.replyId === id ? { ...turn, marks } : turn));
  return { ...state, replies: Object.fromEntries(kept), turns };
}

/** The reply answers the last turn, if that has no answer yet. @param {Latency} state @param {string} id */
function attach(state, id) {
  const last = state.turns.at(-1);
  if (!last || last.replyId) return state;
  return { ...state, turns: [...state.turns.slice(0, -1), { ...last, replyId: id, marks: state.replies[id] ?? {} }] };
}

/** The page heard the agent begin to speak. @param {Latency} state @param {number} tMs @returns {Latency} */
export function foldAudible(state, tMs) {
  const last = state.turns.at(-1);
  if (!last || last.audible !== null || tMs < last.turnEnd || tMs - (last.marks.playback ?? tMs) > AUDIBLE_WITHIN_MS) return state;
  return { ...state, turns: [...state.turns.slice(0, -1), { ...last, audible: tMs }] };
}

/** @typedef {{id: string, label: string, from: number, to: number}} Span in ms after the end of speech */

/**
 * @param {Turn} turn
 * @returns {{spans: Span[], totalMs: number}} what overlaps (work begun before the turn ended) does so here too
 */
export function waterfall(turn) {
  const { marks } = turn;
  const origin = turn.speechEnd ?? turn.turnEnd;
  // A chunk is reported once it is whole; its first samples may be on their way by then.
  const sound = marks.chunk === undefined ? marks.playback : Math.min(marks.chunk, marks.playback ?? Infinity);
  /** @type {[string, string, number | null | undefined, number | null | undefined][]} */
  const rows = [
    ['endpoint', 'Waiting for the end of the turn', turn.speechEnd, turn.turnEnd],
    ['model', 'Thinking to first word', marks.model, marks.token ?? marks.toolCall],
    ['tool', 'Tool', marks.toolCall, marks.toolResult],
    ['tts', 'Speech synthesis', marks.say, sound],
    ['playout', 'Until it is sent', sound === undefined ? undefined : Math.max(sound, turn.turnEnd), marks.playback],
    ['ear', 'Network and loudspeaker', marks.playback, turn.audible],
  ];
  const spans = rows.flatMap(([id, label, from, to]) =>
    typeof from === 'number' && typeof to === 'number' ? [{ id, label, from: from - origin, to: Math.max(from, to) - origin }] : []);
  const end = turn.audible ?? marks.playback ?? turn.turnEnd;
  return { spans, totalMs: end - origin };
}

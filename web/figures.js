// @ts-check
/**
 * Fold of the timeline into a session's figures: how it was interrupted, and whether anything happened that must
 * not. Pure. The agent's own fold of the same name gives the same, checked against the same fixtures; what each
 * figure means stands there.
 */

import { turnOf } from './wire.js';

/** @typedef {import('./wire.js').Entry} Entry */

/** @typedef {{sent: number, sinceUs: number | null, limit: number | null, settled: boolean, samples: number,
 *   cut: boolean, heard: number | null, told: number}} Ghost `samples` left the playout behind the cut; `limit`: what may have left it
 *   at most; `told`: how far a device said, before the cut, that it had been audible */

/** @typedef {{shown: Map<number, string>, audio: Map<number, {text: string, end: number}>, failed: Set<number>,
 *   stop: {heardMs: number, heard: string, method: string} | null, ghost: Ghost, byNobody: boolean, counted: number}} Reply */

/** @typedef {{replyId: string, callId: string, rejected: boolean, started: boolean}} Action */

/** @typedef {{count: number, longest: number, latest: number[]}} Times in ms */

/** @typedef {{interrupted: boolean, heard: boolean}} Turn `heard`: something of a reply to it */

/** @typedef {{requested: number, ack: Times, freed: Times}} Target */

/**
 * @typedef {object} Figures
 * @property {number} ended turns with a reply that has ended
 * @property {number} interrupted
 * @property {Map<string, Turn>} turns
 * @property {{suspected: number, confirmed: number, dismissed: number}} interruptions
 * @property {Map<string, Reply>} replies
 * @property {Map<string, Target>} targets of cancellations
 * @property {Map<string, number[]>} waiting when it was requested, by reply, target and awaited answer
 * @property {number} cuts
 * @property {number} ghostSamples
 * @property {number} longestGhost
 * @property {Map<string, Action>} actions
 * @property {Map<string, true>} cut replies, and calls as `reply:call`
 * @property {Map<string, string>} untold late commits: the result's event id by the commit's
 * @property {Map<string, Set<string>>} tells by reply: the untold commits that it rests on or was told of
 * @property {number} ghostActions
 * @property {number} lateCommits
 * @property {number} told
 * @property {Record<string, number>} mismatches
 */

const SAMPLES_PER_MS = 48;
const TOLERANCE_SAMPLES = 40 * SAMPLES_PER_MS;
const KEPT = 64; // replies and turns
const EFFECTS_KEPT = 256;
const TIMES_KEPT = 1_000;
const NEVER_CUT = new Set(['complete', 'shown', 'never_started']);
const MOVED = 'moved'; // another device became live: nothing was judged
const NOBODY = new Set(['closed', 'device_left', 'restart']);

/** @returns {Figures} */
export const emptyFigures = () => ({
  ended: 0, interrupted: 0, turns: new Map(),
  interruptions: { suspected: 0, confirmed: 0, dismissed: 0 }, replies: new Map(),
  targets: new Map(), waiting: new Map(), cuts: 0, ghostSamples: 0, longestGhost: 0, actions: new Map(), cut: new Map(),
  untold: new Map(), tells: new Map(), ghostActions: 0, lateCommits: 0, told: 0,
  mismatches: { heard_not_said: 0, heard_not_synthesised: 0, shown_not_spoken: 0 },
});

/** A copy with one value more; the oldest gives way. @template T @param {Map<string, T>} map @param {string} key @param {T} value
 * @param {number} kept @returns {Map<string, T>} */
function put(map, key, value, kept) {
  const copy = new Map(map).set(key, value);
  for (const oldest of copy.keys()) {
    if (copy.size <= kept) break;
    copy.delete(oldest);
  }
  return copy;
}

/** @template K, T @param {Map<K, T>} map @param {K} key */
function without(map, key) {
  const copy = new Map(map);
  copy.delete(key);
  return copy;
}

/** @param {Entry} entry */
const nowUs = (entry) => entry.now_us ?? entry.t_ms * 1000;

// ── cancellations ────────────────────────────────────────────────────────────────────────

/** @type {Target} */
const NO_TARGET = { requested: 0, ack: { count: 0, longest: 0, latest: [] }, freed: { count: 0, longest: 0, latest: [] } };

/** @param {Figures} state @param {Entry} entry @returns {Figures} */
function cancelRequested(state, entry) {
  const { reply_id: id, target } = entry.payload;
  const family = target.split(':')[0];
  const old = state.targets.get(family) ?? NO_TARGET;
  const targets = new Map(state.targets).set(family, { ...old, requested: old.requested + 1 });
  const waiting = new Map(state.waiting);
  for (const answer of ['cancel.ack', 'cancel.freed']) {
    const key = JSON.stringify([id, target, answer]);
    waiting.set(key, [...(waiting.get(key) ?? []), nowUs(entry)]);
  }
  const cut = target.startsWith('tool:') ? put(state.cut, `${id}:${target.slice(5)}`, true, EFFECTS_KEPT) : state.cut;
  return { ...state, targets, waiting, cut };
}

/** @param {Figures} state @param {Entry} entry @param {'ack' | 'freed'} answer @returns {Figures} */
function cancelAnswered(state, entry, answer) {
  const { reply_id: id, target } = entry.payload;
  const key = JSON.stringify([id, target, entry.type]);
  const [since, ...later] = state.waiting.get(key) ?? [];
  if (since === undefined) return state;
  const ms = (nowUs(entry) - since) / 1000;
  const family = target.split(':')[0];
  const old = state.targets.get(family) ?? NO_TARGET;
  const times = { count: old[answer].count + 1, longest: Math.max(old[answer].longest, ms), latest: [...old[answer].latest, ms].slice(-TIMES_KEPT) };
  const waiting = later.length ? new Map(state.waiting).set(key, later) : without(state.waiting, key);
  return { ...state, waiting, targets: new Map(state.targets).set(family, { ...old, [answer]: times }) };
}

// ── side effects ─────────────────────────────────────────────────────────────────────────

/** @param {Figures} state @param {Action} action */
const isCancelled = (state, action) =>
  action.rejected || state.cut.has(action.replyId) || state.cut.has(`${action.replyId}:${action.callId}`);

/** @param {Figures} state @param {Entry} entry @returns {Figures} */
function onAction(state, entry) {
  const { action_id: id, reply_id: replyId = '', late = false } = entry.payload;
  const action = state.actions.get(id) ?? { replyId, callId: id.slice(id.lastIndexOf(':') + 1), rejected: false, started: false };
  /** @param {Partial<Action>} change */
  const changed = (change) => put(state.actions, id, { ...action, ...change }, EFFECTS_KEPT);
  switch (entry.type) {
    case 'action.proposed':
      return { ...state, actions: changed({}) };
    case 'action.confirmed':
      return { ...state, actions: changed({ replyId }) };
    case 'action.rejected':
      return { ...state, actions: changed({ rejected: true }) };
    case 'action.started': {
      const ghost = !action.started && isCancelled(state, action) ? 1 : 0;
      return { ...state, actions: changed({ started: true }), ghostActions: state.ghostActions + ghost };
    }
    default: {
      if (!late && !isCancelled(state, action)) return { ...state, actions: changed({}) };
      const untold = put(state.untold, entry.event_id, entry.parent_event_id, EFFECTS_KEPT);
      return { ...state, actions: changed({}), lateCommits: state.lateCommits + 1, untold };
    }
  }
}

/** @param {Figures} state @param {Entry} entry @param {string[]} ids events that this reply is told of, or rests on @returns {Figures} */
function mention(state, entry, ids) {
  const told = [...state.untold].filter(([commit, result]) => ids.includes(commit) || ids.includes(result)).map(([commit]) => commit);
  if (!told.length) return state;
  const id = entry.payload.reply_id;
  return { ...state, tells: new Map(state.tells).set(id, new Set([...(state.tells.get(id) ?? []), ...told])) };
}

/** @param {Figures} state @param {string} replyId @returns {Figures} */
function tellHeard(state, replyId) {
  const told = [...(state.tells.get(replyId) ?? [])].filter((commit) => state.untold.has(commit));
  const untold = new Map([...state.untold].filter(([commit]) => !told.includes(commit)));
  return { ...state, told: state.told + told.length, untold, tells: without(state.tells, replyId) };
}

// ── words and sound of a reply ───────────────────────────────────────────────────────────

/** @type {Reply} */
const NO_REPLY = { shown: new Map(), audio: new Map(), failed: new Set(), stop: null, byNobody: false, counted: 0,
  ghost: { sent: 0, sinceUs: null, limit: null, settled: false, samples: 0, cut: false, heard: null, told: 0 } };

/** @param {Figures} state @param {string} id @param {(reply: Reply) => Reply} change @returns {Figures} */
function changeReply(state, id, change) {
  if (!id) return state;
  return { ...state, replies: put(state.replies, id, change(state.replies.get(id) ?? NO_REPLY), KEPT) };
}

/** @param {Ghost} ghost @param {number} now @returns {Ghost} */
function cutAt(ghost, now) {
  if (ghost.limit !== null) return ghost;
  const since = ghost.sinceUs === null ? 0 : Math.floor(((now - ghost.sinceUs) * SAMPLES_PER_MS) / 1000);
  return { ...ghost, limit: ghost.sent + since + TOLERANCE_SAMPLES };
}

/** @param {Ghost} ghost @param {number} sample @param {number} now @returns {Ghost} */
function markAt(ghost, sample, now) {
  if (ghost.limit === null) return { ...ghost, sent: Math.max(ghost.sent, sample), sinceUs: now };
  const limit = ghost.settled ? ghost.limit : Math.min(ghost.limit, Math.max(sample, ghost.sent));
  return { ...ghost, samples: Math.max(ghost.samples, sample - ghost.limit), settled: true, limit };
}

/** @param {Ghost} ghost @param {Entry} entry @returns {Ghost} */
function foldGhost(ghost, entry) {
  const now = nowUs(entry);
  switch (entry.type) {
    case 'playback.start':
      return { ...ghost, sinceUs: now };
    case 'playback.mark':
      return markAt(ghost, entry.payload.sample, now);
    case 'playback.pause':
      return cutAt(ghost, now);
    case 'playback.resume':
      return { ...ghost, sent: entry.payload.sample, sinceUs: now, limit: null, settled: false, samples: 0, told: 0 };
    case 'playback.stop': {
      const cut = !NEVER_CUT.has(entry.payload.method);
      const heard = Math.max((entry.payload.heard_ms ?? 0) * SAMPLES_PER_MS, ghost.told);
      return cut ? cutAt({ ...ghost, cut, heard }, now) : { ...ghost, cut };
    }
    default:
      return ghost;
  }
}

/** @param {Figures} state @param {string} id @param {(ghost: Ghost) => Ghost} change @returns {Figures} */
function changeGhost(state, id, change) {
  const { ghost: before, counted } = state.replies.get(id) ?? NO_REPLY;
  const ghost = change(before);
  const more = ghost.cut ? Math.max(0, ghost.samples - counted) : 0;
  const next = changeReply(state, id, (reply) => ({ ...reply, ghost, counted: counted + more }));
  return { ...next, cuts: state.cuts + (ghost.cut && !before.cut ? 1 : 0), ghostSamples: state.ghostSamples + more,
    longestGhost: more ? Math.max(state.longestGhost, ghost.samples) : state.longestGhost };
}

/** @param {Figures} state @param {Entry} entry @returns {Figures} */
const sound = (state, entry) => changeGhost(state, entry.payload.reply_id, (ghost) => foldGhost(ghost, entry));

/** A stop that names no reply may come long after the sound. @param {Figures} state @param {Entry} entry @returns {Figures} */
const stopReported = (state, entry) => (entry.payload.reply_id ? reported(state, entry) : state);

/** A device silenced itself, and says up to where it had been audible. @param {Figures} state @param {Entry} entry @returns {Figures} */
function reported(state, { payload: { played } }) {
  if (!played) return state;
  return changeGhost(state, played.reply_id, (ghost) =>
    ghost.heard === null
      ? { ...ghost, told: Math.max(ghost.told, played.sample) }
      : { ...ghost, samples: Math.max(ghost.samples, played.sample - ghost.heard - TOLERANCE_SAMPLES) });
}

/** @param {Figures} state @param {Entry} entry @returns {Figures} */
function stopped(state, entry) {
  const { heard_ms: heardMs = 0, heard_text: heard = '', method = '', reply_id: id } = entry.payload;
  const next = changeReply(sound(state, entry), id, (reply) => ({ ...reply, stop: { heardMs, heard, method } }));
  return heard ? tellHeard(next, id) : next;
}

/** @param {string} text */
const letters = (text) => text.replace(/\s+/g, '');

/** @param {Reply} reply */
const chunksOf = (reply) => [...new Set([...reply.shown.keys(), ...reply.audio.keys()])].sort((a, b) => a - b);

/** @param {Reply} reply @returns {string[]} kinds, one for each disagreement */
function mismatchesOf(reply) {
  const wrong = [...reply.audio].filter(([chunk, { text }]) => (reply.shown.get(chunk) ?? '') !== text && !reply.failed.has(chunk));
  const found = wrong.map(() => 'shown_not_spoken');
  if (!reply.stop) return found;
  const chunks = chunksOf(reply);
  const said = chunks.map((chunk) => reply.audio.get(chunk)?.text ?? (reply.failed.has(chunk) ? '' : reply.shown.get(chunk))).join(' ');
  const heard = letters(reply.stop.heard);
  if (!letters(said).startsWith(heard)) found.push('heard_not_said');
  const gap = chunks.findIndex((chunk) => !reply.audio.has(chunk) && !reply.failed.has(chunk));
  const there = (gap < 0 ? chunks : chunks.slice(0, gap)).map((chunk) => reply.audio.get(chunk)?.text ?? '').join(' ');
  const thereMs = Math.floor(Math.max(0, ...[...reply.audio.values()].map(({ end }) => end)) / SAMPLES_PER_MS);
  const tooMuch = reply.stop.heardMs > thereMs || heard.length > letters(there).length;
  if (tooMuch && reply.stop.method !== 'shown') found.push('heard_not_synthesised');
  return found;
}

// ── turns ────────────────────────────────────────────────────────────────────────────────

/** @param {Figures} state @param {Entry} entry @returns {Figures} */
function replyDone(state, entry) {
  const { reply_id: id, outcome } = entry.payload;
  const over = outcome === 'interrupted' || outcome === 'discarded';
  const next = { ...state, cut: over ? put(state.cut, id, true, EFFECTS_KEPT) : state.cut, tells: without(state.tells, id) };
  return outcome === 'discarded' ? next : turnEnded(next, entry);
}

/** @param {Figures} state @param {Entry} entry @returns {Figures} */
function turnEnded(state, entry) {
  const { reply_id: id, outcome } = entry.payload;
  const reply = state.replies.get(id) ?? NO_REPLY;
  const mismatches = { ...state.mismatches };
  for (const kind of mismatchesOf(reply)) mismatches[kind] += 1;
  const key = turnOf(entry) || id;
  const known = state.turns.get(key);
  const cut = outcome === 'interrupted' && !reply.byNobody && !known?.interrupted ? 1 : 0;
  const turn = { interrupted: known?.interrupted === true || cut === 1, heard: known?.heard === true || Boolean(reply.stop?.heard) };
  return { ...state, mismatches, ended: state.ended + (known ? 0 : 1), interrupted: state.interrupted + cut,
    turns: put(state.turns, key, turn, KEPT) };
}

/** A turn that was the first part of this one does not count, unless something was heard of a reply to it: then this one
 * has been counted. @param {Figures} state @param {Entry} entry @returns {Figures} */
function joinTurns(state, entry) {
  const before = entry.payload.joins ?? '';
  const first = state.turns.get(before);
  if (!first) return state;
  const turns = without(state.turns, before);
  if (first.heard) return { ...state, turns: put(turns, turnOf(entry), first, KEPT) };
  return { ...state, turns, ended: state.ended - 1, interrupted: state.interrupted - (first.interrupted ? 1 : 0) };
}

/** @param {Figures} state @param {'suspected' | 'confirmed' | 'dismissed'} what @returns {Figures} */
const interruption = (state, what) => ({ ...state, interruptions: { ...state.interruptions, [what]: state.interruptions[what] + 1 } });

/** @type {Record<string, (state: Figures, entry: Entry) => Figures>} */
const FOLDS = {
  'interruption.suspected': (state) => interruption(state, 'suspected'),
  'interruption.dismissed': (state, entry) => (entry.payload.evidence === MOVED ? state : interruption(state, 'dismissed')),
  'interruption.confirmed': (state, { payload }) =>
    changeReply({ ...interruption(state, 'confirmed'), cut: put(state.cut, payload.reply_id, true, EFFECTS_KEPT) },
      payload.reply_id, (reply) => ({ ...reply, byNobody: NOBODY.has(payload.evidence) })),
  'cancel.requested': cancelRequested,
  'cancel.ack': (state, entry) => cancelAnswered(state, entry, 'ack'),
  'cancel.freed': (state, entry) => cancelAnswered(state, entry, 'freed'),
  'action.proposed': onAction,
  'action.confirmed': onAction,
  'action.rejected': onAction,
  'action.started': onAction,
  'action.committed': onAction,
  'model.start': (state, entry) => mention(state, entry, [...(entry.payload.context ?? []), ...(entry.payload.results ?? [])]),
  'tts.say': (state, entry) =>
    changeReply(mention(state, entry, entry.payload.rests_on ?? []), entry.payload.reply_id,
      (reply) => ({ ...reply, shown: new Map(reply.shown).set(entry.payload.chunk, entry.payload.text) })),
  'tts.chunk': (state, { payload }) =>
    changeReply(state, payload.reply_id, (reply) => ({ ...reply,
      audio: new Map(reply.audio).set(payload.chunk, { text: payload.text, end: payload.start_sample + payload.samples }) })),
  'tts.failed': (state, { payload }) =>
    changeReply(state, payload.reply_id, (reply) => ({ ...reply, failed: new Set([...reply.failed, payload.chunk]) })),
  'device.cut': (state, entry) => (entry.payload.undo ? state : reported(state, entry)),
  'control.stop': stopReported,
  'playback.start': sound,
  'playback.mark': sound,
  'playback.pause': sound,
  'playback.resume': sound,
  'playback.stop': stopped,
  'reply.done': replyDone,
  'turn.end': joinTurns,
};

/** @param {Figures} state @param {Entry} entry @returns {Figures} */
export function foldFigures(state, entry) {
  return FOLDS[entry.type]?.(state, entry) ?? state;
}

// ── to look at ───────────────────────────────────────────────────────────────────────────

/** @param {number} part @param {number} whole */
const share = (part, whole) => (whole ? part / whole : null);

/** Nearest-rank percentiles. @param {Times} times */
function spread({ count, longest, latest }) {
  if (!count) return null;
  const ordered = [...latest].sort((a, b) => a - b);
  /** @param {number} percent */
  const at = (percent) => ordered[Math.ceil((percent * ordered.length) / 100) - 1];
  return { p50: at(50), p99: at(99), max: longest };
}

/** The figures in the shape that the agent's fold has. @param {Figures} state */
export function figures(state) {
  const { suspected, dismissed } = state.interruptions;
  const cancels = [...state.targets].map(([name, { requested, ack, freed }]) =>
    [name, { requested, acked: ack.count, freed: freed.count, ack_ms: spread(ack), freed_ms: spread(freed) }]);
  return {
    turns: { ended: state.ended, interrupted: state.interrupted, share: share(state.interrupted, state.ended) },
    interruptions: { ...state.interruptions, false_rate: share(dismissed, suspected) },
    cancels: Object.fromEntries(cancels),
    ghost_speech: { cuts: state.cuts, ms: state.ghostSamples / SAMPLES_PER_MS, max_ms: state.longestGhost / SAMPLES_PER_MS },
    ghost_actions: state.ghostActions,
    late_commits: { count: state.lateCommits, told: state.told },
    mismatches: state.mismatches,
  };
}

// @ts-check
/** Fold of the timeline into rows to look at: the last ones, each with its family and one line. Pure. */

/** @typedef {import('./wire.js').Entry} Entry */
/** @typedef {'session' | 'user' | 'agent' | 'output' | 'interruption' | 'action' | 'fault'} Family */
/** @typedef {{key: string, seq: number, tMs: number, type: string, family: Family, source: string, summary: string,
 *   entry: Entry}} Row */
/** @typedef {{rows: Row[], count: number}} Log `count`: rows ever seen, more than are kept */

export const MAX_ROWS = 500;

/** @type {Record<Family, string>} */
export const FAMILIES = { session: 'Session', user: 'User turn', agent: 'Agent work', output: 'Output',
  interruption: 'Interruption', action: 'Action', fault: 'Fault' };

/** @type {Record<string, Family>} */
const FAMILY_OF = { session: 'session', device: 'session', settings: 'session', owner: 'session', deadline: 'session',
  speech: 'user', audio: 'user', asr: 'user', text: 'user', turn: 'user', control: 'user',
  plan: 'agent', retrieve: 'agent', model: 'agent', tool: 'agent', agent: 'agent', reply: 'agent', reminder: 'agent',
  tts: 'output', playback: 'output', interruption: 'interruption', cancel: 'interruption', action: 'action',
  error: 'fault', core: 'fault' };

/** @param {string} type @returns {Family} */
export function familyOf(type) {
  if (type.endsWith('.failed') && !type.startsWith('action.')) return 'fault';
  return FAMILY_OF[type.split('.')[0]] ?? 'session';
}

/** @returns {Log} */
export const emptyLog = () => ({ rows: [], count: 0 });

const QUIET = new Set(['reply_id', 'turn_id', 'words', 'context', 'policy', 'engines', 'start_sample', 'rests_on', 'feature']);

/** @param {unknown} value */
function short(value) {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}

/** The payload in one line: a text first, then the other fields. @param {Record<string, any>} payload */
export function summarise(payload) {
  const parts = [];
  for (const [key, value] of Object.entries(payload)) {
    if (QUIET.has(key) || value === '' || value === null || value === undefined) continue;
    if (key === 'text') parts.unshift(`“${short(value)}”`);
    else if (key === 'sample' || key === 'samples') parts.push(`${key} ${(value / 48_000).toFixed(2)} s`);
    else if (value === true) parts.push(key.replaceAll('_', ' '));
    else if (value !== false) parts.push(`${key.replaceAll('_', ' ')} ${short(value)}`);
  }
  return parts.join(' · ');
}

/** @param {Log} log @param {Entry} entry @returns {Log} */
export function foldLog(log, entry) {
  /** @type {Row} */
  const row = { key: `${entry.session_id}/${entry.seq}`, seq: entry.seq, tMs: entry.t_ms, type: entry.type,
    family: familyOf(entry.type), source: entry.source, summary: summarise(entry.payload), entry };
  return { rows: [...log.rows, row].slice(-MAX_ROWS), count: log.count + 1 };
}

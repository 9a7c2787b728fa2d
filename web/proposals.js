// @ts-check
/** Fold of the timeline into the action that waits for the person's word: its card. Pure. */

/** @typedef {import('./wire.js').Entry} Entry */

/** @typedef {{id: string, name: string, text: string, details: [string, string][]}} Proposal */

const MAX_DETAIL = 2_000;
const CLOSING = new Set(['action.confirmed', 'action.rejected', 'action.started', 'action.unknown']);

/** @param {Proposal | null} open @param {Entry} entry @returns {Proposal | null} the proposal that is open behind this entry */
export function foldProposal(open, entry) {
  const { payload } = entry;
  if (entry.type === 'action.proposed') return payload.ask === true ? proposal(payload) : open;
  if (entry.type === 'session.closed') return null;
  return open !== null && CLOSING.has(entry.type) && payload.action_id === open.id ? null : open;
}

/** @param {Record<string, any>} payload @returns {Proposal} */
function proposal({ action_id: id = '', name = '', proposal: text = '', arguments: given = {} }) {
  const title = String(name).replaceAll('_', ' ');
  /** @type {[string, string][]} */
  const details = Object.entries(given ?? {})
    .filter(([, value]) => value !== null && value !== '' && value !== undefined)
    .map(([key, value]) => [key.replaceAll('_', ' '), words(value).slice(0, MAX_DETAIL)]);
  return { id, name: title, text: text || title, details };
}

/** @param {unknown} value @returns {string} */
function words(value) {
  if (typeof value === 'string') return value;
  return Array.isArray(value) ? value.map(words).join(', ') : JSON.stringify(value);
}

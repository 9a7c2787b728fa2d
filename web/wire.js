// @ts-check
/** What travels between the page and the agent: envelopes down, commands up. */

/**
 * One row of the session timeline.
 * @typedef {object} Entry
 * @property {string} session_id
 * @property {string} event_id
 * @property {number} seq dense, from 1
 * @property {string} ts ISO-8601 UTC
 * @property {number} t_ms milliseconds since the session began
 * @property {number | null} now_us the same moment on the agent's clock, if it was sent
 * @property {string} type
 * @property {string} source
 * @property {string} turn_id
 * @property {string} parent_event_id
 * @property {number | null} rtp_timestamp of the last audio sent before it, where it is about the playback
 * @property {Record<string, any>} payload
 */

/**
 * @typedef {{kind: 'entry', entry: Entry}
 *   | {kind: 'error', code: string, message: string}
 *   | {kind: 'goodbye', reason: string, again: boolean} `again`: the conversation goes on, call again
 *   | {kind: 'hello', payload: Record<string, any>}
 *   | {kind: 'token', token: string} the session token of the next connection
 *   | {kind: 'other', type: string}} Message
 */

/** A command for the agent, idempotent by its `event_id`.
 * @typedef {{event_id: string, type: string, payload: Record<string, any>}} Command */

/** `crypto.randomUUID` exists in secure contexts only; random values exist everywhere. */
export function newId() {
  if (typeof crypto.randomUUID === 'function') return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/**
 * @param {string} type
 * @param {Record<string, any>} [payload]
 * @returns {Command}
 */
export function command(type, payload = {}) {
  return { event_id: newId(), type, payload };
}

/** @param {Entry} entry @returns {string} its own turn where that is not the envelope's */
export const turnOf = (entry) => entry.payload.turn_id ?? entry.turn_id;

/** @param {unknown} value @returns {value is Record<string, any>} */
function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** @param {unknown} value @param {string} [otherwise] */
const text = (value, otherwise = '') => (typeof value === 'string' ? value : otherwise);

/**
 * @param {string} json one text message
 * @returns {Message | null} null for what is not a message; it is skipped
 */
export function parseMessage(json) {
  let value;
  try {
    value = JSON.parse(json);
  } catch {
    return null;
  }
  if (!isObject(value) || typeof value.type !== 'string') return null;
  const payload = isObject(value.payload) ? value.payload : {};
  if (typeof value.seq === 'number') return { kind: 'entry', entry: asEntry(value, payload) };
  if (value.type === 'error') {
    return { kind: 'error', code: text(payload.code, 'error'), message: text(payload.message, 'Something went wrong.') };
  }
  if (value.type === 'session.closed') return { kind: 'goodbye', reason: text(payload.reason), again: false };
  if (value.type === 'connection.closed') return { kind: 'goodbye', reason: text(payload.reason), again: payload.again === true };
  if (value.type === 'hello') return { kind: 'hello', payload };
  if (value.type === 'token' && text(payload.token)) return { kind: 'token', token: payload.token };
  return { kind: 'other', type: value.type };
}

/** @param {Record<string, any>} value @param {Record<string, any>} payload @returns {Entry} */
function asEntry(value, payload) {
  return {
    session_id: text(value.session_id),
    event_id: text(value.event_id),
    seq: value.seq,
    ts: text(value.ts),
    t_ms: typeof value.t_ms === 'number' ? value.t_ms : 0,
    now_us: typeof value.now_us === 'number' ? value.now_us : null,
    type: value.type,
    source: text(value.source),
    turn_id: text(value.turn_id) || text(payload.turn_id),
    parent_event_id: text(value.parent_event_id),
    rtp_timestamp: typeof value.rtp_timestamp === 'number' ? value.rtp_timestamp : null,
    payload,
  };
}

/** An answer of the server that a person can act on. */
export class ServerError extends Error {
  /** @param {string} code @param {string} message @param {number} status */
  constructor(code, message, status) {
    super(message);
    this.name = 'ServerError';
    this.code = code;
    this.status = status;
  }
}

/** `fetch` rejects with a TypeError where nobody answers. @returns {never} */
export function unreachable() {
  throw new ServerError('unreachable', 'The agent cannot be reached. Is it running?', 0);
}

/**
 * @param {Response} response one that is not ok
 * @returns {Promise<ServerError>} with the message of `{"error": {code, message}}` if there is one
 */
export async function serverError(response) {
  let error;
  try {
    error = (await response.json()).error;
  } catch {
    error = null;
  }
  if (isObject(error)) return new ServerError(text(error.code, 'error'), text(error.message, response.statusText), response.status);
  return new ServerError('http', `The agent answered ${response.status} ${response.statusText}`.trim() + '.', response.status);
}

// @ts-check
/** The agent's plain HTTP: its configuration and the addresses of everything else. */
import { serverError, unreachable } from './wire.js';

/**
 * @typedef {object} Config
 * @property {RTCIceServer[]} ice_servers
 * @property {Record<string, any>} [browser]
 * @property {Record<string, any>} [vad]
 * @property {Record<string, any>} [endpointing]
 * @property {Record<string, any>} [interruption]
 * @property {Record<string, any>} [tts]
 * @property {Record<string, any>} [limits]
 * @property {Record<string, string>} [engines]
 * @property {boolean} [english_only]
 * @property {string} [version]
 */

const CONFIG_MS = 5_000;
const PROBE_MS = 1_000;
const LINK_S = 600;
const LISTED = 50;

const TABLES = /** @type {const} */ (['browser', 'vad', 'endpointing', 'interruption', 'tts']);

export class Server {
  /** @param {string} base URL of the page @param {string} token '' where none is needed */
  constructor(base, token) {
    this.base = base;
    this.token = token;
    /** @type {() => Record<string, string>} which conversation a call is to go on with, as headers */
    this.wish = () => ({});
  }

  /** @param {string} path @returns {string} */
  url(path) {
    return new URL(path, this.base).href;
  }

  /** @returns {string} */
  get socketUrl() {
    const url = new URL('ws', this.base);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    if (this.token) url.searchParams.set('token', this.token);
    for (const [name, value] of Object.entries(this.wish())) url.searchParams.set(name.toLowerCase().replaceAll('-', '_'), value);
    return url.href;
  }

  /** @param {Record<string, string>} [more] @returns {Record<string, string>} */
  headers(more = {}) {
    return this.token ? { ...more, Authorization: `Bearer ${this.token}` } : more;
  }

  /** @returns {Promise<Config>} rejects with a ServerError */
  async config() {
    const signal = AbortSignal.timeout(CONFIG_MS);
    const response = await fetch(this.url('config.json'), { headers: this.headers(this.wish()), cache: 'no-store', signal }).catch(unreachable);
    if (!response.ok) throw await serverError(response);
    return response.json();
  }

  /** Whether nobody is there: the connection is refused, or a proxy says so. One that merely takes long may be there. */
  async refuses() {
    if (!navigator.onLine) return false;
    try {
      const signal = AbortSignal.timeout(PROBE_MS);
      const { status } = await fetch(this.url('healthz'), { headers: this.headers(), cache: 'no-store', signal });
      return status >= 502 && status <= 504;
    } catch (error) {
      return error instanceof TypeError;
    }
  }

  /** The conversations of who opened this page, newest first, but for those in which nothing was said.
   * @returns {Promise<import('./view_earlier.js').Earlier[]>} rejects with a ServerError */
  async earlier() {
    const signal = AbortSignal.timeout(CONFIG_MS);
    const response = await fetch(this.url(`sessions?limit=${LISTED}`), { headers: this.headers(), cache: 'no-store', signal }).catch(unreachable);
    if (!response.ok) throw await serverError(response);
    const { sessions } = await response.json();
    return sessions.filter((/** @type {import('./view_earlier.js').Earlier} */ { words }) => words);
  }

  /** Where a conversation is played back. @param {string} sessionId @param {string} sessionToken */
  replay(sessionId, sessionToken) {
    const secrets = new URLSearchParams({ session_token: sessionToken, ...(this.token && { token: this.token }) });
    return `replay.html?session=${sessionId}#${secrets}`;
  }

  /** A link to this page that brings another device into this one conversation. @param {string} sessionId @param {string} sessionToken
   * @returns {Promise<import('./view_link.js').Link>} rejects with a ServerError */
  async link(sessionId, sessionToken) {
    const wanted = JSON.stringify({ scopes: ['talk', 'confirm'], valid_s: LINK_S, renews: true });
    const minted = await this.post(`sessions/${sessionId}/tokens`, wanted, { 'Session-Token': sessionToken });
    const link = new URL('.', this.base);
    link.hash = `join=${(await minted.json()).token}`; // what is behind the # is sent to nobody
    return { href: link.href, code: await (await this.post('qr', link.href)).text(), minutes: LINK_S / 60 };
  }

  /** @param {string} path @param {string} body @param {Record<string, string>} [more] */
  async post(path, body, more = {}) {
    const response = await fetch(this.url(path), { method: 'POST', headers: this.headers(more), body }).catch(unreachable);
    if (!response.ok) throw await serverError(response);
    return response;
  }

  /** @param {Record<string, boolean | number>} changes */
  async save(changes) {
    const headers = this.headers({ 'Content-Type': 'application/json' });
    const response = await fetch(this.url('settings'), { method: 'PUT', headers, body: JSON.stringify(changes) }).catch(unreachable);
    if (!response.ok) throw await serverError(response);
  }
}

/** Settings by `table.key`, of those that the page can change. @param {Config} config */
export function settingsOf(config) {
  /** @type {Record<string, unknown>} */
  const flat = {};
  for (const table of TABLES) {
    for (const [key, value] of Object.entries(config[table] ?? {})) flat[`${table}.${key}`] = value;
  }
  return flat;
}

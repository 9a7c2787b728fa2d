// @ts-check
/** Which conversation this tab is in, kept over a reload, so that it goes on. */
import { newId } from './wire.js';

const KEY = 'voice-agent';

/** @typedef {{deviceId: string, sessionId: string, token: string, epoch: number, microphone: boolean}} Kept */

export class Membership {
  /** @param {Pick<Storage, 'getItem' | 'setItem'> | null} storage of the tab, null where the browser gives none */
  constructor(storage) {
    this.storage = storage;
    /** @type {Kept} */
    this.kept = { deviceId: '', sessionId: '', token: '', epoch: 0, microphone: false, ...this.read() };
    if (!this.kept.deviceId) this.keep({ deviceId: newId() });
  }

  /** @returns {Partial<Kept>} */
  read() {
    try {
      const kept = JSON.parse(this.storage?.getItem(KEY) ?? '{}');
      return typeof kept === 'object' && kept !== null ? kept : {};
    } catch {
      return {};
    }
  }

  /** @param {Partial<Kept>} changes */
  keep(changes) {
    this.kept = { ...this.kept, ...changes };
    try {
      this.storage?.setItem(KEY, JSON.stringify(this.kept));
    } catch {
      // Full or forbidden: the conversation goes on over a lost connection, and not over a reload.
    }
  }

  /** The next call is a new conversation. */
  forget() {
    this.keep({ sessionId: '', token: '', epoch: 0 });
  }

  /** The next call is this conversation. @param {string} token of a link */
  join(token) {
    this.keep({ sessionId: '', token, epoch: 0 });
  }

  /** What the page shows of it does not count any more: the next call asks for it from its first entry on. */
  reread() {
    this.keep({ sessionId: '' });
  }

  /** Whether there is a conversation to go on with. */
  get waits() {
    return this.kept.token !== '';
  }

  /** @param {Record<string, any>} hello @returns {boolean} whether the timeline comes from its first entry on */
  take(hello) {
    const behind = hello.resume === 'resumed' && hello.session_id === this.kept.sessionId;
    this.keep({ sessionId: String(hello.session_id ?? ''), token: String(hello.token ?? ''), epoch: Number(hello.epoch ?? 0) });
    return !behind;
  }

  /** What a call asks for. @param {{sessionId: string, seq: number}} shown what the page has of the timeline
   * @param {'both' | 'microphone' | 'speaker' | 'none'} [sound] what of it this device has
   * @returns {Record<string, string>} header names and values */
  wish({ sessionId, seq }, sound = 'both') {
    const { deviceId, token, epoch } = this.kept;
    const device = { 'Device-Id': deviceId, 'Device-Sound': sound };
    if (!token) return device;
    const seen = sessionId === this.kept.sessionId ? seq : 0;
    return { ...device, 'Session-Token': token, 'Session-Seen': `${epoch}:${seen}` };
  }
}

/** The tab's own storage, which some settings forbid. */
export function tabStorage() {
  try {
    return window.sessionStorage;
  } catch {
    return null;
  }
}

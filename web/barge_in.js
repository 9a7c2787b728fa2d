// @ts-check
/**
 * What to do after the page has cut its own playback: tell the agent, wait for its judgement, play again.
 *
 *     open      the gate closed by itself       waiting   device.cut
 *     waiting   the agent reacts                held
 *     waiting   no reaction within 1.5 s        open      device.cut, undo
 *     held      dismissed                       pardoned
 *     pardoned  nothing for 0.5 s               open
 *     any       resumed, or another reply begins to be played: open
 *
 * The gate is told which audio each order is about (`rtp`), and sees to the moment itself. Pure: times come in, orders come out.
 */

/** @typedef {import('./wire.js').Entry} Entry */

/** @typedef {{to: 'agent', undo: boolean} | {to: 'gate', type: 'close' | 'suspect'}
 *   | {to: 'gate', type: 'open', falseAlarm: boolean, now: boolean, rtp: number | null}
 *   | {to: 'gate', type: 'drain', now: false, rtp: number | null}
 *   | {to: 'gate', type: 'judge', verdict: 'speech' | 'echo' | 'noise' | 'unknown'}} Order */

export const REACTION_MS = 1_500;
export const PARDON_MS = 500;
const LATE_NEWS_MS = 300; // audio can be ahead of the message that says whose it is

const REACTIONS = new Set(['interruption.suspected', 'interruption.confirmed', 'playback.pause', 'playback.stop', 'cancel.requested']);

export class BargeIn {
  constructor() {
    /** @type {'open' | 'waiting' | 'held' | 'pardoned'} */
    this.state = 'open';
    this.byVoice = false;
    this.sinceMs = 0;
    this.cutReply = '';
    this.playingReply = '';
    this.speech = false;
  }

  /** The gate closed by its own detector. @param {number} nowMs @returns {Order[]} */
  closed(nowMs) {
    this.begin(nowMs, true);
    return [{ to: 'agent', undo: false }];
  }

  /** The person pressed stop or talk: silence at once. @param {number} nowMs @returns {Order[]} */
  stop(nowMs) {
    if (this.state !== 'open' || !this.playingReply) return [];
    this.begin(nowMs, false);
    return [{ to: 'gate', type: 'close' }];
  }

  /** @param {number} nowMs @param {boolean} byVoice */
  begin(nowMs, byVoice) {
    this.state = 'waiting';
    this.byVoice = byVoice;
    this.sinceMs = nowMs;
    this.cutReply = this.playingReply;
    this.speech = false;
  }

  /** @param {number} nowMs @returns {Order[]} */
  tick(nowMs) {
    if (this.state === 'pardoned' && nowMs - this.sinceMs >= PARDON_MS) return this.reopen(true);
    if (this.state !== 'waiting' || nowMs - this.sinceMs < REACTION_MS) return [];
    /** @type {Order[]} */
    const told = this.byVoice ? [{ to: 'agent', undo: true }] : [];
    return [...told, { to: 'gate', type: 'judge', verdict: 'unknown' }, ...this.reopen(true)];
  }

  /** The call is over, or a new one begins. @returns {Order[]} */
  reset() {
    this.playingReply = '';
    return [{ to: 'gate', type: 'judge', verdict: 'unknown' }, ...this.reopen(false)];
  }

  /** @param {Entry} entry @param {number} nowMs @returns {Order[]} */
  entry(entry, nowMs) {
    const reply = entry.payload.reply_id ?? '';
    if (entry.type === 'speech.started') this.speech = true;
    if (entry.type === 'interruption.suspected' && this.state === 'open') {
      this.speech = entry.payload.by === 'vad';
      return [{ to: 'gate', type: 'suspect' }];
    }
    if (REACTIONS.has(entry.type) && this.state === 'waiting') this.state = 'held';
    if (entry.type === 'interruption.confirmed') return [{ to: 'gate', type: 'judge', verdict: 'speech' }];
    if (entry.type === 'interruption.dismissed') return this.pardon(this.verdict(entry), nowMs);
    if (entry.type === 'playback.pause' || entry.type === 'playback.stop') return [{ to: 'gate', type: 'drain', now: false, rtp: entry.rtp_timestamp }];
    if (entry.type === 'playback.resume') return this.reopen(true, entry.rtp_timestamp);
    if (entry.type === 'playback.start' || entry.type === 'playback.mark') return this.played(entry, reply, nowMs);
    if (entry.type === 'reply.done' && reply === this.playingReply) this.playingReply = '';
    return [];
  }

  /** It goes on where the agent says. @param {'echo' | 'noise' | 'unknown'} verdict @param {number} nowMs @returns {Order[]} */
  pardon(verdict, nowMs) {
    if (this.state !== 'open') {
      this.state = 'pardoned';
      this.sinceMs = nowMs;
    }
    return [{ to: 'gate', type: 'judge', verdict }];
  }

  /** @param {Entry} entry @param {string} reply @param {number} nowMs @returns {Order[]} */
  played(entry, reply, nowMs) {
    const early = this.state === 'waiting' && this.cutReply === '' && nowMs - this.sinceMs < LATE_NEWS_MS;
    if (early) this.cutReply = reply;
    if (entry.type === 'playback.start') this.playingReply = reply;
    return reply === this.cutReply ? [] : this.reopen(false, entry.rtp_timestamp);
  }

  /** @param {Entry} entry @returns {'echo' | 'noise' | 'unknown'} */
  verdict(entry) {
    if (!this.speech) return 'echo';
    return entry.payload.evidence === 'no_words' ? 'noise' : 'unknown';
  }

  /** @param {boolean} falseAlarm @param {number | null} [rtp] of the audio to be heard again; none: at once @returns {Order[]} */
  reopen(falseAlarm, rtp) {
    if (this.state === 'open') return [];
    this.state = 'open';
    return [{ to: 'gate', type: 'open', falseAlarm, now: rtp === undefined, rtp: rtp ?? null }];
  }
}

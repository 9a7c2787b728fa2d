// @ts-check
/**
 * What to do after the page has cut its own playback: tell the agent, wait for its judgement, play again.
 *
 *     open      the gate closed by itself         waiting   device.cut
 *     waiting   the agent reacts                  held
 *     waiting   no reaction within 1.5 s          open      device.cut, undo
 *     waiting   none 0.3 s after the cut is known  open
 *     held      dismissed                         pardoned
 *     pardoned  nothing for 0.5 s                 open
 *     any       resumed, or another reply begins to be played: open
 *
 * The page's cut has the last word: what lies on the timeline in front of the command that tells of it was decided without it,
 * about an earlier suspicion, and however late it comes it opens nothing.
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
export const UNHEEDED_MS = 300; // it knows, and does nothing: it does not mean what was cut

const REACTIONS = new Set(['interruption.suspected', 'interruption.confirmed', 'playback.pause', 'playback.stop', 'cancel.requested']);
const SILENCES = new Set(['playback.pause', 'playback.stop']);
const PLAYS = new Set(['playback.start', 'playback.mark']);

export class BargeIn {
  constructor() {
    /** @type {'open' | 'waiting' | 'held' | 'pardoned'} */
    this.state = 'open';
    this.byVoice = false;
    this.sinceMs = 0;
    this.cutReply = '';
    this.playingReply = '';
    this.speech = false;
    /** The command that tells the agent of the cut, as long as it is not on the timeline. */
    this.untold = '';
    /** @type {number | null} since when the agent knows of the cut */
    this.knownMs = null;
    /** @type {{rtp: number | null, over: boolean} | null} where the agent fell silent, while it is so */
    this.silence = null;
  }

  /** The gate closed by its own detector; whatever it was told meanwhile to open for is void. @param {number} nowMs @returns {Order[]} */
  closed(nowMs) {
    this.begin(nowMs, true);
    return [{ to: 'agent', undo: false }, { to: 'gate', type: 'close' }];
  }

  /** The person pressed stop or talk: silence at once, and it stays. @param {number} nowMs @returns {Order[]} */
  stop(nowMs) {
    if (!this.playingReply) return [];
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
    this.untold = '';
    this.knownMs = null;
  }

  /** The agent is being told of the cut by this command. @param {string} eventId */
  told(eventId) {
    if (this.state === 'waiting' && this.knownMs === null) this.untold ||= eventId;
  }

  /** @param {number} nowMs @returns {Order[]} */
  tick(nowMs) {
    if (this.state === 'pardoned' && nowMs - this.sinceMs >= PARDON_MS) return this.reopen(true);
    if (this.state !== 'waiting') return [];
    const unheeded = this.knownMs !== null && nowMs - this.knownMs >= UNHEEDED_MS;
    if (!unheeded && nowMs - this.sinceMs < REACTION_MS) return [];
    /** @type {Order[]} */
    const undo = this.byVoice && !unheeded ? [{ to: 'agent', undo: true }] : [];
    return [...undo, { to: 'gate', type: 'judge', verdict: 'unknown' }, ...this.reopen(true)];
  }

  /** The call is over, or a new one begins. @returns {Order[]} */
  reset() {
    this.playingReply = '';
    this.silence = null;
    return [{ to: 'gate', type: 'judge', verdict: 'unknown' }, ...this.reopen(false)];
  }

  /** @param {Entry} entry @param {number} nowMs @returns {Order[]} */
  entry(entry, nowMs) {
    const reply = entry.payload.reply_id ?? '';
    this.follow(entry, reply);
    if (this.untold) return this.unknowing(entry, reply, nowMs);
    if (entry.type === 'interruption.suspected' && this.state === 'open') {
      this.speech = entry.payload.by === 'vad';
      return [{ to: 'gate', type: 'suspect' }];
    }
    if (REACTIONS.has(entry.type) && this.state === 'waiting') this.state = 'held';
    if (entry.type === 'interruption.confirmed') return [{ to: 'gate', type: 'judge', verdict: 'speech' }];
    if (entry.type === 'interruption.dismissed') return this.pardon(this.verdict(entry), nowMs);
    if (SILENCES.has(entry.type)) return [{ to: 'gate', type: 'drain', now: false, rtp: entry.rtp_timestamp }];
    if (entry.type === 'playback.resume') return this.reopen(true, entry.rtp_timestamp);
    if (PLAYS.has(entry.type) && reply !== this.cutReply) return this.reopen(false, entry.rtp_timestamp);
    return [];
  }

  /** What is so, whoever decided it. @param {Entry} entry @param {string} reply */
  follow(entry, reply) {
    if (entry.type === 'speech.started') this.speech = true;
    if (entry.type === 'playback.start') this.playingReply = reply;
    if (entry.type === 'playback.start' || entry.type === 'playback.resume') this.silence = null;
    if (SILENCES.has(entry.type)) this.silence = { rtp: entry.rtp_timestamp, over: entry.type === 'playback.stop' };
    if (entry.type === 'reply.done' && reply === this.playingReply) this.playingReply = '';
  }

  /** The agent had not heard of the cut yet. What it says to have been playing by then is what was cut: audio can be ahead of the
   * message that says whose it is. @param {Entry} entry @param {string} reply @param {number} nowMs @returns {Order[]} */
  unknowing(entry, reply, nowMs) {
    if (PLAYS.has(entry.type)) this.cutReply = reply;
    if (entry.event_id !== this.untold) return [];
    this.untold = '';
    this.knownMs = nowMs;
    if (!this.silence) return [];
    this.state = 'held';
    /** @type {Order[]} */
    const judged = this.silence.over ? [{ to: 'gate', type: 'judge', verdict: 'unknown' }] : [];
    return [...judged, { to: 'gate', type: 'drain', now: false, rtp: this.silence.rtp }];
  }

  /** It goes on where the agent says. @param {'echo' | 'noise' | 'unknown'} verdict @param {number} nowMs @returns {Order[]} */
  pardon(verdict, nowMs) {
    if (this.state !== 'open') {
      this.state = 'pardoned';
      this.sinceMs = nowMs;
    }
    return [{ to: 'gate', type: 'judge', verdict }];
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
    this.untold = '';
    return [{ to: 'gate', type: 'open', falseAlarm, now: rtp === undefined, rtp: rtp ?? null }];
  }
}

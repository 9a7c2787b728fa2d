// @ts-check
/** One call with the agent, over WebRTC, or over a WebSocket where that does not connect. */
import { ServerError, command, parseMessage } from './wire.js';
import { WebRtcLink } from './webrtc.js';
import { WebSocketLink } from './websocket.js';
import { LOOK_MS, Liveness } from './liveness.js';

/**
 * @typedef {object} LinkHandlers
 * @property {(json: string) => void} message
 * @property {(stream: MediaStream) => void} remote
 * @property {(rate: number) => import('./pcm_player.js').PcmPlayer | null} pcm
 * @property {(message: string) => void} lost
 */

/**
 * @typedef {object} CallHandlers
 * @property {(entry: import('./wire.js').Entry) => void} entry
 * @property {(code: string, message: string) => void} error
 * @property {(reason: string, again: boolean) => void} goodbye
 * @property {(hello: Record<string, any>) => void} hello which conversation this is, before anything of it
 * @property {(token: string) => void} token the session token has been renewed
 * @property {(stream: MediaStream) => void} remote what the agent says, as a stream
 * @property {(rate: number) => import('./pcm_player.js').PcmPlayer | null} pcm or as PCM: what plays it, if anything can
 * @property {(message: string) => void} trying
 * @property {(silent: boolean) => void} silent nothing comes from the agent for a while, or it does so again
 * @property {(message: string) => void} lost
 */

const CONNECT_MS = 6_000;
const HEARTBEAT_MS = 3_000;
const SENT_IDS = 100;
const REFUSED_PROBES = 2; // one can fail because the network changes
/** A call that is still silent so long after the network came back has lost its way: there may be another address. */
const MOVED_MS = 1_000;

export class Call {
  /**
   * @param {import('./server.js').Server} server
   * @param {import('./server.js').Config} config
   * @param {CallHandlers} handlers
   */
  constructor(server, config, handlers) {
    this.server = server;
    this.config = config;
    this.handlers = handlers;
    /** @type {WebRtcLink | WebSocketLink | null} */
    this.link = null;
    /** @type {'' | 'webrtc' | 'websocket'} */
    this.transport = '';
    this.heartbeat = 0;
    this.lookTimer = 0;
    this.silent = false;
    this.refused = 0;
    this.backMs = Infinity;
    this.over = false;
    /** The last entry that came, 0 before the first: what the person can have known when they asked for something. */
    this.seenSeq = 0;
    /** Ids of the commands that were sent last: what the agent says to one of them is for this page. @type {Set<string>} */
    this.sent = new Set();
  }

  /**
   * @param {MediaStreamTrack | null} track
   * @returns {Promise<string>} why WebRTC is not used, '' if it is. Rejects with what to tell the person.
   */
  async connect(track) {
    const why = await this.overWebRtc(track);
    if (this.over) throw new Error('The call was ended.');
    if (why) {
      this.handlers.trying(`${why} Trying without WebRTC…`);
      await this.overWebSocket();
    }
    if (this.over) throw new Error('The call was ended.');
    this.heartbeat = window.setInterval(() => this.send('heartbeat'), HEARTBEAT_MS);
    this.watch(new Liveness(performance.now()));
    return why;
  }

  /** @param {Liveness} liveness */
  watch(liveness) {
    if (!this.over) this.lookTimer = window.setTimeout(() => void this.look(liveness).then(() => this.watch(liveness)), LOOK_MS);
  }

  /** @param {Liveness} liveness */
  async look(liveness) {
    const received = (await this.link?.received()) ?? 0;
    if (this.over) return;
    if (received !== liveness.received) this.backMs = Infinity;
    const judgement = liveness.look(received, performance.now());
    const silent = judgement !== 'well';
    if (silent !== this.silent) this.handlers.silent(silent);
    this.silent = silent;
    this.refused = silent && (await this.server.refuses()) ? this.refused + 1 : 0;
    const moved = performance.now() - this.backMs >= MOVED_MS;
    if (this.over || (judgement !== 'gone' && this.refused < REFUSED_PROBES && !moved)) return;
    this.close();
    this.handlers.lost('The agent does not answer any more.');
  }

  /** The network was away, and is there again; perhaps another one. */
  networkIsBack() {
    this.backMs = performance.now();
  }

  /** @param {MediaStreamTrack | null} track @returns {Promise<string>} */
  async overWebRtc(track) {
    if (typeof RTCPeerConnection !== 'function') return 'This browser has no WebRTC.';
    const link = new WebRtcLink(this.server, this.config.ice_servers ?? [], this.linkHandlers());
    this.link = link;
    link.listen();
    try {
      await link.connect(track, AbortSignal.timeout(CONNECT_MS));
    } catch (error) {
      link.close();
      if (error instanceof ServerError && error.status !== 404 && error.status !== 501) throw error;
      return 'WebRTC does not connect on this network.';
    }
    this.transport = 'webrtc';
    return '';
  }

  async overWebSocket() {
    const link = new WebSocketLink(this.server, this.linkHandlers());
    this.link = link;
    await link.connect(AbortSignal.timeout(CONNECT_MS)).catch((error) => {
      link.close();
      throw error;
    });
    this.transport = 'websocket';
  }

  /** @returns {LinkHandlers} */
  linkHandlers() {
    const { remote, pcm, lost } = this.handlers;
    return { remote, pcm, message: (json) => this.receive(json), lost: (message) => {
      this.close();
      lost(message);
    } };
  }

  /** @param {string} json */
  receive(json) {
    if (this.over) return; // what is still on its way when the person hangs up is not theirs any more
    const message = parseMessage(json);
    if (message?.kind === 'entry') {
      this.seenSeq = message.entry.seq;
      if (message.entry.rtp_timestamp !== null && this.link instanceof WebRtcLink) this.link.sent(message.entry.rtp_timestamp);
      this.handlers.entry(message.entry);
    }
    if (message?.kind === 'hello') this.handlers.hello(message.payload);
    if (message?.kind === 'token') this.handlers.token(message.token);
    if (message?.kind === 'goodbye') this.handlers.goodbye(message.reason, message.again);
    if (message?.kind === 'error') this.handlers.error(message.code, message.message);
  }

  /** @param {string} type @param {Record<string, any>} [payload] @returns {import('./wire.js').Command | null} null if it could not be sent */
  send(type, payload = {}) {
    const message = command(type, { ...payload, seen_seq: this.seenSeq });
    if (!this.link?.send(JSON.stringify(message))) return null;
    this.sent.add(message.event_id);
    if (this.sent.size > SENT_IDS) this.sent.delete([...this.sent][0]);
    return message;
  }

  /** @param {ArrayBuffer} pcm int16 mono 16 kHz; needed over a WebSocket only */
  sendAudio(pcm) {
    if (this.link instanceof WebSocketLink) this.link.sendAudio(pcm);
  }

  /** What a cut or a stop says of where it cut. @param {number} [agoS] how long ago that was
   * @returns {{rtp_timestamp?: number, measured?: 'source' | 'stats' | 'player'}} */
  played(agoS = 0) {
    return this.link?.played(agoS) ?? {};
  }

  /** How long until the audio of this timestamp comes by in the audio graph, s. @param {number | null} rtpTimestamp */
  untilS(rtpTimestamp) {
    return this.link?.untilS(rtpTimestamp) ?? 0;
  }

  /** @param {MediaStreamTrack | null} track */
  async setTrack(track) {
    await this.link?.setTrack(track);
  }

  /** @param {boolean} [forGood] hang up; otherwise the conversation waits for this page to come back */
  close(forGood = false) {
    this.over = true;
    clearInterval(this.heartbeat);
    clearTimeout(this.lookTimer);
    this.link?.close(forGood);
  }
}

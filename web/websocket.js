// @ts-check
/** A call over a WebSocket: int16 PCM both ways as binary messages, the timeline as text. */
import { ServerError, parseMessage } from './wire.js';

/** @typedef {import('./session.js').LinkHandlers} LinkHandlers */

/** What waits in the page's own buffer at least; audio and messages come in one order. */
const BUFFER_S = 0.06;
const MAX_BEHIND_BYTES = 64_000; // two seconds of microphone: the network does not keep up, so drop

export class WebSocketLink {
  /** @param {import('./server.js').Server} server @param {LinkHandlers} handlers */
  constructor(server, handlers) {
    this.handlers = handlers;
    this.socket = new WebSocket(server.socketUrl);
    this.socket.binaryType = 'arraybuffer';
    this.over = false;
    this.ready = false;
    this.messages = 0;
    /** @type {import('./pcm_player.js').PcmPlayer | null} */
    this.player = null;
  }

  /** @param {AbortSignal} signal @returns {Promise<void>} when the agent has said hello */
  connect(signal) {
    return new Promise((resolve, reject) => {
      /** @type {Error | null} */
      let refusal = null;
      signal.addEventListener('abort', () => reject(signal.reason));
      this.socket.addEventListener('error', () => reject(new Error('The agent cannot be reached.')));
      this.socket.addEventListener('close', (event) => {
        reject(refusal ?? new Error(event.reason || 'The agent closed the connection.'));
        if (this.ready) this.lose(event.reason || 'The connection to the agent was lost.');
      });
      this.socket.addEventListener('message', (event) => {
        this.messages += 1;
        if (typeof event.data !== 'string') return this.player?.play(event.data);
        const message = this.ready ? null : parseMessage(event.data);
        if (message?.kind === 'error') {
          refusal = new ServerError(message.code, message.message, 0); // told once the socket closes
          return undefined;
        }
        if (message?.kind !== 'hello') return this.handlers.message(event.data);
        this.ready = true;
        this.handlers.message(event.data);
        this.player = this.handlers.pcm(message.payload.playout_rate ?? 48_000);
        return resolve();
      });
    });
  }

  /** @returns {Promise<number>} messages so far */
  async received() {
    return this.messages;
  }

  /** @param {ArrayBuffer} pcm */
  sendAudio(pcm) {
    if (this.ready && this.socket.readyState === WebSocket.OPEN && this.socket.bufferedAmount < MAX_BEHIND_BYTES) this.socket.send(pcm);
  }

  /** @param {string} json @returns {boolean} whether it could be sent */
  send(json) {
    if (this.socket.readyState !== WebSocket.OPEN) return false;
    this.socket.send(json);
    return true;
  }

  /** What had surely been in the audio graph so long ago: a timestamp here is the number of samples before. @param {number} agoS
   * @returns {{rtp_timestamp?: number, measured?: 'player'}} for a command; empty where it is not known */
  played(agoS) {
    const samples = this.player?.surely(agoS) ?? null;
    return samples === null ? {} : { rtp_timestamp: samples >>> 0, measured: 'player' };
  }

  /** How long until the audio of this timestamp comes by in the audio graph. @param {number | null} rtpTimestamp
   * @returns {number} s, negative for what has passed */
  untilS(rtpTimestamp) {
    return (rtpTimestamp === null ? null : this.player?.untilS(rtpTimestamp)) ?? BUFFER_S;
  }

  /** @param {string} message */
  lose(message) {
    if (this.over) return;
    this.over = true;
    this.handlers.lost(message);
  }

  /** The microphone reaches this link through the audio graph. */
  async setTrack() {}

  /** @param {boolean} forGood hang up; otherwise the conversation waits */
  close(forGood = false) {
    this.over = true;
    this.socket.close(1000, forGood ? 'hang up' : 'left');
  }
}

// @ts-check
/** A call over WebRTC: Opus both ways, the timeline on an ordered data channel. */
import { Playout, RTP_RATE, advanced } from './playout.js';
import { ServerError, serverError } from './wire.js';

/** @typedef {import('./session.js').LinkHandlers} LinkHandlers */

const GATHER_MS = 1_000;
/** From a frame's leaving the jitter buffer to its coming by in the audio graph. */
const GRAPH_S = 0.03;

export class WebRtcLink {
  /**
   * @param {import('./server.js').Server} server
   * @param {RTCIceServer[]} iceServers
   * @param {LinkHandlers} handlers
   */
  constructor(server, iceServers, handlers) {
    this.server = server;
    this.handlers = handlers;
    this.peer = new RTCPeerConnection({ iceServers, bundlePolicy: 'max-bundle' });
    this.channel = this.peer.createDataChannel('timeline', { ordered: true });
    /** @type {RTCRtpSender | null} */
    this.sender = null;
    this.location = '';
    /** @type {RTCRtpReceiver | null} */
    this.receiver = null;
    this.playout = new Playout();
    this.over = false;
    this.forGood = false;
  }

  /**
   * @param {MediaStreamTrack | null} track without one the line is open all the same, for a microphone that comes later
   * @param {AbortSignal} signal
   */
  async connect(track, signal) {
    const transceiver = this.peer.addTransceiver(track ?? 'audio', { direction: 'sendrecv' });
    this.sender = transceiver.sender;
    this.receiver = transceiver.receiver;
    this.peer.addEventListener('track', (event) => this.handlers.remote(event.streams[0] ?? new MediaStream([event.track])));
    await this.peer.setLocalDescription(await this.peer.createOffer());
    await this.gathered();
    signal.throwIfAborted();
    const response = await this.post(this.peer.localDescription?.sdp ?? '', signal);
    const location = response.headers.get('Location');
    if (location) this.location = new URL(location, response.url).href;
    if (this.over) {
      this.release();
      throw new Error('The call was ended.');
    }
    await this.peer.setRemoteDescription({ type: 'answer', sdp: await response.text() });
    await this.opened(signal);
    this.watch();
  }

  /** @param {string} body @param {AbortSignal} signal */
  async post(body, signal) {
    const headers = this.server.headers({ 'Content-Type': 'application/sdp', ...this.server.wish() });
    const response = await fetch(this.server.url('calls'), { method: 'POST', headers, body, signal }).catch((error) => {
      if (signal.aborted) throw error;
      throw new ServerError('unreachable', 'The agent cannot be reached. Is it running?', 0);
    });
    if (!response.ok) throw await serverError(response);
    return response;
  }

  /** All candidates go into the offer; without a STUN server they are there at once. */
  gathered() {
    if (this.peer.iceGatheringState === 'complete') return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, GATHER_MS);
      this.peer.addEventListener('icegatheringstatechange', () => {
        if (this.peer.iceGatheringState !== 'complete') return;
        clearTimeout(timer);
        resolve(undefined);
      });
    });
  }

  /** @param {AbortSignal} signal @returns {Promise<void>} */
  opened(signal) {
    return new Promise((resolve, reject) => {
      const failed = () => reject(signal.reason ?? new Error('WebRTC did not connect.'));
      this.channel.addEventListener('open', () => resolve());
      this.peer.addEventListener('connectionstatechange', () => this.peer.connectionState === 'failed' && failed());
      signal.addEventListener('abort', failed);
      if (this.channel.readyState === 'open') resolve();
      if (signal.aborted) failed();
    });
  }

  watch() {
    const lost = () => this.lose('The connection to the agent was lost.');
    this.channel.addEventListener('close', lost);
    // A disconnection may mend itself; if it does not, nothing is received.
    this.peer.addEventListener('connectionstatechange', () => this.peer.connectionState === 'failed' && lost());
  }

  /** @returns {Promise<number>} packets of audio so far */
  async received() {
    let packets = 0;
    for (const report of (await this.receiver?.getStats())?.values() ?? []) {
      if (report.type !== 'inbound-rtp') continue;
      packets += report.packetsReceived ?? 0;
      this.playout.look(report);
    }
    return packets;
  }

  /** A message came that names the audio sent just before it. @param {number} rtpTimestamp */
  sent(rtpTimestamp) {
    this.playout.sent(rtpTimestamp, performance.now());
  }

  /** What leaves the jitter buffer: as the browser says, or as follows from its statistics.
   * @returns {{rtp: number, withinS: number, measured: 'source' | 'stats'} | null} where it is known */
  playing() {
    const source = this.receiver?.getSynchronizationSources?.()[0];
    if (typeof source?.rtpTimestamp === 'number') return { rtp: source.rtpTimestamp, withinS: 0, measured: 'source' };
    const estimate = this.playout.at(performance.now());
    return estimate && { ...estimate, measured: 'stats' };
  }

  /** How long until the audio of this timestamp comes by in the audio graph. @param {number | null} rtpTimestamp
   * @returns {number} s, negative for what has passed; 0 where it is not known */
  untilS(rtpTimestamp) {
    const playing = this.playing();
    if (rtpTimestamp === null || !playing) return 0;
    return ((rtpTimestamp - playing.rtp) | 0) / RTP_RATE + GRAPH_S; // 32 bits, which wrap around
  }

  /** What had surely been in the audio graph so long ago. @param {number} agoS
   * @returns {{rtp_timestamp?: number, measured?: 'source' | 'stats'}} for a command; empty where it is not known */
  played(agoS) {
    const playing = this.playing();
    if (!playing) return {};
    const { rtp, withinS, measured } = playing;
    return { rtp_timestamp: advanced(rtp, -(GRAPH_S + agoS + withinS) * 1000), measured };
  }

  /** @param {string} message */
  lose(message) {
    if (this.over) return;
    this.close();
    this.handlers.lost(message);
  }

  /** Messages that arrive before somebody listens would be lost, so listen from the start. */
  listen() {
    this.channel.addEventListener('message', (event) => typeof event.data === 'string' && this.handlers.message(event.data));
  }

  /** @param {string} json @returns {boolean} whether it could be sent */
  send(json) {
    if (this.channel.readyState !== 'open') return false;
    this.channel.send(json);
    return true;
  }

  /** @param {MediaStreamTrack | null} track */
  async setTrack(track) {
    await this.sender?.replaceTrack(track);
  }

  /** @param {boolean} forGood hang up; otherwise the conversation waits */
  close(forGood = false) {
    if (this.over) return;
    this.over = true;
    this.forGood = forGood;
    this.release();
    this.peer.close();
  }

  /** Tell the agent; while the offer is on its way there is no call yet that could be named. */
  release() {
    const location = this.location && `${this.location}${this.forGood ? '' : '?resume=true'}`;
    if (location) fetch(location, { method: 'DELETE', keepalive: true, headers: this.server.headers(this.server.wish()) }).catch(() => undefined);
  }
}

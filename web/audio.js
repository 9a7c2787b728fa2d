// @ts-check
/**
 * The page's audio graph:
 *
 *     microphone ──┬─▶ gate input 0
 *                  └─▶ pcm-capture ─▶ frames            (WebSocket only)
 *     remote stream or pcm-player ─▶ gate input 1 ─▶ gate ─▶ loudspeaker
 *
 * Without AudioWorklet (a page that is not on https or localhost) the remote stream goes straight to an
 * audio element: the agent can be heard, but there is no local cut and no PCM.
 */

import { PcmPlayer } from './pcm_player.js';

/** @typedef {{type: 'closed', byVoice: boolean, onsetAt: number, closedAt: number} | {type: 'opened', at: number}
 *   | {type: 'remote', on: boolean, at: number}
 *   | {type: 'levels', micDb: number, remoteDb: number, floorDb: number, thresholdDb: number, couplingDb: number,
 *      closed: boolean}} GateMessage */

/** @typedef {HTMLMediaElement & {setSinkId?: (id: string) => Promise<void>}} SinkElement */
/** @typedef {AudioContext & {setSinkId?: (id: string) => Promise<void>}} SinkContext */

/**
 * Firefox on Linux asks PulseAudio for `outputLatency` with its audio graph locked. If PulseAudio waits for that graph just then,
 * the whole tab hangs for ever, which was one call in five; so it is not asked there.
 */
const ASKING_HANGS = /Linux.*Firefox\//.test(navigator.userAgent);
const ASSUMED_LATENCY_S = 0.04; // it answers 30 to 50 ms

/** @param {string} name */
const worklet = (name) => new URL(`./worklets/${name}`, import.meta.url).href;

export class AudioGraph {
  /** @param {{gate: (message: GateMessage) => void, blocked: (blocked: boolean) => void}} handlers */
  constructor(handlers) {
    this.handlers = handlers;
    /** @type {SinkContext} */
    this.context = new AudioContext({ latencyHint: 'interactive' });
    /** @type {AudioWorkletNode | null} */
    this.gate = null;
    /** @type {MediaStreamAudioSourceNode | null} */
    this.microphone = null;
    /** @type {AudioNode | null} */
    this.remote = null;
    /** @type {AudioWorkletNode | null} */
    this.capture = null;
    /** @type {MediaStreamAudioDestinationNode | null} */
    this.detour = null;
    /** Chromium feeds a remote stream into the graph only while an element plays it too. */
    this.keeper = /** @type {SinkElement} */ (new Audio());
    this.speaker = /** @type {SinkElement} */ (new Audio());
    this.onState = () => handlers.blocked(this.context.state !== 'running' && this.context.state !== 'closed');
    this.context.addEventListener('statechange', this.onState);
    /** Without the graph the element is what is heard. */
    this.onSilence = () => (this.gate ? this.onState() : handlers.blocked(true));
  }

  /** @param {Record<string, any>} gateOptions see energy_gate.js */
  async start(gateOptions) {
    if (!this.context.audioWorklet || this.gate) return;
    await Promise.all([this.context.audioWorklet.addModule(worklet('gate.js')), this.context.audioWorklet.addModule(worklet('pcm.js'))]);
    this.gate = new AudioWorkletNode(this.context, 'gate', {
      numberOfInputs: 2, numberOfOutputs: 1, outputChannelCount: [2], processorOptions: gateOptions });
    this.gate.port.onmessage = (event) => this.handlers.gate(event.data);
    this.gate.connect(this.context.destination);
    await this.resume();
  }

  /** To be called from a gesture where the browser blocks sound. */
  async resume() {
    const running = this.context.resume().catch(() => undefined);
    const timeout = new Promise((done) => setTimeout(done, 300)); // resume() waits for ever without a gesture
    await Promise.race([running, timeout]);
    if (this.keeper.srcObject) this.keeper.play().catch(this.onSilence);
    this.onState();
  }

  /** @param {Record<string, any>} message to the gate */
  tell(message) {
    this.gate?.port.postMessage(message);
  }

  /** @param {MediaStream | null} stream */
  setMicrophone(stream) {
    this.microphone?.disconnect();
    this.microphone = null;
    if (!stream || !this.gate) return;
    this.microphone = this.context.createMediaStreamSource(stream);
    this.microphone.connect(this.gate, 0, 0);
    if (this.capture) this.microphone.connect(this.capture);
  }

  /** @param {MediaStream} stream what the agent says, over WebRTC */
  playStream(stream) {
    this.keeper.srcObject = stream;
    this.keeper.muted = this.gate !== null;
    this.keeper.play().catch(this.onSilence);
    if (this.gate) this.setRemote(this.context.createMediaStreamSource(stream));
  }

  /** @param {number} rate Hz @returns {PcmPlayer | null} null where it cannot be played */
  playPcm(rate) {
    if (!this.gate) return null;
    const player = new PcmPlayer(this.context, rate);
    this.setRemote(player.node);
    return player;
  }

  /** @param {(pcm: ArrayBuffer) => void} frame gets 20 ms of int16 mono 16 kHz at a time */
  capturePcm(frame) {
    if (!this.gate) return;
    this.capture?.port.postMessage(null);
    this.capture?.disconnect();
    this.capture = new AudioWorkletNode(this.context, 'pcm-capture', { numberOfOutputs: 1 });
    this.capture.port.onmessage = (event) => frame(event.data);
    this.capture.connect(this.context.destination); // silent; a node that leads nowhere is not run
    this.microphone?.connect(this.capture);
  }

  /** @param {AudioNode} node */
  setRemote(node) {
    this.remote?.disconnect();
    if (this.remote instanceof AudioWorkletNode) this.remote.port.postMessage(null);
    this.remote = node;
    if (this.gate) node.connect(this.gate, 0, 1);
  }

  /** Chromium chooses the loudspeaker of the context, Firefox only that of an element; Safari may do neither. */
  get canChooseSpeaker() {
    return typeof this.context.setSinkId === 'function' || typeof this.speaker.setSinkId === 'function';
  }

  /** @param {string} deviceId '' for the system's default */
  async setSpeaker(deviceId) {
    if (this.context.setSinkId) await this.context.setSinkId(deviceId);
    else if (this.gate && this.speaker.setSinkId) {
      if (!this.detour) {
        this.detour = this.context.createMediaStreamDestination();
        this.speaker.srcObject = this.detour.stream;
      }
      this.gate.disconnect();
      this.gate.connect(deviceId ? this.detour : this.context.destination);
      await this.speaker.setSinkId(deviceId);
      if (deviceId) await this.speaker.play();
      else this.speaker.pause();
    }
    if (!this.gate && this.keeper.setSinkId) await this.keeper.setSinkId(deviceId);
  }

  /** From a sample in the graph to the ear, in ms, as far as the browser says, and may be asked. */
  get outputLatencyMs() {
    const { baseLatency = 0 } = this.context;
    const outputLatency = ASKING_HANGS ? ASSUMED_LATENCY_S : this.context.outputLatency ?? 0;
    return Math.round((baseLatency + outputLatency) * 1000);
  }

  /** When a quantum of the graph is heard, on the clock of `performance.now()`. @param {number} contextTime s */
  heardAtMs(contextTime) {
    return performance.now() + (contextTime - this.context.currentTime) * 1000 + this.outputLatencyMs;
  }

  async stop() {
    this.context.removeEventListener('statechange', this.onState);
    for (const element of [this.keeper, this.speaker]) {
      element.pause();
      element.srcObject = null;
    }
    if (this.context.state !== 'closed') await this.context.close();
  }
}

// @ts-check
/// <reference path="./globals.d.ts" />
/**
 * Playback gate: input 0 is the microphone, input 1 what the agent says; the output is input 1 or
 * silence. The detector runs in the same quantum as the gain, so no thread has to be waited for.
 *
 * Messages out: {type:'closed', byVoice, onsetAt, closedAt}, {type:'opened', at}, {type:'remote', on, at},
 * {type:'levels', micDb, remoteDb, floorDb, thresholdDb, couplingDb, closed}; times are those of the
 * AudioContext, in seconds. Messages in: {type:'configure', options}, {type:'close'}, {type:'suspect'},
 * {type:'judge', verdict}, and, with the seconds until the audio they speak of comes by, {type:'drain', afterS} and
 * {type:'open', afterS, falseAlarm}.
 */
import { AUDIBLE_POWER, EnergyGate, meanSquare } from './energy_gate.js';
import { Reopening } from './reopening.js';

const LEVELS_EVERY_QUANTA = 12;

class GateProcessor extends AudioWorkletProcessor {
  /** @param {AudioWorkletNodeOptions} options */
  constructor(options) {
    super(options);
    this.gate = new EnergyGate(sampleRate, options.processorOptions ?? {});
    this.reopening = new Reopening();
    this.gain = 1;
    this.quanta = 0;
    this.playing = false;
    this.port.onmessage = (event) => this.obey(event.data);
  }

  /** @param {Record<string, any>} message */
  obey(message) {
    if (message.type === 'configure') this.gate.configure(message.options);
    else if (message.type === 'close') this.close();
    else if (message.type === 'suspect') this.gate.suspect();
    else if (message.type === 'judge') this.gate.judge(message.verdict);
    else if (message.type === 'drain') this.reopening.drain(currentTime, message.afterS);
    else if (message.type === 'open') this.reopening.open(currentTime, message.afterS, message.falseAlarm === true);
  }

  open() {
    if (this.gate.closed) this.port.postMessage({ type: 'opened', at: currentTime });
    this.gate.open(this.reopening.falseAlarm);
  }

  close() {
    this.reopening.cancel();
    if (this.gate.closed) return;
    this.gate.close();
    this.port.postMessage({ type: 'closed', byVoice: false, onsetAt: currentTime, closedAt: currentTime });
  }

  /** @param {Float32Array[][]} inputs @param {Float32Array[][]} outputs */
  process(inputs, outputs) {
    const quantumS = (outputs[0][0]?.length ?? 128) / sampleRate;
    const remotePower = meanSquare(inputs[1]?.[0]);
    if (this.reopening.step(currentTime, remotePower > AUDIBLE_POWER)) this.open();
    const cutAfter = this.gate.step(meanSquare(inputs[0]?.[0]), remotePower);
    this.render(inputs[1] ?? [], outputs[0]);
    if (cutAfter > 0) {
      this.reopening.cancel();
      const closedAt = currentTime + quantumS;
      this.port.postMessage({ type: 'closed', byVoice: true, onsetAt: closedAt - cutAfter * quantumS, closedAt });
    }
    if (this.gate.playing !== this.playing) {
      this.playing = this.gate.playing;
      this.port.postMessage({ type: 'remote', on: this.playing, at: currentTime });
    }
    if (++this.quanta % LEVELS_EVERY_QUANTA === 0) this.report();
    return true;
  }

  /** @param {Float32Array[]} input @param {Float32Array[]} output */
  render(input, output) {
    const target = this.gate.gain;
    const slope = output[0] ? (target - this.gain) / output[0].length : 0;
    for (let channel = 0; channel < output.length; channel++) {
      const source = input[Math.min(channel, input.length - 1)];
      const sink = output[channel];
      if (!source) continue;
      for (let i = 0; i < sink.length; i++) sink[i] = source[i] * (this.gain + slope * (i + 1));
    }
    this.gain = target;
  }

  report() {
    const { micDb, remoteDb, floorDb, thresholdDb, couplingDb, closed } = this.gate;
    this.port.postMessage({ type: 'levels', micDb, remoteDb, floorDb, thresholdDb, couplingDb, closed });
  }
}

registerProcessor('gate', GateProcessor);

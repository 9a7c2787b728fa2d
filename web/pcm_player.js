// @ts-check
/** Plays PCM in the audio graph, and knows how much of it has come by there. */

export class PcmPlayer {
  /** @param {AudioContext} context @param {number} rate Hz, of what is to be played */
  constructor(context, rate) {
    this.context = context;
    this.rate = rate;
    this.node = new AudioWorkletNode(context, 'pcm-player', { numberOfInputs: 0, outputChannelCount: [1], processorOptions: { rate } });
    /** How many samples had come by at a time of the context. @type {{samples: number, at: number} | null} */
    this.told = null;
    this.node.port.onmessage = ({ data }) => (this.told = data);
  }

  /** @param {ArrayBuffer} pcm int16 mono */
  play(pcm) {
    this.node.port.postMessage(pcm, [pcm]);
  }

  /** How many samples had surely come by so long ago. @param {number} agoS @returns {number | null} null where it is not known */
  surely(agoS) {
    if (!this.told) return null;
    const sinceS = Math.max(0, this.told.at - (this.context.currentTime - agoS));
    return Math.max(0, Math.floor(this.told.samples - sinceS * this.rate));
  }

  /** How long until this sample comes by. @param {number} sample its number in 32 bits, which wrap around @returns {number | null} s, null where it is not known */
  untilS(sample) {
    return this.told && ((sample - this.told.samples) | 0) / this.rate - (this.context.currentTime - this.told.at);
  }
}

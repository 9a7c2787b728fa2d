// @ts-check
/** The audio of a stored conversation: fetched, decoded, played from any position, either side by itself. */

/** @typedef {{startMs: number, buffer: AudioBuffer}} Part */

const RATE = 16_000;

export class Recording {
  /** @param {Part[]} parts @param {AudioContext} context */
  constructor(parts, context) {
    this.parts = parts;
    this.context = context;
    const merge = new ChannelMergerNode(context, { numberOfInputs: 1 });
    merge.connect(context.destination);
    this.gains = [0, 1].map(() => {
      const gain = new GainNode(context);
      gain.connect(merge, 0, 0);
      return gain;
    });
    /** @type {AudioBufferSourceNode[]} */
    this.sources = [];
  }

  /**
   * @param {{start_ms: number, path: string}[]} audio
   * @param {(path: string) => Promise<ArrayBuffer>} load
   */
  static async load(audio, load) {
    const context = new AudioContext({ sampleRate: RATE });
    const parts = await Promise.all(audio.map(async ({ start_ms: startMs, path }) =>
      ({ startMs, buffer: await context.decodeAudioData(await load(path)) })));
    return new Recording(parts, context);
  }

  get endMs() {
    return Math.max(0, ...this.parts.map(({ startMs, buffer }) => startMs + buffer.duration * 1000));
  }

  /** @param {number} atMs position of the session */
  async play(atMs) {
    this.stop();
    await this.context.resume();
    const now = this.context.currentTime;
    for (const { startMs, buffer } of this.parts) {
      const offset = (atMs - startMs) / 1000;
      if (offset >= buffer.duration) continue;
      const source = new AudioBufferSourceNode(this.context, { buffer });
      const split = new ChannelSplitterNode(this.context, { numberOfOutputs: 2 });
      source.connect(split);
      this.gains.forEach((gain, lane) => split.connect(gain, lane, 0));
      source.start(now + Math.max(0, -offset), Math.max(0, offset));
      this.sources.push(source);
    }
  }

  stop() {
    for (const source of this.sources.splice(0)) source.stop();
  }

  /** @param {number} lane 0 the user, 1 the agent @param {boolean} muted */
  mute(lane, muted) {
    this.gains[lane].gain.value = muted ? 0 : 1;
  }

  /** The loudest of each column, 0 to 1. @param {number} lane @param {number} fromMs @param {number} toMs @param {number} columns */
  peaks(lane, fromMs, toMs, columns) {
    const found = new Float32Array(columns);
    const perColumn = (toMs - fromMs) / columns;
    for (const { startMs, buffer } of this.parts) {
      const pcm = buffer.getChannelData(lane);
      for (let column = 0; column < columns; column += 1) {
        const from = Math.max(0, Math.round(((fromMs + column * perColumn - startMs) * RATE) / 1000));
        const to = Math.min(pcm.length, Math.round(((fromMs + (column + 1) * perColumn - startMs) * RATE) / 1000));
        for (let at = from; at < to; at += 1) found[column] = Math.max(found[column], Math.abs(pcm[at]));
      }
    }
    return found;
  }
}

// @ts-check
/** Opening the microphone, and what to tell the person when it does not open. */

/** @typedef {{stream: MediaStream | null, state: 'on' | 'denied' | 'absent', message: string}} Opened */

const TYPING = 'You can type instead.';

/** @param {string} deviceId '' for the default @returns {MediaStreamConstraints} */
const constraints = (deviceId) => ({
  audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true, ...(deviceId ? { deviceId: { exact: deviceId } } : {}) },
});

/** @param {string} deviceId '' for the default @returns {Promise<Opened>} never rejects */
export async function openMicrophone(deviceId) {
  if (!navigator.mediaDevices?.getUserMedia) {
    const text = `Browsers give a microphone only to pages on https or localhost. Open this page there to talk. ${TYPING}`;
    return { stream: null, state: 'absent', message: text };
  }
  try {
    return { stream: await navigator.mediaDevices.getUserMedia(constraints(deviceId)), state: 'on', message: '' };
  } catch (error) {
    const name = error instanceof Error ? error.name : '';
    if (deviceId && (name === 'OverconstrainedError' || name === 'NotFoundError')) return openMicrophone('');
    return failure(name);
  }
}

/** @param {string} name of the DOMException @returns {Opened} */
function failure(name) {
  if (name === 'NotAllowedError' || name === 'SecurityError') {
    const text = 'The microphone is blocked. Allow it for this page: click the icon at the left of the address, set Microphone to Allow, '
      + `then choose “Try again”. On a Mac or a phone also check the system's privacy settings. ${TYPING}`;
    return { stream: null, state: 'denied', message: text };
  }
  if (name === 'NotFoundError' || name === 'OverconstrainedError') {
    return { stream: null, state: 'absent', message: `No microphone was found. Plug one in and it will be used. ${TYPING}` };
  }
  const text = `The microphone does not open; another program may be using it. Close that, then choose “Try again”. ${TYPING}`;
  return { stream: null, state: 'absent', message: text };
}

/** @returns {Promise<{inputs: MediaDeviceInfo[], outputs: MediaDeviceInfo[]}>} */
export async function listDevices() {
  const all = (await navigator.mediaDevices?.enumerateDevices().catch(() => [])) ?? [];
  const named = all.filter((device) => device.deviceId && device.deviceId !== 'default' && device.deviceId !== 'communications');
  return { inputs: named.filter(({ kind }) => kind === 'audioinput'), outputs: named.filter(({ kind }) => kind === 'audiooutput') };
}

/** @param {MediaStream | null} stream */
function stopTracks(stream) {
  for (const track of stream?.getTracks() ?? []) track.stop();
}

/** The microphone in use: opens it, notices when it goes, and takes another one then. */
export class MicrophoneKeeper {
  /** @param {(now: {state: 'off' | 'on' | 'denied' | 'absent' | 'lost', message: string}) => void} tell */
  constructor(tell) {
    this.tell = tell;
    this.deviceId = '';
    /** @type {MediaStream | null} */
    this.stream = null;
    /** @type {'off' | 'on' | 'denied' | 'absent' | 'lost'} */
    this.state = 'off';
    /** @type {object | null} names the attempt that waits for the person's leave */
    this.opening = null;
  }

  /** @returns {MediaStreamTrack | null} */
  get track() {
    return this.stream?.getAudioTracks()[0] ?? null;
  }

  /** @param {string} deviceId '' for the default @param {string} [why] to be said when it worked */
  async open(deviceId, why = '') {
    if (this.opening) return;
    const opening = (this.opening = {});
    const opened = await openMicrophone(deviceId);
    if (this.opening !== opening) return stopTracks(opened.stream); // closed before the person gave leave
    this.opening = null;
    this.drop();
    this.deviceId = opened.stream ? deviceId : this.deviceId;
    this.stream = opened.stream;
    const track = this.track;
    track?.addEventListener('ended', () => void this.lost(track));
    this.set(opened.state, opened.message || why);
  }

  /** @param {MediaStreamTrack} track */
  async lost(track) {
    if (track !== this.track) return;
    this.drop();
    this.set('lost', 'The microphone was unplugged. Looking for another one…');
    await this.open('', 'The microphone was unplugged; the system’s default is used now.');
  }

  /** A device came or went: if there was none, this may be it. */
  async devicesChanged() {
    if (this.state !== 'absent' && this.state !== 'lost') return;
    const { inputs } = await listDevices();
    if (inputs.length > 0) await this.open('', 'A microphone is there now and is being used.');
  }

  /** @param {boolean} on */
  enable(on) {
    if (this.track) this.track.enabled = on;
  }

  drop() {
    const stream = this.stream;
    this.stream = null;
    stopTracks(stream);
  }

  close() {
    this.opening = null;
    this.drop();
    this.set('off', '');
  }

  /** @param {'off' | 'on' | 'denied' | 'absent' | 'lost'} state @param {string} message */
  set(state, message) {
    this.state = state;
    this.tell({ state, message });
  }
}

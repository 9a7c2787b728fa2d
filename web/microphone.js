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

// @ts-check
/** Fold of the timeline into who is here, and which device is live: whose microphone and loudspeaker count. Pure. */

/** @typedef {import('./wire.js').Entry} Entry */

/**
 * One device, in the words of the timeline. With neither microphone nor loudspeaker it only watches.
 * @typedef {object} Device
 * @property {string} device_id
 * @property {string} name what people call it, if it is known
 * @property {string} transport
 * @property {string} since when it joined: UTC, ISO-8601
 * @property {boolean} microphone
 * @property {boolean} speaker
 * @property {boolean} control its commands get through
 * @property {boolean} media the audio of its microphone arrives
 */

/** @typedef {{live: string, devices: Device[]}} Presence devices in the order in which they joined; `live` '' for none */

/** @returns {Presence} */
export const emptyPresence = () => ({ live: '', devices: [] });

/** @param {Presence} state @param {Entry} entry @returns {Presence} */
export function foldPresence(state, entry) {
  const { payload } = entry;
  switch (entry.type) {
    case 'device.joined':
      return { ...state, devices: joined(state.devices, payload, entry.ts) };
    case 'device.left':
      return { ...state, devices: state.devices.filter((device) => device.device_id !== payload.device_id) };
    case 'device.link':
      return { ...state, devices: changed(state.devices, payload.device_id, { control: payload.control === true, media: payload.media !== false }) };
    case 'device.focused':
      return { ...state, live: payload.device_id };
    case 'session.closed':
    case 'session.resumed':
      return emptyPresence();
    default:
      return state;
  }
}

/** @param {Device[]} devices @param {Record<string, any>} payload @param {string} ts @returns {Device[]} */
function joined(devices, payload, ts) {
  const { device_id, name = '', transport, microphone = true, speaker = true } = payload;
  const before = devices.find((device) => device.device_id === device_id);
  if (before) return changed(devices, device_id, { name: name || before.name, transport, microphone, speaker });
  return [...devices, { device_id, name, transport, since: ts, microphone, speaker, control: true, media: true }];
}

/** @param {Device[]} devices @param {string} id @param {Partial<Device>} changes @returns {Device[]} */
const changed = (devices, id, changes) => devices.map((device) => (device.device_id === id ? { ...device, ...changes } : device));

const TRANSPORT_WORDS = /** @type {Record<string, string>} */ ({ webrtc: 'WebRTC', websocket: 'WebSocket', sse: 'events only' });

/** @param {Device} device */
export const nameOf = (device) => device.name || 'A device';

/** What it can do, in a few words. @param {Device} device */
export function abilitiesOf({ microphone, speaker, transport, control, media }) {
  const sound = [microphone && 'microphone', speaker && 'loudspeaker'].filter(Boolean).join(' and ') || 'watching only';
  const lost = (control ? '' : ', its buttons do not get through') + (media ? '' : ', it is not heard');
  return `${sound[0].toUpperCase()}${sound.slice(1)}, ${TRANSPORT_WORDS[transport] ?? transport}${lost}`;
}

/** Which of them this page is not, and that is live. @param {Presence} presence @param {string} ownId @returns {Device | null} */
export function liveElsewhere({ live, devices }, ownId) {
  return live === ownId ? null : devices.find((device) => device.device_id === live) ?? null;
}

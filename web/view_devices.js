// @ts-check
/** The devices of the conversation, once there are two: which one is live, who is here, and a button to talk here. */
import { byId, KeyedList, make, setText } from './dom.js';
import { abilitiesOf, liveElsewhere, nameOf } from './presence.js';

/** @typedef {import('./presence.js').Presence} Presence */
/** @typedef {import('./presence.js').Device} Device */
/** @typedef {{device: Device, own: boolean, live: boolean}} Row */

export class DevicesView {
  /** @param {() => void} takeOver */
  constructor(takeOver) {
    this.place = byId('devices', HTMLElement);
    this.says = byId('devices-live', HTMLElement);
    this.here = byId('devices-here', HTMLButtonElement);
    this.more = byId('devices-more', HTMLButtonElement);
    this.rows = byId('devices-list', HTMLElement);
    this.list = new KeyedList(this.rows, (/** @type {Row} */ row) => row.device.device_id, rowOf);
    this.here.addEventListener('click', takeOver);
    this.more.addEventListener('click', () => this.open(this.rows.hidden));
    document.addEventListener('pointerdown', ({ target }) => {
      if (target instanceof Node && !this.place.contains(target)) this.open(false);
    });
    this.place.addEventListener('keydown', (event) => {
      if (event.key !== 'Escape' || this.rows.hidden) return;
      event.stopPropagation(); // it closes the list, and does not stop the agent
      this.open(false);
      this.more.focus();
    });
  }

  /** @param {boolean} open */
  open(open) {
    this.rows.hidden = !open;
    this.more.setAttribute('aria-expanded', String(open));
  }

  /** @param {Presence} presence @param {string} ownId @param {boolean} connected */
  render(presence, ownId, connected) {
    const { devices, live } = presence;
    this.place.hidden = !connected || devices.length < 2;
    if (this.place.hidden) return this.open(false);
    const own = devices.find((device) => device.device_id === ownId);
    this.place.dataset.live = String(live === ownId);
    setText(this.says, liveText(presence, ownId));
    const canTalk = own !== undefined && (own.microphone || own.speaker);
    if (this.here === document.activeElement && live === ownId) this.more.focus(); // the button goes
    this.here.hidden = live === ownId || !canTalk;
    setText(this.more, `${devices.length} devices`);
    this.list.render(devices.map((device) => ({ device, own: device.device_id === ownId, live: device.device_id === live })));
  }
}

/** @param {Presence} presence @param {string} ownId */
export function liveText(presence, ownId) {
  if (presence.live === ownId) return 'This device is live.';
  const other = liveElsewhere(presence, ownId);
  return other ? `${nameOf(other)} is live: talk and listen there.` : 'No device can be talked to.';
}

/** @param {Row} row */
function rowOf({ device, own, live }) {
  const since = new Date(device.since).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
  const name = make('strong', {}, [nameOf(device)]);
  const marks = [own && 'this device', live && 'live'].filter(Boolean).map((mark) => make('span', { class: 'mark' }, [String(mark)]));
  return make('li', { 'data-live': String(live) }, [make('p', {}, [name, ...marks]), make('p', { class: 'hint' }, [`${abilitiesOf(device)}, since ${since}`])]);
}

// @ts-check
/** Sliders for the thresholds of voice detection, turn taking and interruption. */
import { byId, make, setText } from './dom.js';

/** @typedef {import('./state.js').Values} Values */
/** @typedef {{key: string, label: string, min: number, max: number, step: number, unit: string, help?: string}} Slider */

/** @type {[string, Slider[]][]} */
export const GROUPS = [
  ['Voice detection', [
    { key: 'vad.aggressiveness', label: 'Aggressiveness', min: 0, max: 3, step: 1, unit: '', help: 'Higher takes less for speech.' },
    { key: 'vad.threshold', label: 'Speech probability', min: 0, max: 1, step: 0.05, unit: '' },
    { key: 'vad.onset_ms', label: 'Speech before it counts', min: 10, max: 300, step: 10, unit: 'ms' },
    { key: 'vad.hangover_ms', label: 'Silence before it ends', min: 10, max: 1000, step: 10, unit: 'ms' },
    { key: 'vad.min_rms', label: 'Quietest speech', min: 0, max: 1000, step: 10, unit: '' },
  ]],
  ['End of your turn', [
    { key: 'endpointing.floor_ms', label: 'After a complete request', min: 0, max: 1000, step: 10, unit: 'ms' },
    { key: 'endpointing.neutral_ms', label: 'When it is not clear', min: 0, max: 2000, step: 20, unit: 'ms' },
    { key: 'endpointing.ceiling_ms', label: 'After “and”, “the”, …', min: 0, max: 4000, step: 50, unit: 'ms' },
    { key: 'endpointing.stable_ms', label: 'Words unchanged for', min: 0, max: 1000, step: 10, unit: 'ms' },
  ]],
  ['Interrupting the agent', [
    { key: 'interruption.min_words', label: 'Words that interrupt', min: 1, max: 5, step: 1, unit: '' },
    { key: 'interruption.voiced_ms', label: 'Speech that interrupts', min: 50, max: 2000, step: 50, unit: 'ms' },
    { key: 'interruption.window_ms', label: 'Wait for words', min: 0, max: 2000, step: 50, unit: 'ms' },
  ]],
  ['This page’s own cut', [
    { key: 'browser.onset_db', label: 'Above the noise', min: 0, max: 40, step: 1, unit: 'dB' },
    { key: 'browser.min_db', label: 'Quietest speech', min: -80, max: -10, step: 1, unit: 'dB' },
    { key: 'browser.echo_db', label: 'Above the expected echo', min: 0, max: 30, step: 1, unit: 'dB' },
  ]],
  ['Voice', [{ key: 'tts.speed', label: 'Speed', min: 0.5, max: 3, step: 0.05, unit: '×' }]],
];

const ORDERED = ['endpointing.floor_ms', 'endpointing.neutral_ms', 'endpointing.ceiling_ms'];

/**
 * A change with what it drags along: the delays of endpointing must not cross. In an order in which each
 * step alone is allowed.
 * @param {Values} settings @param {string} key @param {number | boolean} value @returns {Values}
 */
export function withNeighbours(settings, key, value) {
  const at = ORDERED.indexOf(key);
  if (at < 0 || typeof value !== 'number') return { [key]: value };
  const above = ORDERED.slice(at + 1).filter((other) => Number(settings[other]) < value).reverse();
  const below = ORDERED.slice(0, at).filter((other) => Number(settings[other]) > value);
  return Object.fromEntries([...above, ...below, key].map((name) => [name, value]));
}

export class SettingsView {
  /** @param {(key: string, value: number | boolean) => void} change @param {() => void} save */
  constructor(change, save) {
    this.change = change;
    this.form = byId('settings', HTMLFormElement);
    this.saveButton = byId('save', HTMLButtonElement);
    this.saveButton.addEventListener('click', save);
    this.form.addEventListener('submit', (event) => event.preventDefault());
    /** @type {Map<string, (value: number | boolean) => void>} */
    this.shown = new Map();
  }

  /** @param {Values} settings @param {Values} unsaved */
  render(settings, unsaved) {
    if (this.shown.size === 0 && Object.keys(settings).length > 0) this.build(settings);
    for (const [key, show] of this.shown) if (key in settings) show(settings[key]);
    const count = Object.keys(unsaved).length;
    this.saveButton.disabled = count === 0;
    setText(this.saveButton, count ? `Save ${count} to config` : 'Save to config');
  }

  /** Only what the agent has. @param {Values} settings */
  build(settings) {
    for (const [title, sliders] of GROUPS) {
      const fields = sliders.filter(({ key }) => key in settings).map((slider) => this.slider(slider));
      if (title.startsWith('This page') && 'browser.vad' in settings) fields.unshift(this.toggle('browser.vad', 'Cut the agent off at once when I speak'));
      if (fields.length) this.form.append(make('fieldset', {}, [make('legend', {}, [title]), ...fields]));
    }
  }

  /** @param {Slider} slider */
  slider({ key, label, min, max, step, unit, help }) {
    const input = make('input', { type: 'range', min: String(min), max: String(max), step: String(step), 'data-key': key });
    const output = make('output', {});
    const digits = step < 1 ? 2 : 0;
    this.shown.set(key, (value) => {
      if (document.activeElement !== input || Number(input.value) !== value) input.value = String(value);
      setText(output, `${Number(value).toFixed(digits)}${unit ? ` ${unit}` : ''}`);
      input.setAttribute('aria-valuetext', output.textContent ?? '');
    });
    input.addEventListener('input', () => this.change(key, Number(input.value)));
    return make('label', { class: 'slider' }, [make('span', {}, [label]), output, input, ...(help ? [make('small', {}, [help])] : [])]);
  }

  /** @param {string} key @param {string} label */
  toggle(key, label) {
    const input = make('input', { type: 'checkbox', 'data-key': key });
    this.shown.set(key, (value) => (input.checked = value === true));
    input.addEventListener('change', () => this.change(key, input.checked));
    return make('label', { class: 'toggle' }, [input, label]);
  }
}

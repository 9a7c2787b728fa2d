// @ts-check
/** The session's figures in the side panel: how it was interrupted, and whether anything happened that must not. */
import { byId, make } from './dom.js';
import { figures } from './figures.js';

/** @typedef {{id: string, label: string, value: string, bad: boolean}} Row */

/** @param {number | null} share */
const percent = (share) => (share === null ? '' : ` (${Math.round(share * 100)} %)`);

/** @param {import('./figures.js').Figures} state @returns {Row[]} what there is to tell; `bad` is what must not be */
export function rowsOf(state) {
  const { turns, interruptions, cancels, ghost_speech: ghost, ghost_actions: ghostActions, late_commits: late, mismatches } = figures(state);
  const wrong = Object.values(mismatches).reduce((sum, count) => sum + count, 0);
  const slowest = Object.values(cancels).reduce((most, { ack_ms: ack }) => Math.max(most, ack?.max ?? 0), 0);
  const unacked = Object.values(cancels).reduce((sum, { requested, acked }) => sum + requested - acked, 0);
  const waiting = unacked ? `, ${unacked} without an answer` : '';
  return [
    { id: 'interrupted', label: 'Turns interrupted', value: `${turns.interrupted} of ${turns.ended}${percent(turns.share)}`, bad: false },
    { id: 'false', label: 'False alarms', value: `${interruptions.dismissed} of ${interruptions.suspected}${percent(interruptions.false_rate)}`, bad: false },
    { id: 'cancel', label: 'Slowest cancellation', value: `${Math.round(slowest)} ms${waiting}`, bad: unacked > 0 },
    { id: 'ghost-speech', label: 'Speech after a cut', value: `${Math.round(ghost.ms)} ms`, bad: ghost.ms > 0 },
    { id: 'ghost-actions', label: 'Actions after a cut', value: String(ghostActions), bad: ghostActions > 0 },
    { id: 'late', label: 'Done although cut, told', value: `${late.count}, ${late.told}`, bad: late.told < late.count },
    { id: 'mismatches', label: 'Text and sound differ', value: String(wrong), bad: wrong > 0 },
  ];
}

export class FiguresView {
  constructor() {
    this.list = byId('figures', HTMLElement);
  }

  /** @param {import('./figures.js').Figures} state */
  render(state) {
    this.list.replaceChildren(...rowsOf(state).flatMap(({ id, label, value, bad }) =>
      [make('dt', {}, [label]), make('dd', { 'data-figure': id, class: bad ? 'bad' : '' }, [value])]));
  }
}

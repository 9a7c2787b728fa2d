// @ts-check
/** The card of a proposed action: what would be done, word for word, and two buttons. */
import { byId, make } from './dom.js';

/** @typedef {import('./proposals.js').Proposal} Proposal */

export class ProposalView {
  /** @param {(actionId: string, accept: boolean) => void} answer */
  constructor(answer) {
    this.answer = answer;
    this.place = byId('proposal', HTMLElement);
  }

  /** @param {Proposal | null} proposal @param {boolean} mayAnswer */
  render(proposal, mayAnswer) {
    this.place.hidden = proposal === null;
    this.place.replaceChildren(...(proposal ? this.card(proposal, mayAnswer) : []));
  }

  /** @param {Proposal} proposal @param {boolean} mayAnswer */
  card({ id, name, text, details }, mayAnswer) {
    const rows = details.flatMap(([key, value]) => [make('dt', {}, [key]), make('dd', {}, [value])]);
    const accept = make('button', { type: 'button', class: 'primary', 'data-accept': 'true' }, ['Do it']);
    const refuse = make('button', { type: 'button', 'data-accept': 'false' }, ['Don’t']);
    for (const button of [accept, refuse]) {
      button.addEventListener('click', () => {
        accept.disabled = refuse.disabled = true; // the answer closes the card, on this page and on every other
        this.answer(id, button === accept);
      });
    }
    return [
      make('h2', {}, [`Shall I ${name}?`]),
      make('p', {}, [text]),
      make('dl', {}, rows),
      ...(mayAnswer ? [make('div', { class: 'answers' }, [accept, refuse])] : []),
    ];
  }
}

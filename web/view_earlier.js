// @ts-check
/** Earlier conversations, to go on with or to look at. They are asked for when the list is opened. */
import { byId, make, setText } from './dom.js';

/** @typedef {{session_id: string, begun: string, touched: string, words: string, state: 'open' | 'resting' | 'ended', token: string}} Earlier */

/**
 * @typedef {object} Handlers
 * @property {() => Promise<Earlier[]>} ask rejects with what is wrong
 * @property {(one: Earlier) => string} replay where it is played back
 * @property {(one: Earlier) => void} resume go on with it
 */

export class EarlierView {
  /** @param {Handlers} handlers */
  constructor(handlers) {
    this.handlers = handlers;
    this.place = byId('earlier', HTMLDetailsElement);
    this.list = byId('earlier-list', HTMLElement);
    this.says = byId('earlier-says', HTMLElement);
    this.place.addEventListener('toggle', () => void this.toggled());
  }

  async toggled() {
    if (!this.place.open) return this.list.replaceChildren();
    setText(this.says, 'Loading …');
    try {
      const found = await this.handlers.ask();
      if (!this.place.open) return;
      this.list.replaceChildren(...found.map((one) => this.row(one)));
      setText(this.says, found.length ? '' : 'There are none yet in which something was said.');
    } catch (error) {
      setText(this.says, error instanceof Error ? error.message : String(error));
    }
  }

  /** @param {Earlier} one */
  row(one) {
    const when = make('time', { datetime: one.touched }, [moment(one.touched)]);
    const about = make('p', {}, [when, one.state === 'open' ? ' · going on' : '', ' ', make('q', {}, [one.words])]);
    const look = make('a', { href: this.handlers.replay(one), target: '_blank', rel: 'noopener', 'aria-label': `Look at it: ${one.words}` }, ['Look at it']);
    if (one.state === 'ended') return make('li', {}, [about, look]);
    const go = make('button', { type: 'button', class: 'quiet', 'aria-label': `Go on: ${one.words}` }, ['Go on']);
    go.addEventListener('click', () => {
      this.place.open = false;
      this.handlers.resume(one);
    });
    return make('li', {}, [about, go, look]);
  }
}

/** @param {string} ts ISO-8601 */
const moment = (ts) => new Date(ts).toLocaleString('en-GB', { dateStyle: 'medium', timeStyle: 'short' });

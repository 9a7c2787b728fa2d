// @ts-check
/** The conversation as DOM: what the user said, what of the agent's words was heard, is still to come, or was cut. */
import { KeyedList, byId, make, unseen } from './dom.js';
import { segments } from './transcript.js';

/** @typedef {import('./transcript.js').Item} Item */

const NEAR_END_PX = 80;

const SAID_UNSEEN = { heard: '', pending: ' Not spoken yet: ', cut: ' Cut off, not heard: ' };

/** @type {Record<string, string>} */
const ACTION_WORDS = { proposed: 'proposed', confirmed: 'confirmed', rejected: 'withdrawn', started: 'under way', committed: 'done', failed: 'failed',
  reverted: 'undone', unknown: 'outcome unknown' };

export class TranscriptView {
  constructor() {
    this.box = byId('transcript', HTMLElement);
    this.list = new KeyedList(byId('items', HTMLOListElement), (/** @type {Item} */ item) => item.key, build);
    this.examples = byId('examples', HTMLUListElement);
  }

  /** @param {readonly Item[]} items @param {boolean} connected */
  render(items, connected) {
    const atEnd = this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight < NEAR_END_PX;
    this.list.render(items);
    this.examples.hidden = items.length > 0 || !connected;
    if (atEnd) this.box.scrollTop = this.box.scrollHeight;
  }
}

/** @param {Item} item */
function build(item) {
  if (item.kind === 'note') return make('li', { class: `note ${item.level}` }, [item.text]);
  return item.kind === 'user' ? user(item) : agent(item);
}

/** @param {import('./transcript.js').UserItem} item */
function user(item) {
  const stable = make('span', { class: 'stable' }, [item.text.slice(0, item.stable)]);
  const text = make('p', { class: 'text' }, [unseen('You: '), stable, item.text.slice(item.stable) || (item.text ? '' : '…')]);
  const node = make('li', { class: `said user${item.open ? ' partial' : ''}`, 'data-turn': item.turnId }, [text]);
  if (!item.open && !item.understood) node.append(make('p', { class: 'aside' }, ['Not understood']));
  return node;
}

/** @param {import('./transcript.js').AgentItem} item */
function agent(item) {
  const text = make('p', { class: 'text' }, [unseen('Agent: ')]);
  const parts = segments(item);
  for (const { kind, text: words } of parts) {
    if (text.childElementCount > 1) text.append(' ');
    text.append(make(kind === 'cut' ? 'del' : 'span', { class: kind }, SAID_UNSEEN[kind] ? [unseen(SAID_UNSEEN[kind]), words] : [words]));
  }
  const node = make('li', { class: `said agent ${item.playback}`, 'data-reply': item.replyId, 'data-outcome': item.outcome });
  node.append(parts.length || item.outcome ? text : dots());
  if (item.actions.length) node.append(make('ul', { class: 'actions', 'aria-label': 'Actions' }, item.actions.map(action)));
  const aside = asideOf(item, parts.some(({ kind }) => kind === 'cut'));
  if (aside) node.append(make('p', { class: 'aside' }, [aside]));
  return node;
}

function dots() {
  return make('p', { class: 'text dots' }, [unseen('The agent is thinking.'), make('i'), make('i'), make('i')]);
}

/** @param {import('./transcript.js').AgentItem} item @param {boolean} cut */
function asideOf(item, cut) {
  if (item.outcome === 'failed') return 'This answer failed.';
  if (item.outcome === 'hung_up') return cut ? 'The call ended here. What is struck through was not heard.' : '';
  if (item.outcome === 'interrupted' || cut) return cut ? 'Interrupted. What is struck through was not heard.' : 'Interrupted.';
  return item.playback === 'paused' ? 'Paused.' : '';
}

/** @param {import('./transcript.js').Action} item */
function action(item) {
  const words = [item.name.replaceAll('_', ' '), ': ', ACTION_WORDS[item.state] ?? item.state];
  if (item.late) words.push(', after you interrupted');
  if (item.reason) words.push(` (${item.reason})`);
  return make('li', { 'data-state': item.state }, words);
}

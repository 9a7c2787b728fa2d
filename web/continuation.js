// @ts-check
/**
 * Which turns go on with one that was ended too early, and so are one turn with it. Pure. The agent's own fold of the
 * same name says the same, checked against the same fixtures; why it decides so stands there.
 */

/** @typedef {import('./wire.js').Entry} Entry */

/** `turnId` and `text` of the last turn that had words; `continues`: what the open turn may go on with; `heard`: the last
 * words of the open turn alone.
 * @typedef {{turnId: string, text: string, continues: string, heard: string}} Continuation */

/** @returns {Continuation} */
export const emptyContinuation = () => ({ turnId: '', text: '', continues: '', heard: '' });

/** @param {Entry} entry @returns {string} its own turn where that is not the envelope's */
export const turnOf = (entry) => entry.payload.turn_id ?? entry.turn_id;

/** @param {Continuation} state @param {Entry} entry @returns {string} the turn that is one with the turn that ends by this
 * entry, or '' */
export function firstPart(state, entry) {
  const { turnId, continues, heard, text: before } = state;
  const { text = '' } = entry.payload;
  if (entry.type !== 'turn.end' || !continues || continues !== turnId) return '';
  return text === before || (text !== heard && text.startsWith(`${before} `)) ? turnId : '';
}

/** @param {Continuation} state @param {Entry} entry @returns {Continuation} */
export function foldContinuation(state, entry) {
  const { text = '', continues = '' } = entry.payload;
  switch (entry.type) {
    case 'asr.partial':
    case 'asr.final':
      return text ? { ...state, heard: text } : state;
    case 'asr.reset':
      return { ...state, heard: '' };
    case 'turn.start':
      return { ...state, continues };
    case 'turn.end':
      return { ...state, continues: '', ...(text ? { turnId: turnOf(entry), text } : {}) };
    default:
      return state;
  }
}

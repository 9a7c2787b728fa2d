// @ts-check
/** What the agent's reasons are to a person. Pure. */

/** @param {unknown} reason @returns {string} '' for none */
export const sentence = (reason) => (typeof reason === 'string' && reason ? `${reason[0].toUpperCase()}${reason.slice(1)}.` : '');

/** @param {unknown} reason */
export function goodbye(reason) {
  return typeof reason === 'string' && reason ? `The agent ended the call: ${reason.replaceAll('_', ' ')}.` : 'The agent ended the call.';
}

/** @param {string} refusal of the agent to go on; behind its colon stands what to do */
export const begunAnew = (refusal) => `This is a new conversation. The one before cannot be gone on with: ${refusal.split(':')[0]}.`;

// @ts-check
/** What the agent's reasons are to a person. Pure. */

/** @param {unknown} reason @returns {string} '' for none */
export const sentence = (reason) => (typeof reason === 'string' && reason ? `${reason[0].toUpperCase()}${reason.slice(1)}.` : '');

/** @param {unknown} reason */
export function goodbye(reason) {
  return typeof reason === 'string' && reason ? `The agent ended the call: ${reason.replaceAll('_', ' ')}.` : 'The agent ended the call.';
}

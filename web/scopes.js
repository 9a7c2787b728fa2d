// @ts-check
/** What the session token of this page allows. Pure. */

/** @typedef {'talk' | 'confirm' | 'watch'} Scope */

/** @type {Scope[]} */
export const ALL_SCOPES = ['talk', 'confirm', 'watch'];

/** @param {Record<string, any>} hello @returns {Scope[]} */
export const scopesOf = ({ scopes }) => (Array.isArray(scopes) ? scopes : ALL_SCOPES);

/** What a person who may not talk is told, '' for one who may. @param {Scope[]} scopes */
export function watchingText(scopes) {
  if (scopes.includes('talk')) return '';
  return `You watch this conversation${scopes.includes('confirm') ? ', and may answer what is proposed' : ''}. Its link is not one to talk by.`;
}

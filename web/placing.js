// @ts-check
/** Calls that go on with their conversation, or begin a new one where the agent does not let them. */
import { ServerError } from './wire.js';

/**
 * @param {import('./membership.js').Membership} membership
 * @param {() => Promise<void>} place calls the agent, with what the membership says
 * @returns {Promise<string>} why the agent refused to go on, so that the conversation is a new one; '' if it goes on. Rejects with
 * what `place` does, or with that refusal where the agent begins no other conversation with this page.
 */
export async function placed(membership, place) {
  try {
    await place();
    return '';
  } catch (refusal) {
    if (!(refusal instanceof ServerError && refusal.code === 'session.token') || !membership.waits) throw refusal;
    const { sessionId, token, epoch } = membership.kept;
    membership.forget();
    try {
      await place();
    } catch (error) {
      membership.keep({ sessionId, token, epoch }); // so that the reason is told once there is a conversation
      throw error instanceof ServerError && error.status === 401 ? refusal : error;
    }
    return refusal.message;
  }
}

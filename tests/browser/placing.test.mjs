import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Membership } from '../../web/membership.js';
import { placed } from '../../web/placing.js';
import { ServerError } from '../../web/wire.js';
import { begunAnew } from '../../web/wording.js';

const EXPIRED = new ServerError('session.token', 'this session token has expired: begin a new conversation', 403);

/** A page with a token, and an agent that answers its calls like this, one after the other. */
function page(...answers) {
  const membership = new Membership(null);
  membership.keep({ sessionId: 's1', token: 'v2.s1', epoch: 3 });
  const shown = [];
  const place = async () => {
    shown.push(membership.kept.token);
    const answer = answers.shift();
    if (answer) throw answer;
  };
  return { membership, place, shown };
}

test('a conversation that goes on needs no words', async () => {
  const { membership, place, shown } = page(null);
  assert.equal(await placed(membership, place), '');
  assert.deepEqual(shown, ['v2.s1']);
});

test('why another conversation was begun is told', async () => {
  const { membership, place, shown } = page(EXPIRED, null);
  assert.equal(begunAnew(await placed(membership, place)),
    'This is a new conversation. The one before cannot be gone on with: this session token has expired.');
  assert.deepEqual(shown, ['v2.s1', '']);
});

test('it is still told when the agent was away in between', async () => {
  const { membership, place, shown } = page(EXPIRED, new ServerError('unreachable', 'gone', 0), EXPIRED, null);
  await assert.rejects(placed(membership, place), { code: 'unreachable' });
  assert.equal(membership.wish({ sessionId: 's1', seq: 7 })['Session-Seen'], '3:7');
  assert.equal(await placed(membership, place), EXPIRED.message);
  assert.deepEqual(shown, ['v2.s1', '', 'v2.s1', '']);
});

test('who is let in by a link alone is told what is wrong with the link', async () => {
  const { membership, place } = page(EXPIRED, new ServerError('token', 'a token is needed', 401));
  await assert.rejects(placed(membership, place), EXPIRED);
});

test('what else is refused is no reason to begin anew', async () => {
  for (const error of [new ServerError('session.held', 'held', 503), new Error('no microphone')]) {
    const { membership, place, shown } = page(error);
    await assert.rejects(placed(membership, place), error);
    assert.deepEqual(shown, ['v2.s1']);
  }
  const { membership, place } = page(EXPIRED);
  membership.forget();
  await assert.rejects(placed(membership, place), EXPIRED);
});

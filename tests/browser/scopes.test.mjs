import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ALL_SCOPES, scopesOf, watchingText } from '../../web/scopes.js';
import { initialState, local, reduce, statusText } from '../../web/state.js';

test('who may not talk is told so, and what they may do', () => {
  assert.deepEqual(scopesOf({}), ALL_SCOPES);
  assert.equal(watchingText(scopesOf({ scopes: ['confirm', 'talk', 'watch'] })), '');
  assert.match(watchingText(scopesOf({ scopes: ['watch'] })), /^You watch this conversation\. /);
  assert.match(watchingText(scopesOf({ scopes: ['confirm', 'watch'] })), /may answer what is proposed/);
});

test('a page that only watches is not asked to speak or to type', () => {
  const connected = reduce(initialState(), local('connection', { phase: 'connected', transport: 'webrtc' }));
  assert.match(statusText(connected), /Type a message/);
  const watching = reduce(connected, local('device', { id: 'd1', scopes: ['watch'] }));
  assert.equal(statusText(watching), 'You are watching.');
});

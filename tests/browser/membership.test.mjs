import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Membership } from '../../web/membership.js';
import { initialState, local, reduce } from '../../web/state.js';

function storage(kept = null) {
  const values = new Map(kept === null ? [] : [['voice-agent', kept]]);
  return { getItem: (key) => values.get(key) ?? null, setItem: (key, value) => values.set(key, value) };
}

const HELLO = { session_id: 's1', token: 'v1.s1', epoch: 2, resume: 'new' };

test('a tab has one name, and asks for nothing in its first call', () => {
  const tab = storage();
  const first = new Membership(tab);
  assert.equal(first.waits, false);
  assert.deepEqual(Object.keys(first.wish({ sessionId: '', seq: 0 })), ['Device-Id', 'Device-Sound']);
  assert.equal(new Membership(tab).kept.deviceId, first.kept.deviceId);
  assert.notEqual(new Membership(storage()).kept.deviceId, first.kept.deviceId);
  assert.match(first.kept.deviceId, /^[A-Za-z0-9-]{8,64}$/);
});

test('over a lost connection it asks for what it missed, over a reload for everything', () => {
  const tab = storage();
  const before = new Membership(tab);
  before.take(HELLO);
  assert.equal(before.wish({ sessionId: 's1', seq: 17 })['Session-Seen'], '2:17');
  const after = new Membership(tab);
  assert.equal(after.waits, true);
  assert.deepEqual(after.wish({ sessionId: '', seq: 0 }), {
    'Device-Id': before.kept.deviceId, 'Device-Sound': 'both', 'Session-Token': 'v1.s1', 'Session-Seen': '2:0' });
  assert.equal(after.wish({ sessionId: 'another', seq: 9 })['Session-Seen'], '2:0');
});

test('what the page has closed it asks for again from the first entry on', () => {
  const membership = new Membership(storage());
  assert.equal(membership.take(HELLO), true);
  assert.equal(membership.take({ ...HELLO, resume: 'resumed' }), false);
  assert.equal(membership.take({ ...HELLO, resume: 'snapshot' }), true);
  membership.reread();
  assert.equal(membership.waits, true);
  assert.equal(membership.wish({ sessionId: 's1', seq: 17 })['Session-Seen'], '2:0');
  assert.equal(membership.take({ ...HELLO, resume: 'resumed' }), true);
});

test('what was hung up is not asked for again', () => {
  const tab = storage();
  const membership = new Membership(tab);
  membership.take(HELLO);
  membership.forget();
  assert.equal(new Membership(tab).waits, false);
});

test('storage that is damaged, full or forbidden does no harm', () => {
  for (const kept of ['{', 'null', '7', '[]']) assert.equal(new Membership(storage(kept)).waits, false);
  const broken = { getItem: () => { throw new Error('no'); }, setItem: () => { throw new Error('full'); } };
  const membership = new Membership(broken);
  membership.take(HELLO);
  assert.equal(membership.waits, true);
  assert.equal(new Membership(null).waits, false);
});

test('an earlier conversation is asked for from its first entry on, whatever the page has shown before', () => {
  const membership = new Membership(storage());
  membership.take(HELLO);
  membership.join('v1.earlier');
  const shown = reduce({ ...initialState(), sessionId: 's1', seq: 17 }, local('snapshot'));
  assert.equal(membership.wish(shown)['Session-Token'], 'v1.earlier');
  assert.equal(membership.wish(shown)['Session-Seen'], '0:0');
});

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Call } from '../../web/session.js';

test('every command says up to which entry the timeline had come', () => {
  const sent = [];
  const entries = [];
  const call = new Call({}, {}, { entry: (entry) => entries.push(entry.seq), error() {} });
  assert.equal(call.send('control.stop'), null);
  call.link = { send: (json) => sent.push(JSON.parse(json)) > 0 };
  call.send('heartbeat');
  for (const seq of [1, 2, 3]) call.receive(JSON.stringify({ session_id: 's', seq, type: 'x', payload: {} }));
  call.receive(JSON.stringify({ type: 'error', payload: {} }));
  call.send('control.stop', { reply_id: 'r1' });
  call.send('text.input', { text: 'hello' });
  assert.deepEqual(entries, [1, 2, 3]);
  assert.deepEqual(sent.map(({ type, payload }) => [type, payload]), [
    ['heartbeat', { seen_seq: 0 }],
    ['control.stop', { reply_id: 'r1', seen_seq: 3 }],
    ['text.input', { text: 'hello', seen_seq: 3 }],
  ]);
});

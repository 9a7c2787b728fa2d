import assert from 'node:assert/strict';
import { test } from 'node:test';

import { foldProposal } from '../../web/proposals.js';

const entry = (type, payload) => ({ session_id: 's1', event_id: 'e1', seq: 1, ts: '', t_ms: 0, type, source: '', turn_id: '', parent_event_id: '', rtp_timestamp: null, payload });
const asked = (id, given = { to: ['anna', 'bob'], count: 2, cc: '' }) =>
  entry('action.proposed', { action_id: id, name: 'send_email', arguments: given, ask: true, proposal: 'Send an email to Anna.' });

test('a proposal that is asked about has a card with what would be done', () => {
  assert.deepEqual(foldProposal(null, asked('r1:c1')), {
    id: 'r1:c1', name: 'send email', text: 'Send an email to Anna.', details: [['to', 'anna, bob'], ['count', '2']] });
});

test('one that policy confirms has none', () => {
  assert.equal(foldProposal(null, entry('action.proposed', { action_id: 'r1:c1', name: 'x', arguments: {}, ask: false })), null);
});

for (const type of ['action.confirmed', 'action.rejected', 'action.started']) {
  test(`${type} of it closes it, that of another one does not`, () => {
    const open = foldProposal(null, asked('r1:c1'));
    assert.equal(foldProposal(open, entry(type, { action_id: 'r0:c1' })), open);
    assert.equal(foldProposal(open, entry(type, { action_id: 'r1:c1' })), null);
  });
}

test('a changed proposal takes its place, and the end of the session closes it', () => {
  const second = foldProposal(foldProposal(null, asked('r1:c1')), asked('r2:c1'));
  assert.equal(second?.id, 'r2:c1');
  assert.equal(foldProposal(second, entry('session.closed', { reason: 'over' })), null);
});

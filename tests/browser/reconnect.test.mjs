import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Reconnector } from '../../web/reconnect.js';

test('a connection that is lost while an attempt still reports its success is called again', async () => {
  let succeed = () => undefined;
  const reconnector = new Reconnector({ attempt: () => new Promise((resolve) => { succeed = () => resolve('done'); }), waiting() {}, gaveUp() {} });
  reconnector.start();
  const attempt = reconnector.attempt();
  reconnector.start();
  succeed();
  await attempt;
  assert.equal(reconnector.active, true);
  assert.notEqual(reconnector.timer, undefined);
  reconnector.stop();
});

test('an attempt that succeeds ends the waiting', async () => {
  const reconnector = new Reconnector({ attempt: async () => 'done', waiting() {}, gaveUp() {} });
  reconnector.start();
  await reconnector.attempt();
  assert.equal(reconnector.active, false);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Liveness } from '../../web/liveness.js';
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

test('what still comes once a call was left is not heeded', () => {
  const heeded = [];
  const call = new Call({}, {}, { entry: () => heeded.push('entry'), hello: () => heeded.push('hello') });
  call.close(true);
  call.receive(JSON.stringify({ type: 'hello', payload: {} }));
  call.receive(JSON.stringify({ session_id: 's', seq: 1, type: 'x', payload: {} }));
  assert.deepEqual(heeded, []);
});

test('a call that is hung up while the agent answers the offer is ended there too', async () => {
  const asked = [];
  let answer = () => undefined;
  globalThis.fetch = (url, { method }) => {
    asked.push(`${method} ${url}`);
    return method === 'POST' ? new Promise((resolve) => { answer = resolve; }) : Promise.resolve();
  };
  globalThis.RTCPeerConnection = class extends EventTarget {
    iceGatheringState = 'complete';
    createDataChannel = () => new EventTarget();
    addTransceiver = () => ({});
    async createOffer() {}
    async setLocalDescription() {}
    close() {}
  };
  const tried = [];
  const server = { url: (path) => `http://localhost/${path}`, headers: (more) => more, wish: () => ({}) };
  const call = new Call(server, {}, { trying: (message) => tried.push(message) });
  const connecting = call.connect(null);
  await new Promise((done) => setTimeout(done));
  call.close(true);
  answer({ ok: true, url: 'http://localhost/calls', headers: new Headers({ Location: '/calls/c1' }), text: async () => '' });
  await assert.rejects(connecting, /ended/);
  assert.deepEqual(asked, ['POST http://localhost/calls', 'DELETE http://localhost/calls/c1']);
  assert.deepEqual(tried, [], 'and it is not called another way');
});

test('why a WebSocket is refused is told as the reason that the call failed, and not a second time', async () => {
  let socket;
  globalThis.WebSocket = class extends EventTarget {
    constructor() {
      super();
      socket = this;
    }
    close() {}
  };
  delete globalThis.RTCPeerConnection;
  const told = [];
  const call = new Call({ socketUrl: 'ws://localhost/ws' }, {}, { trying() {}, error: (code) => told.push(code) });
  const connecting = call.connect(null);
  await new Promise((done) => setTimeout(done));
  const refusal = { type: 'error', payload: { code: 'limit', message: 'full' } };
  socket.dispatchEvent(Object.assign(new Event('message'), { data: JSON.stringify(refusal) }));
  socket.dispatchEvent(Object.assign(new Event('close'), { reason: 'full' }));
  await assert.rejects(connecting, { code: 'limit', message: 'full' });
  assert.deepEqual(told, []);
});

test('a renewed token is told, and is no entry', () => {
  const told = [];
  const call = new Call({}, {}, { entry: () => told.push('entry'), token: (token) => told.push(token) });
  call.receive(JSON.stringify({ type: 'token', payload: { token: 'v2.s.1.t.9.mac' } }));
  call.receive(JSON.stringify({ type: 'token', payload: {} }));
  assert.deepEqual(told, ['v2.s.1.t.9.mac']);
});

test('a call that stays silent behind a change of the network is given up sooner', async () => {
  let nowMs = 0;
  const clock = globalThis.performance;
  globalThis.performance = { now: () => nowMs };
  try {
    const lost = [];
    const call = new Call({ refuses: async () => false }, {}, { silent() {}, lost: () => lost.push(nowMs) });
    call.link = { received: async () => 7, close() {} };
    const liveness = new Liveness(0);
    const look = async (atMs) => {
      nowMs = atMs;
      await call.look(liveness);
    };
    for (const atMs of [0, 500, 1_000]) await look(atMs);
    call.networkIsBack();
    for (const atMs of [1_500, 2_000, 2_500]) await look(atMs);
    assert.deepEqual(lost, [2_000]);
  } finally {
    globalThis.performance = clock;
  }
});

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ServerError, command, parseMessage, serverError } from '../../web/wire.js';
import { Server, settingsOf } from '../../web/server.js';

test('an envelope is an entry', () => {
  const message = parseMessage(JSON.stringify({ session_id: 's', event_id: 'e', seq: 3, ts: 'T', t_ms: 5, now_us: 7, type: 'turn.end', source: 'core',
    turn_id: 't1', parent_event_id: 'e2', payload: { text: 'x' } }));
  assert.equal(message.kind, 'entry');
  assert.deepEqual([message.entry.seq, message.entry.now_us, message.entry.turn_id, message.entry.payload.text], [3, 7, 't1', 'x']);
});

test('an error of the transport is not an entry of type error', () => {
  assert.deepEqual(parseMessage('{"type":"error","payload":{"code":"wire","message":"Too long."}}'), { kind: 'error', code: 'wire', message: 'Too long.' });
  assert.equal(parseMessage('{"type":"error","seq":1,"payload":{"code":"x","message":"y"}}').kind, 'entry');
  assert.equal(parseMessage('{"type":"hello","payload":{"playout_rate":48000}}').payload.playout_rate, 48000);
});

test('a goodbye without a place in the timeline', () => {
  assert.deepEqual(parseMessage('{"type":"session.closed","payload":{"reason":"shutdown"}}'), { kind: 'goodbye', reason: 'shutdown' });
});

test('garbage is skipped', () => {
  for (const bad of ['', '{', '[]', 'null', '3', '{"payload":{}}', '{"type":7}']) assert.equal(parseMessage(bad), null, bad);
});

test('every command has an id of its own', () => {
  const [one, two] = [command('text.input', { text: 'hi' }), command('control.done')];
  assert.deepEqual([one.type, one.payload, two.payload], ['text.input', { text: 'hi' }, {}]);
  assert.notEqual(one.event_id, two.event_id);
});

test('the message of a refusal is what the server says, or its status', async () => {
  const said = await serverError(new Response('{"error":{"code":"limit","message":"Eight calls are open."}}', { status: 503 }));
  assert.ok(said instanceof ServerError);
  assert.deepEqual([said.code, said.message, said.status], ['limit', 'Eight calls are open.', 503]);
  assert.match((await serverError(new Response('<html>', { status: 502, statusText: 'Bad Gateway' }))).message, /502 Bad Gateway/);
});

test('addresses follow the page, with the token where there is one', () => {
  const server = new Server('https://host:8700/?token=a%20b', 'a b');
  assert.equal(server.url('calls'), 'https://host:8700/calls');
  assert.equal(server.socketUrl, 'wss://host:8700/ws?token=a+b');
  assert.deepEqual(server.headers(), { Authorization: 'Bearer a b' });
  assert.deepEqual(new Server('http://h/', '').headers(), {});
});

test('settings by table and key', () => {
  assert.deepEqual(settingsOf({ ice_servers: [], vad: { onset_ms: 60 }, browser: { vad: true }, limits: { sessions: 8 } }), { 'browser.vad': true, 'vad.onset_ms': 60 });
});

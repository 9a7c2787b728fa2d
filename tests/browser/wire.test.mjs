import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ServerError, command, parseMessage, serverError } from '../../web/wire.js';
import { Server, settingsOf } from '../../web/server.js';
import { WebRtcLink } from '../../web/webrtc.js';

test('an envelope is an entry', () => {
  const message = parseMessage(JSON.stringify({ session_id: 's', event_id: 'e', seq: 3, ts: 'T', t_ms: 5, now_us: 7, type: 'turn.end', source: 'core',
    turn_id: 't1', parent_event_id: 'e2', payload: { text: 'x' } }));
  assert.equal(message.kind, 'entry');
  assert.deepEqual([message.entry.seq, message.entry.now_us, message.entry.turn_id, message.entry.payload.text], [3, 7, 't1', 'x']);
});

test('what is about the playback names the audio', () => {
  const named = parseMessage('{"type":"playback.resume","seq":1,"rtp_timestamp":4294967295,"payload":{}}');
  assert.equal(named.entry.rtp_timestamp, 4294967295);
  assert.equal(parseMessage('{"type":"turn.end","seq":1,"payload":{}}').entry.rtp_timestamp, null);
});

test('an error of the transport is not an entry of type error', () => {
  assert.deepEqual(parseMessage('{"type":"error","payload":{"code":"wire","message":"Too long."}}'), { kind: 'error', code: 'wire', message: 'Too long.' });
  assert.equal(parseMessage('{"type":"error","seq":1,"payload":{"code":"x","message":"y"}}').kind, 'entry');
  assert.equal(parseMessage('{"type":"hello","payload":{"playout_rate":48000}}').payload.playout_rate, 48000);
});

test('a goodbye without a place in the timeline', () => {
  assert.deepEqual(parseMessage('{"type":"session.closed","payload":{"reason":"shutdown"}}'), { kind: 'goodbye', reason: 'shutdown', again: false });
  assert.equal(parseMessage('{"type":"connection.closed","payload":{"reason":"shutdown","again":true}}').again, true);
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

test('timestamps wrap around', (t) => {
  t.after(() => delete globalThis.RTCPeerConnection);
  globalThis.RTCPeerConnection = class { createDataChannel() {} };
  const link = new WebRtcLink(new Server('http://h/', ''), [], {});
  assert.equal(link.untilS(5), 0, 'nothing is known yet');
  link.receiver = { getSynchronizationSources: () => [{ rtpTimestamp: 2 ** 32 - 4_800 }] };
  const near = (a, b) => assert.ok(Math.abs(a - b) < 1e-9, `${a} is not ${b}`);
  near(link.untilS(4_800) - link.untilS(2 ** 32 - 4_800), 0.2);
  near(link.untilS(2 ** 32 - 4_800) - link.untilS(2 ** 32 - 9_600), 0.1);
  assert.equal(link.untilS(null), 0);
});

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { initialState, local, modeOf, reduce, statusText } from '../../web/state.js';
import { MAX_ITEMS, segments } from '../../web/transcript.js';
import { parseMessage } from '../../web/wire.js';
import { MAX_ROWS, familyOf, summarise } from '../../web/log.js';

/** A timeline written as [type, payload, t_ms?] rows. */
function play(rows, start = reduce(initialState(), local('connection', { phase: 'connected', transport: 'webrtc' })), session = 's1') {
  let state = start;
  let seq = state.sessionId === session ? state.seq : 0;
  for (const [type, payload = {}, tMs = 0] of rows) {
    seq += 1;
    const entry = { session_id: session, event_id: `e${seq}`, seq, ts: '', t_ms: tMs, now_us: tMs * 1000, type, source: '',
      turn_id: payload.turn_id ?? 't1', parent_event_id: '', payload };
    state = reduce(state, { kind: 'entry', entry });
  }
  return state;
}

const WORDS = [
  { start_sample: 0, end_sample: 4800, text_end: 2 },
  { start_sample: 4800, end_sample: 14400, text_end: 5 },
  { start_sample: 14400, end_sample: 24000, text_end: 10 },
];
const CHUNK = { reply_id: 'r1', chunk: 0, text: 'It is noon', phase: 'claim', rests_on: [], start_sample: 0, samples: 24000, words: WORDS };
const ANSWER = [
  ['turn.start'], ['asr.final', { text: 'what time is it', understood: true }], ['turn.end', { text: 'what time is it', understood: true }],
  ['model.start', { reply_id: 'r1', speculative: false }], ['tts.say', { reply_id: 'r1', chunk: 0, text: 'It is noon', phase: 'claim' }],
  ['tts.chunk', CHUNK], ['playback.start', { reply_id: 'r1' }],
];
const reply = (state) => state.transcript.items.findLast((item) => item.kind === 'agent');
const users = (state) => state.transcript.items.filter((item) => item.kind === 'user');

test('partials become the turn, and the turn its final text', () => {
  const heard = play([['turn.start'], ['asr.partial', { text: 'what' }], ['asr.partial', { text: 'what time' }]]);
  assert.deepEqual(users(heard).map(({ text, open }) => [text, open]), [['what time', true]]);
  const done = play([['asr.final', { text: 'what time is it' }], ['turn.end', { text: 'What time is it?', understood: true }]], heard);
  assert.deepEqual(users(done).map(({ text, open }) => [text, open]), [['What time is it?', false]]);
  assert.equal(users(done)[0].key, users(heard)[0].key);
});

test('what is stable of a partial is known, and of a whole turn all', () => {
  const heard = play([['turn.start'], ['asr.partial', { text: 'what time', stable: 4 }]]);
  assert.equal(users(heard)[0].stable, 4);
  const final = play([['asr.final', { text: 'what time is it' }]], heard);
  assert.equal(users(final)[0].stable, 4, 'the user may go on');
  assert.equal(users(play([['asr.partial', { text: 'what times' }]], final))[0].stable, 0, 'a recogniser that cannot tell');
  assert.equal(users(play([['turn.end', { text: 'what time is it', understood: true }]], final))[0].stable, 15);
});

test('a turn without text leaves nothing behind', () => {
  assert.deepEqual(users(play([['turn.start'], ['turn.end', { text: '', understood: false }]])), []);
});

test('what is not understood is marked', () => {
  assert.equal(users(play([['turn.start'], ['turn.end', { text: 'blah', understood: false }]]))[0].understood, false);
});

test('typed text is one turn', () => {
  const state = play([['text.input', { text: 'hello' }], ['turn.start'], ['turn.end', { text: 'hello', understood: true }]]);
  assert.deepEqual(users(state).map(({ text, typed, open }) => [text, typed, open]), [['hello', true, false]]);
});

test('words become heard as the playback passes their end', () => {
  assert.deepEqual(segments(reply(play(ANSWER))), [{ text: 'It is noon', kind: 'pending' }]);
  const marked = play([['playback.mark', { reply_id: 'r1', sample: 14399 }]], play(ANSWER));
  assert.deepEqual(segments(reply(marked)), [{ text: 'It', kind: 'heard' }, { text: 'is noon', kind: 'pending' }]);
  const all = play([['playback.mark', { reply_id: 'r1', sample: 24000 }]], marked);
  assert.deepEqual(segments(reply(all)), [{ text: 'It is noon', kind: 'heard' }]);
});

test('a chunk behind one that is not heard whole is not heard', () => {
  const two = play([['tts.say', { reply_id: 'r1', chunk: 1, text: 'in London.', phase: 'claim' }],
    ['playback.mark', { reply_id: 'r1', sample: 14400 }]], play(ANSWER));
  assert.deepEqual(segments(reply(two)), [{ text: 'It is', kind: 'heard' }, { text: 'noon in London.', kind: 'pending' }]);
});

test('an interruption cuts the text where it was heard', () => {
  const state = play([['playback.mark', { reply_id: 'r1', sample: 4800 }], ['playback.pause', { reply_id: 'r1' }], ['interruption.confirmed', { evidence: 'words' }],
    ['playback.stop', { reply_id: 'r1', heard_ms: 100, heard_text: 'It', unheard_text: 'is noon' }], ['reply.done', { reply_id: 'r1', outcome: 'interrupted' }]], play(ANSWER));
  assert.deepEqual(segments(reply(state)), [{ text: 'It', kind: 'heard' }, { text: 'is noon', kind: 'cut' }]);
  assert.equal(reply(state).outcome, 'interrupted');
});

test('resuming goes back to where the playback goes on', () => {
  const state = play([['playback.mark', { reply_id: 'r1', sample: 14400 }], ['playback.pause', { reply_id: 'r1' }],
    ['playback.resume', { reply_id: 'r1', sample: 4800 }]], play(ANSWER));
  assert.deepEqual(segments(reply(state))[0], { text: 'It', kind: 'heard' });
});

test('a suspicion freezes what is shown, its dismissal lets it go on', () => {
  const it = [{ text: 'It', kind: 'heard' }, { text: 'is noon', kind: 'pending' }];
  const suspected = play([['playback.mark', { reply_id: 'r1', sample: 4800 }], ['interruption.suspected', { reply_id: 'r1', by: 'vad' }]], play(ANSWER));
  const late = play([['playback.pause', { reply_id: 'r1' }], ['playback.mark', { reply_id: 'r1', sample: 14400 }],
    ['tts.say', { reply_id: 'r1', chunk: 1, text: 'in London.', phase: 'claim' }]], suspected);
  assert.deepEqual(segments(reply(suspected)), it);
  assert.deepEqual(segments(reply(late)), it, 'neither marks nor new text show');
  const dismissed = play([['interruption.dismissed', { reply_id: 'r1', evidence: 'no_words' }], ['playback.resume', { reply_id: 'r1', sample: 4800 }]], late);
  assert.deepEqual(segments(reply(dismissed)), [{ text: 'It', kind: 'heard' }, { text: 'is noon in London.', kind: 'pending' }]);
  const on = play([['playback.mark', { reply_id: 'r1', sample: 14400 }]], dismissed);
  assert.deepEqual(segments(reply(on))[0], { text: 'It is', kind: 'heard' });
  const stopped = play([['interruption.confirmed', { reply_id: 'r1', evidence: 'words' }],
    ['playback.stop', { reply_id: 'r1', heard_text: 'It is', unheard_text: 'noon' }], ['reply.done', { reply_id: 'r1', outcome: 'interrupted' }]], late);
  assert.deepEqual(segments(reply(stopped)), [{ text: 'It is', kind: 'heard' }, { text: 'noon', kind: 'cut' }]);
});

/** What the agent's own fold of the same timeline says, at each of the points that were written down. */
for (const name of ['answer', 'barge_in', 'cut_off', 'cut_off_heard', 'devices']) {
  test(`the page shows what the agent's own transcript says: ${name}`, () => {
    const file = (end) => readFileSync(new URL(`../fixtures/timeline_${name}.${end}`, import.meta.url), 'utf8');
    const expected = new Map(JSON.parse(file('expected.json')).map((point) => [point.seq, point.transcript]));
    let state = initialState();
    for (const line of file('jsonl').trim().split('\n')) {
      state = reduce(state, { kind: 'entry', entry: parseMessage(line).entry });
      if (!expected.has(state.seq)) continue;
      const turns = expected.get(state.seq);
      // The page alone shows words that belong to no turn yet, and a turn without words yet: the person sees that they are heard.
      const claimed = users(state).filter(({ turnId, text }) => turnId !== '' && text !== '');
      const heard = turns.filter(({ user }) => user).map(({ user, stable }) => ({ text: user, stable }));
      assert.deepEqual(claimed.map(({ text, stable }) => ({ text, stable })), heard, `users at ${state.seq}`);
      const shown = state.transcript.items.filter(({ kind }) => kind === 'agent').map((item) => {
        const part = (...kinds) => segments(item).filter(({ kind }) => kinds.includes(kind)).map(({ text }) => text).join(' ');
        return { reply_id: item.replyId, heard: part('heard'), unheard: part('pending', 'cut'), outcome: item.outcome };
      });
      const said = turns.flatMap(({ agent }) => agent).map(({ reply_id, heard, unheard, outcome }) => ({ reply_id, heard, unheard, outcome }));
      assert.deepEqual(shown, said, `replies at ${state.seq}`);
      expected.delete(state.seq);
    }
    assert.equal(expected.size, 0, 'every point was reached');
  });
}

/** A turn that ended too early; it was being answered when the user went on. */
const CUT_OFF = [...ANSWER, ['playback.stop', { reply_id: 'r1', heard_text: '', unheard_text: 'It is noon' }], ['reply.done', { reply_id: 'r1', outcome: 'interrupted' }],
  ['asr.partial', { text: 'in' }], ['turn.start', { turn_id: 't2', continues: 't1' }], ['asr.final', { text: 'in tokyo' }]];
const says = (text, joins = '') => [['turn.end', { turn_id: 't2', text, understood: true, joins }]];
const texts = (state) => state.transcript.items.map((item) => (item.kind === 'agent' ? item.replyId : item.text));

test('a turn that was ended too early and goes on is one turn', () => {
  const cut = play(CUT_OFF);
  assert.deepEqual(texts(cut), ['what time is it', 'r1', 'in tokyo'], 'nobody knows yet whether it takes back');
  const joined = play(says('what time is it in tokyo', 't1'), cut);
  assert.deepEqual(texts(joined), ['what time is it in tokyo']);
  const [{ key, turnId, open }] = joined.transcript.items;
  assert.deepEqual([key, turnId, open], [cut.transcript.items[0].key, 't2', false], 'it stands where it began');
  assert.deepEqual(texts(play(says('what time is it', 't1'), cut)), ['what time is it'], 'the rest came to nothing');
  const twice = play([['turn.start', { turn_id: 't3', continues: 't2' }], ['asr.final', { text: 'please' }], ['turn.end', { turn_id: 't3', text: 'what time is it in tokyo please', joins: 't2' }]], joined);
  assert.deepEqual(texts(twice), ['what time is it in tokyo please']);
});

test('what takes a turn back is a turn of its own, and so is what comes to nothing', () => {
  assert.deepEqual(texts(play(says('in tokyo'), play(CUT_OFF))), ['what time is it', 'r1', 'in tokyo']);
  assert.deepEqual(texts(play(says(''), play(CUT_OFF))), ['what time is it', 'r1']);
  const same = play([['asr.final', { text: 'what time is it' }], ...says('what time is it', 't1')], play(CUT_OFF));
  assert.deepEqual(texts(same), ['what time is it'], 'noise that sounds alike came to nothing');
  const twice = play([['asr.final', { text: 'what time is it' }], ...says('what time is it')], play(CUT_OFF));
  assert.deepEqual(texts(twice), ['what time is it', 'r1', 'what time is it'], 'the same words, said anew');
  const again = play([['asr.final', { text: 'what time is it not' }], ...says('what time is it not')], play(CUT_OFF));
  assert.deepEqual(texts(again), ['what time is it', 'r1', 'what time is it not'], 'though it begins alike');
});

test('what was heard of the first reply, and what else was said meanwhile, stays', () => {
  const heard = CUT_OFF.map(([type, payload]) => [type, type === 'playback.stop' ? { ...payload, heard_text: 'It', unheard_text: 'is noon' } : payload]);
  assert.deepEqual(texts(play(says('what time is it in tokyo', 't1'), play(heard))), ['what time is it in tokyo', 'r1']);
  const note = play([['error', { code: 'x', message: 'oops' }], ...says('what time is it in tokyo', 't1')], play(CUT_OFF));
  assert.deepEqual(texts(note), ['what time is it in tokyo', 'oops']);
});

test('a turn of another conversation is not the one that goes on', () => {
  const old = play(ANSWER);
  const state = play([...CUT_OFF, ...says('what time is it in tokyo', 't1')], old, 's2');
  assert.deepEqual(texts(state), ['what time is it', 'r1', 'New conversation', 'what time is it in tokyo']);
  const unknown = play([['turn.start', { turn_id: 't2', continues: 't1' }], ['asr.final', { text: 'b' }], ...says('what time is it b', 't1')], old, 's3');
  assert.deepEqual(texts(unknown).slice(0, 2), ['what time is it', 'r1']);
});

test('a speculative reply is shown only once it is committed', () => {
  const begun = play([['turn.start'], ['model.start', { reply_id: 'r1', speculative: true }], ['tts.say', { reply_id: 'r1', chunk: 0, text: 'Noon', phase: 'claim' }]]);
  assert.equal(reply(begun), undefined);
  const committed = play([['turn.end', { text: 'time', understood: true }], ['reply.committed', { reply_id: 'r1' }]], begun);
  assert.deepEqual(committed.transcript.items.map(({ kind }) => kind), ['user', 'agent']);
  assert.equal(segments(reply(committed))[0].text, 'Noon');
  const discarded = play([['reply.done', { reply_id: 'r1', outcome: 'discarded' }]], begun);
  assert.deepEqual(discarded.transcript.hidden, []);
  assert.equal(reply(discarded), undefined);
});

test('what was heard during a dismissed interruption is no turn', () => {
  const state = play([['interruption.suspected', { by: 'vad' }], ['asr.partial', { text: 'mm-hm' }], ['interruption.dismissed', { evidence: 'backchannel' }]], play(ANSWER));
  assert.equal(users(state).length, 1);
});

test('an action shows its last state, once', () => {
  const action = { reply_id: 'r1', action_id: 'a1' };
  const state = play([['action.proposed', { ...action, name: 'set_timer', arguments: {} }], ['action.started', { ...action, name: 'set_timer' }],
    ['action.committed', { ...action, late: true }]], play(ANSWER));
  assert.deepEqual(reply(state).actions, [{ id: 'a1', name: 'set_timer', state: 'committed', late: true, reason: '' }]);
});

test('faults are said in the transcript', () => {
  const state = play([['error', { code: 'asr', message: 'The recogniser restarts.' }]]);
  assert.deepEqual(state.transcript.items.map(({ kind, level, text }) => [kind, level, text]), [['note', 'error', 'The recogniser restarts.']]);
});

test('the end of the call ends the turn that was open', () => {
  const end = (state) => users(reduce(state, local('connection', { phase: 'failed' }))).map(({ text, open }) => [text, open]);
  assert.deepEqual(end(play([['turn.start']])), []);
  assert.deepEqual(end(play([['turn.start'], ['asr.partial', { text: 'what' }]])), [['what', false]]);
});

test('a lost connection is said, keeps what was shown, and is not taken for the same conversation', () => {
  const silent = reduce(play(ANSWER), local('connection', { message: 'The agent does not answer.' }));
  assert.deepEqual([modeOf(silent), statusText(silent), reply(silent).outcome], ['connecting', 'The agent does not answer.', '']);
  assert.equal(modeOf(reduce(silent, local('connection', { message: '' }))), 'speaking');
  const marked = play([['playback.mark', { reply_id: 'r1', sample: 14399 }]], silent);
  const lost = reduce(reduce(marked, local('lost')), local('connection', { phase: 'connecting', transport: '', message: 'Trying again…' }));
  assert.deepEqual([modeOf(lost), statusText(lost)], ['connecting', 'Trying again…']);
  assert.deepEqual(segments(reply(lost)), [{ text: 'It', kind: 'heard' }, { text: 'is noon', kind: 'pending' }]);
  const back = play([['playback.stop', { reply_id: 'r1', heard_ms: 300, heard_text: 'It', method: 'sent' }]], lost);
  assert.deepEqual(back.transcript.items.map(({ kind }) => kind), ['user', 'agent'], 'the same conversation goes on');
  assert.equal(back.lost, false);
  const again = play([['turn.start'], ['asr.partial', { text: 'hi' }]], lost, 's2');
  assert.deepEqual(again.transcript.items.map(({ kind }) => kind), ['user', 'agent', 'note', 'user']);
  assert.match(again.transcript.items[2].text, /connection was lost.*no longer knows/);
  const answered = play([...ANSWER, ['playback.mark', { reply_id: 'r1', sample: 24000 }]], again, 's2');
  const agents = answered.transcript.items.filter(({ kind }) => kind === 'agent');
  assert.deepEqual(agents.map(segments), [
    [{ text: 'It', kind: 'heard' }, { text: 'is noon', kind: 'cut' }], [{ text: 'It is noon', kind: 'heard' }]], 'r1 again, of another session');
  const third = play([['turn.start']], again, 's3');
  assert.equal(third.transcript.items.findLast(({ kind }) => kind === 'note').text, 'New conversation');
});

test('repeated and old entries change nothing', () => {
  const state = play(ANSWER);
  const entry = state.log.rows[2].entry;
  assert.equal(reduce(state, { kind: 'entry', entry }), state);
});

test('reducing leaves the old state as it was', () => {
  const before = play(ANSWER);
  const copy = structuredClone(before);
  play([['playback.mark', { reply_id: 'r1', sample: 24000 }], ['asr.partial', { text: 'x' }], ['reply.done', { reply_id: 'r1', outcome: 'completed' }]], before);
  assert.deepEqual(before, copy);
});

test('a new session keeps what was said above a line and starts its own timeline', () => {
  const state = play([['turn.start'], ['asr.partial', { text: 'hi' }]], play(ANSWER), 's2');
  assert.equal(state.log.count, 2);
  assert.ok(state.transcript.items.some((item) => item.kind === 'note' && item.text === 'New conversation'));
});

test('transcript and log are bounded', () => {
  const rows = Array.from({ length: MAX_ROWS + 50 }, (_, n) => ['error', { code: 'x', message: `m${n}` }]);
  const state = play(rows);
  assert.equal(state.transcript.items.length, MAX_ITEMS);
  assert.equal(state.log.rows.length, MAX_ROWS);
  assert.equal(state.log.count, MAX_ROWS + 50);
  assert.equal(state.log.rows.at(-1).seq, MAX_ROWS + 50);
});

test('the mode follows the conversation', () => {
  assert.equal(modeOf(initialState()), 'off');
  assert.equal(modeOf(reduce(initialState(), local('connection', { phase: 'connecting' }))), 'connecting');
  const thinking = play([['turn.end', { text: 'x', understood: true }], ['agent.status', { status: 'thinking', detail: '' }]]);
  assert.equal(modeOf(thinking), 'thinking');
  const speaking = play(ANSWER);
  assert.equal(modeOf(speaking), 'speaking');
  const cut = reduce(speaking, local('gate', { closed: true }));
  assert.equal(modeOf(cut), 'interrupted');
  assert.equal(modeOf(play([['playback.stop', { reply_id: 'r1' }], ['agent.status', { status: 'thinking' }]], cut)), 'thinking');
  const paused = play([['playback.pause', { reply_id: 'r1' }]], speaking);
  assert.equal(modeOf(paused), 'interrupted');
  assert.equal(modeOf(play([['playback.resume', { reply_id: 'r1', sample: 0 }]], paused)), 'speaking');
  assert.equal(modeOf(play([['reply.done', { reply_id: 'r1', outcome: 'completed' }]], speaking)), 'listening');
  assert.equal(modeOf(reduce(speaking, local('connection', { phase: 'ended' }))), 'off');
});

test('the status line says what the agent says it does', () => {
  assert.equal(statusText(play([['agent.status', { status: 'working', detail: 'asking the clock' }]])), 'Working on it: asking the clock');
  const listening = play([['agent.status', { status: 'listening', detail: '' }]]);
  assert.match(statusText(listening), /microphone is off/);
  assert.match(statusText(reduce(listening, local('microphone', { state: 'on' }))), /listening/);
  const muted = reduce(reduce(listening, local('microphone', { state: 'on' })), local('muted', { on: true }));
  assert.match(statusText(muted), /muted/);
  assert.match(statusText(reduce(muted, local('talking', { on: true }))), /listening/);
  assert.equal(statusText(play([['agent.status', { status: 'interrupted', detail: 'voiced' }]])), 'I stopped. Go ahead.');
  assert.equal(statusText(reduce(initialState(), local('connection', { phase: 'failed', message: 'Too many calls.' }))), 'Too many calls.');
});

test('settings: edited, echoed, saved', () => {
  const loaded = reduce(initialState(), local('settings.loaded', { settings: { 'vad.onset_ms': 60, 'vad.engine': 'webrtcvad' } }));
  assert.deepEqual(loaded.settings, { 'vad.onset_ms': 60 });
  const edited = reduce(loaded, local('settings.edited', { changes: { 'vad.onset_ms': 80 } }));
  assert.deepEqual([edited.settings['vad.onset_ms'], edited.unsaved], [80, { 'vad.onset_ms': 80 }]);
  const echoed = play([['settings.changed', { changes: { 'vad.onset_ms': 90 } }]], edited);
  assert.equal(echoed.settings['vad.onset_ms'], 90);
  assert.deepEqual(reduce(echoed, local('settings.saved')).unsaved, {});
});

test('a notice with the same id replaces the old one', () => {
  const one = reduce(initialState(), local('notice', { id: 'mic', level: 'error', text: 'a' }));
  const two = reduce(one, local('notice', { id: 'mic', level: 'error', text: 'b' }));
  assert.deepEqual(two.notices.map(({ text }) => text), ['b']);
  assert.deepEqual(reduce(two, local('notice.closed', { id: 'mic' })).notices, []);
});

test('rows of the timeline know their family and fit one line', () => {
  const families = ['session.created', 'asr.partial', 'model.token', 'tts.chunk', 'cancel.ack', 'action.failed', 'core.error', 'tts.failed'].map(familyOf);
  assert.deepEqual(families, ['session', 'user', 'agent', 'output', 'interruption', 'action', 'fault', 'fault']);
  assert.equal(summarise({ reply_id: 'r1', sample: 24000, text: 'hi', understood: true }), '“hi” · sample 0.50 s · understood');
});

test('what is forgotten leaves the page, and what follows stands alone', () => {
  const before = play(ANSWER);
  const forgotten = play([['session.forgotten', { session_id: 's1', turns: 1, replies: 1 }]], before);
  assert.deepEqual(forgotten.transcript.items.map(({ kind }) => kind), ['note']);
  assert.match(forgotten.transcript.items[0].text, /forgotten.*Notes, lists and timers stay/);
  assert.equal(forgotten.playback, '');
  assert.deepEqual(forgotten.log.rows.map(({ type }) => type), ['session.forgotten']);
  assert.ok(!JSON.stringify({ ...forgotten, connection: null }).includes('noon'));
  const again = reduce(forgotten, { kind: 'entry', entry: forgotten.log.rows[0].entry });
  assert.equal(again, forgotten, 'a repeat changes nothing');
  const on = play([['turn.start', { turn_id: 't2' }], ['turn.end', { turn_id: 't2', text: 'hello', understood: true }]], forgotten);
  assert.deepEqual(users(on).map(({ text }) => text), ['hello']);
});

// Acme Texts, a provider that exists nowhere, as an adapter in JavaScript.
//
// Its API is small: `POST /v1/messages {to, text, from?, key}` answers `{id, state}`, and so does
// `GET /v1/messages/{id}`. An error is `{"error": "code"}` beside a status that means what it says.
//
// A function throws `{ payload: … }` where its WIT type has an error; any other exception ends the
// call without a word, because there is no standard error.

import { setting } from 'onerouter:host/context@1.0.0';
import { send as sendHttp } from 'onerouter:outbound/http@1.0.0';

import * as refusal from './refusal.js';
import { segments } from './segments.js';

const MESSAGES = 'https://api.acme-texts.example/v1/messages';

// Acme's states and OneRouter's. A state that is not here makes the answer unreadable: a status that
// the host does not know would do so anyway, and later.
const STATES = new Map([
  ['waiting', 'queued'],
  ['out', 'sent'],
  ['arrived', 'delivered'],
  ['lost', 'undelivered'],
]);

export const sms = {
  send: reported((request) => {
    const wrong = unsupported(request);
    if (wrong.length > 0) {
      throw refusal.error({ tag: 'invalid', val: wrong });
    }
    const sender = request.sender ?? setting('sender');
    const text = JSON.stringify({
      to: request.to,
      text: request.body,
      from: sender,
      key: request.idempotencyKey,
    });
    let answer;
    try {
      answer = sendHttp(ask('post', MESSAGES, { tag: 'json', val: text }));
    } catch (error) {
      throw refusal.error(refusal.afterWrite(refusal.payload(error)));
    }
    if (!isSuccess(answer)) {
      throw refusal.error(refusal.of(answer).afterWrite);
    }
    const message = read(answer);
    if (message === undefined) {
      throw refusal.error(refusal.unreadableAfterWrite(answer));
    }
    return { ...message, segments: segments(request.body), sender };
  }),

  get: reported((providerId) => {
    const answer = look(providerId);
    if (!isSuccess(answer)) {
      throw refusal.error(refusal.of(answer).afterRead);
    }
    const message = read(answer);
    if (message === undefined) {
      throw refusal.error(refusal.unreadableAfterRead(answer));
    }
    return message;
  }),
};

export const accountCheck = {
  check: reported(() => {
    // Acme tells nothing of an account. Whoever may ask for a message that does not exist is told
    // that it does not exist.
    const answer = look('none');
    if (answer.status !== 404) {
      if (!isSuccess(answer)) {
        throw refusal.error(refusal.of(answer).afterRead);
      }
      if (read(answer) === undefined) {
        throw refusal.error(refusal.unreadableAfterRead(answer));
      }
    }
    return { providerId: undefined, name: undefined, warnings: [], extra: [] };
  }),
};

// Says where a mistake of this program is. The text of an exception may hold a recipient: the
// operator's log gets its name and its place.
function reported(f) {
  return (...args) => {
    try {
      return f(...args);
    } catch (error) {
      if (error instanceof refusal.AdapterError) {
        throw error;
      }
      const place = String(error?.stack ?? '').split('\n', 1)[0];
      throw refusal.error({ tag: 'other', val: `${error?.name ?? 'exception'} at ${place}` });
    }
  };
}

// What Acme cannot do. All of it at once: a caller should not find it piece by piece.
function unsupported(request) {
  const wrong = [];
  if (request.mediaUrls.length > 0) {
    wrong.push({ pointer: '/media_urls', code: 'unsupported', detail: 'Acme Texts sends no media.' });
  }
  if (request.sendAt !== undefined) {
    wrong.push({ pointer: '/send_at', code: 'unsupported', detail: 'Acme Texts sends at once only.' });
  }
  return wrong;
}

// A request with the token. This program never sees it: it names the entry in plugin.toml.
function ask(method, url, body) {
  return {
    method,
    url,
    headers: [],
    body,
    auth: 'token',
    wantHeaders: ['retry-after'],
    timeoutMs: undefined,
  };
}

// Reads one message, whatever the answer is.
function look(providerId) {
  try {
    return sendHttp(ask('get', `${MESSAGES}/${encodeURIComponent(providerId)}`, { tag: 'empty' }));
  } catch (error) {
    throw refusal.error(refusal.afterRead(refusal.payload(error)));
  }
}

function isSuccess(answer) {
  return answer.status >= 200 && answer.status < 300;
}

// What a success says; `undefined` where it makes no sense.
function read(answer) {
  const { id, state } = refusal.document(answer);
  const status = STATES.get(state);
  if (typeof id !== 'string' || status === undefined) {
    return undefined;
  }
  const failure =
    status === 'undelivered'
      ? refusal.failure('recipient_unreachable', 'The message did not arrive.')
      : undefined;
  return {
    providerId: id,
    status,
    segments: undefined,
    cost: undefined,
    sender: undefined,
    failure,
    raw: refusal.text(answer),
    extra: [],
  };
}

// What it means when there is no success: how a call ends, and what the caller is told.

// The error of an exported function; `payload` is its `call-error`.
export class AdapterError extends Error {
  constructor(payload) {
    super(payload.tag);
    this.payload = payload;
  }
}

export function error(callError) {
  return new AdapterError(callError);
}

// The `send-error` of `http.send`; an exception that is none goes on.
export function payload(thrown) {
  if (thrown?.payload?.tag === undefined) {
    throw thrown;
  }
  return thrown.payload;
}

// Reads Acme's error. Its own code is kept, its status decides. A server error has other
// consequences after a write than after a read.
export function of(answer) {
  const said = document(answer).error;
  const { ending, code, message, retryable } = meaning(answer.status);
  const val = failure(code, message, {
    retryable,
    providerCode: typeof said === 'string' ? said : undefined,
    httpStatus: answer.status,
    retryAfterMs: retryAfterMs(answer),
  });
  // Nobody can tell what Acme did with a write. A read has changed nothing.
  return {
    afterWrite: { tag: ending ?? 'unknown', val },
    afterRead: { tag: ending ?? 'not-sent', val },
  };
}

function meaning(status) {
  const as = (ending, code, message, retryable = false) => ({ ending, code, message, retryable });
  switch (status) {
    case 401:
      return as('unauthorized', 'credentials_refused', 'The credentials were refused.');
    case 403:
      return as('declined', 'permission_denied', 'The account may not do this.');
    case 404:
    case 410:
      return as('not-found', 'not_found', 'The provider does not know this.');
    case 409:
      return as('invalid-state', 'invalid_state', 'The state of the object does not allow this.');
    case 429:
      // plugin.toml says so too, or the host would not believe it.
      return as('not-sent', 'rate_limited', 'Too many requests.', true);
    default:
      return status >= 400 && status < 500 && status !== 408
        ? as('declined', 'provider_error', 'The provider refused the request.')
        : as(undefined, 'provider_error', 'The provider failed to answer the request.', true);
  }
}

// No complete answer to a request that may have changed something.
export function afterWrite(sendError) {
  switch (sendError.tag) {
    case 'interrupted': {
      const message = "The provider's answer did not arrive; it may have acted.";
      const more = { retryable: true, providerMessage: sendError.val };
      return { tag: 'unknown', val: failure('provider_error', message, more) };
    }
    case 'too-large': {
      const message = "The provider's answer is larger than allowed; it may have acted.";
      return { tag: 'unknown', val: failure('unexpected_answer', message) };
    }
    default:
      return afterRead(sendError);
  }
}

// No complete answer to a request that only reads.
export function afterRead(sendError) {
  switch (sendError.tag) {
    case 'interrupted':
    case 'unreachable': {
      const more = { retryable: true, providerMessage: sendError.val };
      const message = 'The provider could not be reached.';
      return { tag: 'not-sent', val: failure('provider_unavailable', message, more) };
    }
    case 'too-large': {
      const message = "The provider's answer is larger than allowed.";
      return { tag: 'not-sent', val: failure('unexpected_answer', message) };
    }
    default:
      return { tag: 'other', val: sendError.val };
  }
}

// A success that makes no sense, after which nobody knows what was done.
export function unreadableAfterWrite(answer) {
  const message = "The provider's answer could not be understood; it may have acted.";
  const val = failure('unexpected_answer', message, { httpStatus: answer.status });
  return { tag: 'unknown', val };
}

// A success that makes no sense, of a request that changed nothing.
export function unreadableAfterRead(answer) {
  const message = "The provider's answer could not be understood.";
  const val = failure('unexpected_answer', message, { httpStatus: answer.status });
  return { tag: 'not-sent', val };
}

export function failure(code, message, more = {}) {
  return {
    code,
    message,
    retryable: false,
    providerCode: undefined,
    providerMessage: undefined,
    httpStatus: undefined,
    retryAfterMs: undefined,
    ...more,
  };
}

// The answer's JSON object; empty where it is none. What a provider sends may be anything.
export function document(answer) {
  try {
    const fields = JSON.parse(text(answer));
    return typeof fields === 'object' && fields !== null ? fields : {};
  } catch {
    return {};
  }
}

// The body as text; what is no UTF-8 is replaced.
export function text(answer) {
  return new TextDecoder().decode(answer.body);
}

// Acme gives seconds.
function retryAfterMs(answer) {
  const found = answer.headers.find(([name]) => name === 'retry-after');
  return found !== undefined && /^[0-9]{1,8}$/.test(found[1]) ? BigInt(found[1]) * 1000n : undefined;
}

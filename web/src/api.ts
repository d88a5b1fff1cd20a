// The one way to the control plane. Every failure, the network's too, comes out as a Failure that carries a problem.
import type { Problem } from './shapes';

const kBase = 'api/v1/';

export class Failure extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.detail ?? problem.title);
    this.problem = problem;
  }
}

export function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return ask<T>(path, { signal, headers: { accept: 'application/json' } });
}

/// `once` makes the call safe to repeat: the same key never creates a second thing.
export function post<T>(path: string, body: unknown, once?: string): Promise<T> {
  const headers: Record<string, string> = { 'content-type': 'application/json', accept: 'application/json' };
  if (once) headers['idempotency-key'] = once;
  return ask<T>(path, { method: 'POST', headers, body: JSON.stringify(body) });
}

/// Text as it grows; `onText` gets each piece. Returns when the server ends the answer.
export async function stream(path: string, signal: AbortSignal, onText: (text: string) => void): Promise<void> {
  const response = await reach(path, { signal, headers: { accept: 'text/plain' } });
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const piece = await reader?.read();
    if (!piece || piece.done) return;
    onText(piece.value);
  }
}

export function address(path: string): string {
  return kBase + path;
}

/// A key for `once`. crypto.randomUUID is missing where the page does not come over HTTPS or from localhost.
export function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

export function problemOf(error: unknown): Problem {
  if (error instanceof Failure) return error.problem;
  return { type: 'about:blank', title: 'The page failed', status: 0, detail: String(error) };
}

async function ask<T>(path: string, init: RequestInit): Promise<T> {
  const response = await reach(path, init);
  try {
    return (await response.json()) as T;
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new Failure({ type: 'about:blank', title: 'An answer that is not JSON', status: response.status,
      detail: `${kBase}${path} did not answer with JSON. Is this page served by ratchetd itself?` });
  }
}

async function reach(path: string, init: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(kBase + path, init);
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new Failure({ type: 'about:blank', title: 'ratchetd does not answer', status: 0,
      detail: 'The control plane is out of reach. Models that are live go on serving; start ratchetd again and this page comes back by itself.' });
  }
  if (!response.ok) throw new Failure(await problemIn(response));
  return response;
}

async function problemIn(response: Response): Promise<Problem> {
  try {
    const problem = (await response.json()) as Problem;
    if (typeof problem.title === 'string') return problem;
  } catch {
    // Not a problem document: a proxy's page, say.
  }
  return { type: 'about:blank', title: `The server answered ${response.status}`, status: response.status, detail: response.statusText };
}

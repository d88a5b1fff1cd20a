// The one event stream of this page. A browser allows six connections per host, so a tab holds one stream at a time (the
// shown run's or everybody's) and none while it is hidden. Whoever shows data refetches on `open`: what was missed is then seen.
import { address } from './api';
import type { LiveEvent, ProgressEvent } from './shapes';

const kTypes = ['dataset.version', 'pipeline.applied', 'run.created', 'run.state', 'step.state', 'version.created', 'decision', 'release', 'route'];
const kFirstRetry_ms = 1000;
const kLastRetry_ms = 30_000;

type Listener = (event: LiveEvent) => void;
type ProgressListener = (event: ProgressEvent) => void;

class Live {
  state = $state<'connecting' | 'open' | 'lost'>('connecting');

  #path: string | null = null;
  #source: EventSource | null = null;
  #retry_ms = kFirstRetry_ms;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #listeners = new Set<Listener>();
  readonly #progress = new Set<ProgressListener>();

  constructor() {
    document.addEventListener('visibilitychange', () => {
      if (document.hidden) this.#close();
      else this.#open();
    });
  }

  /// Follows `events` or `runs/{id}/events` from now on.
  follow(path: string): void {
    if (path === this.#path) return;
    this.#path = path;
    this.#close();
    if (!document.hidden) this.#open();
  }

  subscribe(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  onProgress(listener: ProgressListener): () => void {
    this.#progress.add(listener);
    return () => this.#progress.delete(listener);
  }

  #open(): void {
    if (this.#source || this.#path === null) return;
    const source = new EventSource(address(this.#path));
    this.#source = source;
    source.onopen = () => {
      this.state = 'open';
      this.#retry_ms = kFirstRetry_ms;
      this.#tell({ type: 'open' });
    };
    source.onerror = () => {
      this.state = 'lost';
      // After a refusal (an HTTP error) the browser gives up by itself; after a broken connection it does not.
      if (source.readyState === EventSource.CLOSED) this.#reopenLater();
    };
    for (const type of kTypes) source.addEventListener(type, (message) => this.#tell({ ...parsed<LiveEvent>(message), type }));
    source.addEventListener('progress', (message) => {
      const event = parsed<ProgressEvent>(message);
      if (event.step && event.progress) for (const listener of this.#progress) listener(event);
    });
  }

  #reopenLater(): void {
    this.#close();
    this.#timer = setTimeout(() => this.#open(), this.#retry_ms);
    this.#retry_ms = Math.min(this.#retry_ms * 2, kLastRetry_ms);
  }

  #close(): void {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  }

  #tell(event: LiveEvent): void {
    for (const listener of this.#listeners) listener(event);
  }
}

function parsed<T>(message: MessageEvent): T {
  try {
    return JSON.parse(message.data as string) as T;
  } catch {
    return {} as T;
  }
}

export const live = new Live();

// Data of the control plane that stays fresh: fetched when its address changes, fetched again when a live event touches it.
// What was shown stays until the newer answer is there, so nothing jumps.
import { untrack } from 'svelte';
import { get, problemOf } from './api';
import { live } from './live.svelte';
import type { List, LiveEvent, Problem } from './shapes';

/// Events within this time cause one fetch.
const kCoalesce_ms = 120;
const kPageSize = 100;
const kMostPages = 20;

export class Resource<T> {
  data = $state.raw<T | undefined>();
  problem = $state.raw<Problem | undefined>();
  /// When the data came, by this browser's clock.
  fetched_ms = $state(0);

  #address: string | null = null;
  #abort: AbortController | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #again = false;
  readonly #fetch: (address: string, signal: AbortSignal) => Promise<T>;

  constructor(fetch: (address: string, signal: AbortSignal) => Promise<T>) {
    this.#fetch = fetch;
  }

  show(address: string | null): void {
    this.stop();
    if (address !== this.#address) {
      this.data = undefined;
      this.problem = undefined;
    }
    this.#address = address;
    void this.refresh();
  }

  stop(): void {
    this.#abort?.abort();
    this.#abort = undefined;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#again = false;
  }

  refreshSoon(): void {
    if (this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.refresh();
    }, kCoalesce_ms);
  }

  async refresh(): Promise<void> {
    const address = this.#address;
    if (address === null) return;
    if (this.#abort) {
      this.#again = true;
      return;
    }
    const abort = new AbortController();
    this.#abort = abort;
    try {
      const data = await this.#fetch(address, abort.signal);
      if (abort.signal.aborted) return;
      this.data = data;
      this.fetched_ms = Date.now();
      this.problem = undefined;
    } catch (error) {
      if (abort.signal.aborted) return;
      this.problem = problemOf(error);
    }
    if (this.#abort === abort) this.#abort = undefined;
    if (this.#again && !abort.signal.aborted) {
      this.#again = false;
      this.refreshSoon();
    }
  }
}

/// To be called while a component is set up. `matters` says which live events make the data stale.
export function resource<T>(address: () => string | null, matters: (event: LiveEvent) => boolean): Resource<T> {
  return kept(new Resource<T>((path, signal) => get<T>(path, signal)), address, matters);
}

/// A whole list, all its pages (up to kMostPages), under `address` without limit and cursor.
export function listResource<T>(address: () => string | null, matters: (event: LiveEvent) => boolean): Resource<T[]> {
  return kept(new Resource<T[]>(allPages), address, matters);
}

async function allPages<T>(path: string, signal: AbortSignal): Promise<T[]> {
  const items: T[] = [];
  let after: string | null = null;
  for (let page = 0; page < kMostPages; ++page) {
    const cursor: string = after === null ? '' : `&after=${encodeURIComponent(after)}`;
    const list: List<T> = await get<List<T>>(`${path}${path.includes('?') ? '&' : '?'}limit=${kPageSize}${cursor}`, signal);
    items.push(...list.items);
    after = list.next;
    if (after === null || after === undefined) break;
  }
  return items;
}

function kept<T>(made: Resource<T>, address: () => string | null, matters: (event: LiveEvent) => boolean): Resource<T> {
  $effect(() => {
    const shown = address();
    untrack(() => made.show(shown));
    return () => made.stop();
  });
  $effect(() => live.subscribe((event) => {
    if (event.type === 'open' || matters(event)) made.refreshSoon();
  }));
  return made;
}

// Addresses of the page: what stands behind the '#', e.g. `#/models/parcel-sorter/versions/3` or `#/runs?state=failed`.

export interface Place {
  parts: string[];
  query: URLSearchParams;
}

class Router {
  place = $state.raw<Place>(placeOf(location.hash));

  constructor() {
    addEventListener('hashchange', () => {
      this.place = placeOf(location.hash);
    });
  }

  go(link: string): void {
    location.hash = link;
  }

  /// Changes the query in place: no new entry in the browser's history.
  setQuery(key: string, value: string): void {
    const query = new URLSearchParams(this.place.query);
    if (value) query.set(key, value);
    else query.delete(key);
    const path = '#/' + this.place.parts.map(encodeURIComponent).join('/');
    history.replaceState(null, '', query.size > 0 ? `${path}?${query}` : path);
    this.place = placeOf(location.hash);
  }
}

function placeOf(hash: string): Place {
  const [path, query] = hash.replace(/^#\/?/, '').split('?', 2);
  return { parts: (path ?? '').split('/').filter(Boolean).map(decoded), query: new URLSearchParams(query ?? '') };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/// `link('models', name)` → `#/models/name`, each part escaped.
export function link(...parts: (string | number)[]): string {
  return '#/' + parts.map((part) => encodeURIComponent(part)).join('/');
}

/// The same, for a path of the API.
export function path(...parts: (string | number)[]): string {
  return parts.map((part) => encodeURIComponent(part)).join('/');
}

export const router = new Router();

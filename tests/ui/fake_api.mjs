// A control plane made of answers: serves the built page and the shapes of docs/formats.md, so that the page can be tested
// without a daemon. `node fake_api.mjs [PORT [full|empty]]` runs it by hand.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { kDataset, logOf, previewRow, problem, timelineOf, trialsOf, world } from './fake_data.mjs';

const kHere = path.dirname(fileURLToPath(import.meta.url));
export const kDist = process.env.RATCHET_UI_DIST ?? path.join(kHere, '../../web/dist');
const kTypes = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.css': 'text/css; charset=utf-8', '.svg': 'image/svg+xml' };
// As strict as a daemon may be: nothing inline, nothing from elsewhere.
const kPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

export class FakeApi {
  constructor(kind = 'full') {
    this.world = world(kind);
    this.requests = [];
    this.streams = new Set();
    this.followers = new Set();
    this.failures = [];
    this.held = [];
    this.nextEvent = 100;
    this.server = createServer((request, response) => void this.answer(request, response));
  }

  async listen(port = 0) {
    await new Promise((resolve) => this.server.listen(port, '127.0.0.1', resolve));
    this.port = this.server.address().port;
    this.url = `http://127.0.0.1:${this.port}/`;
    return this;
  }

  async close() {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  /// Every later request whose path matches gets this problem, until allow() is called.
  refuse(pattern, status, code, title, detail) {
    this.failures.push({ pattern, body: problem(status, code, title, detail) });
  }

  allow() {
    this.failures = [];
  }

  /// Requests whose path matches wait until the returned function is called.
  hold(pattern) {
    let release;
    const until = new Promise((resolve) => (release = resolve));
    this.held.push({ pattern, until });
    return release;
  }

  emit(type, fields) {
    const event = { id: this.nextEvent++, type, data: {}, at: Date.now() * 1000, ...fields };
    for (const stream of this.streams) {
      if (stream.run === null || stream.run === event.run) stream.response.write(`id: ${event.id}\nevent: ${type}\ndata: ${JSON.stringify(event)}\n\n`);
    }
  }

  progress(run, step, progress) {
    for (const stream of this.streams) if (stream.run === run) stream.response.write(`event: progress\ndata: ${JSON.stringify({ step, progress })}\n\n`);
  }

  log(run, step, text) {
    for (const follower of this.followers) if (follower.run === run && follower.step === step) follower.response.write(text);
  }

  /// As when the daemon is killed: every event stream breaks off.
  dropStreams() {
    for (const stream of this.streams) stream.response.destroy();
  }

  /// Brings a run's step to its end, as the daemon's tick would.
  endStep(id, step, state) {
    const run = this.world.runs.find((candidate) => candidate.id === id);
    const found = run.steps.find((candidate) => candidate.name === step);
    found.state = state;
    found.ended_at = Date.now() * 1000;
    Object.assign(found.attempts.at(-1), { state, ended_at: found.ended_at, cpu_s: 40, max_rss_bytes: 400 * 2 ** 20 });
    for (const follower of this.followers) if (follower.run === id && follower.step === step) follower.response.end();
    this.emit('step.state', { run: id, data: { step, state } });
  }

  beginStep(id, step) {
    const found = this.world.runs.find((run) => run.id === id).steps.find((candidate) => candidate.name === step);
    const started_at = Date.now() * 1000;
    Object.assign(found, { state: 'running', started_at, attempts: [{ number: 1, state: 'running', pid: 1, started_at, ended_at: null, error: null, cpu_s: null, max_rss_bytes: null }] });
    this.emit('step.state', { run: id, data: { step, state: 'running' } });
  }

  async answer(request, response) {
    const url = new URL(request.url, 'http://x');
    let body = '';
    for await (const piece of request) body += piece;
    this.requests.push({ method: request.method, path: url.pathname, search: url.search, headers: request.headers, body: body ? JSON.parse(body) : null });
    const failure = this.failures.find((candidate) => candidate.pattern.test(url.pathname));
    if (failure) return send(response, failure.body.status, failure.body, 'application/problem+json');
    const held = this.held.find((candidate) => candidate.pattern.test(url.pathname));
    if (held) await held.until;
    if (!url.pathname.startsWith('/api/')) return this.file(url.pathname, response);
    const parts = url.pathname.slice('/api/v1/'.length).split('/').map(decodeURIComponent);
    if (parts.at(-1) === 'events') return this.stream(parts[0] === 'runs' ? Number(parts[1]) : null, request, response);
    if (parts[0] === 'runs' && parts[2] === 'logs') return this.logs(Number(parts[1]), url.searchParams, request, response);
    const found = request.method === 'POST' ? this.change(parts, body ? JSON.parse(body) : {}) : this.read(parts, url.searchParams);
    if (found === undefined) return send(response, 404, problem(404, 'not-found', 'Not found', `There is no ${parts.join(' ')}. Look at what there is with: ratchet status`), 'application/problem+json');
    return send(response, found.status ?? 200, found.body ?? found);
  }

  file(name, response) {
    const relative = name === '/' ? 'index.html' : name.slice(1);
    let bytes;
    try {
      bytes = readFileSync(path.join(kDist, path.normalize(relative)));
    } catch {
      return send(response, 404, problem(404, 'not-found', 'Not found', `There is no ${name}.`), 'application/problem+json');
    }
    response.writeHead(200, { 'content-type': kTypes[path.extname(relative)] ?? 'application/octet-stream', 'content-security-policy': kPolicy, 'x-content-type-options': 'nosniff' });
    response.end(bytes);
  }

  stream(run, request, response) {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    response.write('retry: 200\n\n');
    const stream = { run, response, last: request.headers['last-event-id'] ?? null };
    this.streams.add(stream);
    response.on('close', () => this.streams.delete(stream));
  }

  logs(id, query, request, response) {
    const run = [...this.world.runs, ...this.world.unlisted].find((candidate) => candidate.id === id);
    const step = query.get('step');
    const running = run.steps.find((candidate) => candidate.name === step)?.state === 'running';
    response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' });
    response.write(logOf(run, step));
    if (!query.has('follow') || !running) return response.end();
    const follower = { run: id, step, response };
    this.followers.add(follower);
    response.on('close', () => this.followers.delete(follower));
  }

  read([kind, name, part, version, last], query) {
    const at = this.world;
    if (kind === 'status') return at.status();
    if (name === undefined) return this.list(kind, query);
    if (kind === 'pipelines') return part === undefined ? at.pipelines.find((entry) => entry.name === name) : undefined;
    if (kind === 'runs') return this.readRun([...at.runs, ...at.unlisted].find((entry) => entry.id === Number(name)), part);
    if (kind === 'datasets') return this.readDataset(name, part, Number(version), last, query);
    return kind === 'models' ? this.readModel(name, part, version, last, query) : undefined;
  }

  readRun(run, part) {
    if (!run || part === undefined) return run;
    return { timeline: timelineOf, trials: trialsOf }[part]?.(run);
  }

  list(kind, query) {
    const lists = { models: this.world.models, runs: this.world.runs, datasets: this.world.datasets, pipelines: this.world.pipelines };
    const fits = (entry) => ['pipeline', 'state'].every((key) => !query.has(key) || entry[key] === query.get(key));
    return lists[kind] && paged(lists[kind].filter(fits), query);
  }

  readDataset(name, part, version, last, query) {
    const dataset = this.world.datasets.find((entry) => entry.name === name);
    if (!dataset || part === undefined) return dataset;
    if (Number.isNaN(version)) return paged(this.world.datasetVersions[name], query);
    if (last !== 'rows') return this.world.datasetVersions[name].find((entry) => entry.version === version);
    const limit = Number(query.get('limit') ?? 20);
    const after = Number(query.get('after') ?? 0);
    return { columns: dataset.schema.map((column) => column.name), items: Array.from({ length: limit }, (_, index) => previewRow(after + index + 1)), next: String(after + limit) };
  }

  readModel(name, part, version, last, query) {
    const model = this.world.models.find((entry) => entry.name === name);
    if (!model || part === undefined) return model;
    const versions = this.world.versions[name];
    if (part === 'releases') return paged(this.world.releases[name], query);
    if (part === 'route') return { model: name, epoch: model.epoch, live: entry(versions, model.live), previous: entry(versions, model.previous), loading: null, split: null };
    if (version === undefined) return paged(versions, query);
    return last === 'decision' ? this.world.decisions[name][version] : versions.find((candidate) => candidate.version === Number(version));
  }

  change([kind, name, action, word], body) {
    if (kind === 'models' && action === 'rollback') return this.rollback(this.world.models.find((entry) => entry.name === name), body);
    if (kind === 'models' && action === 'release') {
      const release = this.world.releases[name].find((known) => ['watching', 'waiting'].includes(known.state));
      Object.assign(release, word === 'abort' ? { state: 'aborted', ended_at: Date.now() * 1000, error: `aborted by loopback: ${body.reason}` } : { approved_by: 'loopback' });
      this.emit('release', { model: name });
      return release;
    }
    if (kind === 'pipelines' && action === 'runs') {
      const run = { ...structuredClone(this.world.runs[0]), id: this.world.runs[0].id + 1, state: 'queued', reason: { kind: 'manual', detail: body.reason }, steps: this.world.runs[0].steps.map((step) => ({ ...step, state: 'pending', started_at: null, ended_at: null, attempts: [], progress: null })), started_at: null, summary: 'Queued.' };
      this.world.runs.unshift(run);
      this.emit('run.created', { run: run.id, pipeline: name });
      return { status: 201, body: run };
    }
    if (kind === 'pipelines' && ['pause', 'resume'].includes(action)) {
      return Object.assign(this.world.pipelines.find((entry) => entry.name === name), { state: action === 'pause' ? 'paused' : 'active' });
    }
    if (kind === 'runs' && action === 'reproduce') {
      const again = { ...structuredClone(this.world.runs[0]), id: 102, state: 'queued', reproduces: Number(name), reason: { kind: 'reproduce', detail: `run ${name}` }, steps: [] };
      this.world.unlisted.push(again);
      return { status: 201, body: again };
    }
    const run = kind === 'runs' ? this.world.runs.find((entry) => entry.id === Number(name)) : undefined;
    if (!run) return undefined;
    Object.assign(run, action === 'cancel' ? { state: 'cancelled', outcome: 'cancelled', ended_at: Date.now() * 1000 } : { state: 'queued', outcome: null, error: null, ended_at: null });
    this.emit('run.state', { run: run.id, pipeline: run.pipeline });
    return run;
  }

  rollback(model, { to, reason }) {
    const versions = this.world.versions[model.name];
    const release = { id: 1 + Math.max(0, ...this.world.releases[model.name].map((known) => known.id)), model: model.name, kind: 'rollback', from: model.live, to, epoch: model.epoch + 1, state: 'done', strategy: 'immediate', actor: 'loopback', reason, run: null,
      created_at: Date.now() * 1000, ended_at: Date.now() * 1000, took_ms: 17, error: null, plan: null, step: null, step_at: null, split: null, watched_s: 0, evidence: null, approved_by: null, harm: false };
    for (const version of versions) if (version.version === model.live) version.state = 'previous';
    for (const version of versions) if (version.version === to) version.state = 'live';
    Object.assign(model, { previous: model.live, live: to, epoch: model.epoch + 1 });
    this.world.releases[model.name].unshift(release);
    this.emit('release', { model: model.name });
    return release;
  }
}

function entry(versions, number) {
  const found = versions.find((version) => version.version === number);
  return found ? { version: number, bundle: found.bundle } : null;
}

function paged(items, query) {
  const limit = Number(query.get('limit') ?? 100);
  const after = Number(query.get('after') ?? 0);
  return { items: items.slice(after, after + limit), next: after + limit < items.length ? String(after + limit) : null };
}

function send(response, status, body, type = 'application/json') {
  response.writeHead(status, { 'content-type': type });
  response.end(JSON.stringify(body));
}

/// Plays a training in the running run of the full world, for whoever looks at the page by hand.
function play(api) {
  let step = 410;
  setInterval(() => {
    step = (step + 7) % 880;
    api.progress(11, 'train', { at: Date.now() * 1000, phase: 'train', epoch: 2, of: 3, step, steps: 880, rows_per_s: 5100 + (step % 90), loss: 0.31 - step / 9000, metrics: { validation_accuracy: 0.8934 } });
    api.log(11, 'train', `epoch 2/3 batch ${step}/880 loss ${(0.31 - step / 9000).toFixed(4)}\n`);
  }, 500);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const api = await new FakeApi(process.argv[3] ?? 'full').listen(Number(process.argv[2] ?? 7300));
  if (process.argv[3] !== 'empty') play(api);
  console.log(`${api.url} (dataset ${kDataset})`);
}

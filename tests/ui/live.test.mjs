// What changes under the reader's eyes: progress, logs, releases, lost connections; and what is said when something is amiss.
import assert from 'node:assert/strict';
import { after, before, beforeEach, afterEach, describe, test } from 'node:test';
import { finish, kDeadline_ms, launch, open } from './browser.mjs';
import { FakeApi } from './fake_api.mjs';

let browser;
let api;
before(async () => {
  browser = await launch();
});
after(async () => {
  await browser?.close();
});
beforeEach(async () => {
  api = await new FakeApi().listen();
});
afterEach(async () => {
  await api.close();
});

async function until(condition, what) {
  const deadline = Date.now() + kDeadline_ms;
  while (!(await condition())) {
    assert.ok(Date.now() < deadline, `waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function openRun(id) {
  const page = await open(browser, `${api.url}#/runs/${id}`);
  await until(() => [...api.streams].some((stream) => stream.run === id), 'the event stream of the run');
  await page.getByLabel('Log text of train').getByText('[train] run').waitFor();
  return page;
}

describe('Live', () => {
  test('Run, moves its bar and numbers as progress comes in', async () => {
    const page = await openRun(11);
    const bar = page.getByRole('progressbar', { name: 'Progress of train' });
    assert.equal(await bar.getAttribute('aria-valuenow'), '49');
    api.progress(11, 'train', { at: Date.now() * 1000, epoch: 3, of: 3, step: 440, steps: 880, loss: 0.1234, metrics: { validation_accuracy: 0.9011 } });
    await page.getByText('83 %').waitFor();
    await page.getByText('0.1234').waitFor();
    await page.getByText('0.9011').waitFor();
    assert.equal(await bar.getAttribute('aria-valuenow'), '83');
    await finish(page);
  });

  test('Run, keeps the progress it heard when the run is fetched again', async () => {
    const page = await openRun(11);
    const fetches = () => api.requests.filter((request) => request.path === '/api/v1/runs/11').length;
    api.progress(11, 'train', { at: Date.now() * 1000, epoch: 3, of: 3, step: 440, steps: 880, loss: 0.1234 });
    await page.getByText('0.1234').waitFor();
    // One may still be under way: that of when the stream was opened.
    const before = fetches();
    let finished = before;
    await page.route('**/api/v1/runs/11', async (route) => {
      await route.fulfill({ response: await route.fetch() });
      finished = fetches();
    });
    api.emit('step.state', { run: 11, data: { step: 'train', state: 'running' } });
    await until(() => finished > before, 'the run being fetched again');
    // Two frames: the page has drawn what it fetched.
    await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))));
    assert.equal(await page.getByText('0.1234').count(), 1);
    assert.equal(await page.getByRole('progressbar', { name: 'Progress of train' }).getAttribute('aria-valuenow'), '83');
    assert.equal(api.requests.filter((request) => request.path === '/api/v1/runs/11/logs').length, 1, 'the log is not read anew');
    await finish(page);
  });

  test('Run, follows the log to its end until the reader scrolls away', async () => {
    const page = await openRun(11);
    const log = page.getByLabel('Log text of train');
    const atEnd = () => log.evaluate((box) => box.scrollHeight - box.scrollTop - box.clientHeight < 24);
    await until(() => api.followers.size === 1, 'the followed log');
    api.log(11, 'train', Array.from({ length: 60 }, (_, index) => `line ${index}\n`).join(''));
    await log.getByText('line 59').waitFor();
    await until(atEnd, 'the end of the log');
    // At once: wheel and keys scroll by an animation, which a busy machine may still be drawing later on.
    await log.evaluate((box) => { box.scrollTop = 0; });
    await until(async () => !(await page.getByLabel('Follow').isChecked()), 'the log to let go of its end');
    api.log(11, 'train', 'progress 1%\rprogress 2%\nthe last line\n');
    await log.getByText('the last line').waitFor();
    assert.ok(!(await atEnd()));
    assert.ok(!(await log.textContent()).includes('progress 1%'), 'a carriage return begins the line anew');
    await page.getByLabel('Follow').check();
    await until(atEnd, 'the end of the log');
    await finish(page);
  });

  test('Run, goes on to the next step by itself', async () => {
    const page = await openRun(11);
    api.endStep(11, 'train', 'succeeded');
    api.beginStep(11, 'test');
    await page.getByRole('heading', { name: 'Log of test' }).waitFor();
    await page.getByRole('button', { name: /^train succeeded/ }).waitFor();
    await finish(page);
  });

  test('Run, can be cancelled', async () => {
    const page = await openRun(11);
    await page.getByRole('button', { name: 'Cancel the run' }).click();
    await page.getByRole('button', { name: 'Retry' }).waitFor();
    assert.ok(api.requests.some((request) => request.method === 'POST' && request.path === '/api/v1/runs/11/cancel'));
    await finish(page);
  });

  test('Overview, shows a new run without being asked again', async () => {
    const page = await open(browser, api.url);
    await until(() => api.streams.size === 1, 'the event stream');
    await page.getByRole('table', { name: 'Latest runs' }).waitFor();
    api.world.runs.unshift({ ...structuredClone(api.world.runs[0]), id: 12 });
    api.emit('run.created', { run: 12, pipeline: 'parcel-sorter' });
    await page.getByRole('link', { name: 'Run 12' }).waitFor();
    await finish(page);
  });

  test('Overview, asks nothing while nothing happens', async () => {
    const page = await open(browser, api.url);
    await until(() => api.streams.size === 1, 'the event stream');
    await page.getByRole('table', { name: 'Latest runs' }).waitFor();
    await page.waitForTimeout(500); // Whatever the stream's opening set off is done.
    const before = api.requests.length;
    await page.waitForTimeout(2500); // Longer than any timer of the page but the reconnects.
    assert.equal(api.requests.length, before);
    await finish(page);
  });

  test('Events, resume after a broken connection with the last id, and missed changes are seen', async () => {
    const page = await open(browser, api.url, { expected: [/ERR_|Failed to load/] });
    await until(() => api.streams.size === 1, 'the event stream');
    api.emit('route', { model: 'parcel-sorter' });
    await page.getByText('v8 live').waitFor();
    await page.waitForTimeout(100); // The browser has read the event by then.
    api.world.models[0].live = 7;
    api.dropStreams();
    await page.getByText('v7 live').waitFor();
    await until(() => [...api.streams].some((stream) => stream.last === '100'), 'a stream that names the last event');
    assert.equal(await page.locator('header [role="status"]').textContent(), 'live');
    await finish(page);
  });

  test('Events, a stream per tab at most', async () => {
    const page = await openRun(11);
    await page.getByRole('link', { name: 'Datasets' }).click();
    await page.getByRole('table', { name: 'Datasets' }).waitFor();
    await until(() => api.streams.size === 1 && [...api.streams][0].run === null && api.followers.size === 0, 'one stream, of all events');
    await finish(page);
  });
});

describe('Rollback', () => {
  test('Rollback, asks, goes back, and says how long it took', async () => {
    const page = await open(browser, `${api.url}#/models/parcel-sorter`);
    await page.getByRole('button', { name: 'Roll back to v7' }).click();
    const dialog = page.getByRole('dialog', { name: 'Roll parcel-sorter back to v7?' });
    await dialog.getByLabel(/^Reason/).fill('shirts look like coats');
    assert.ok(!api.requests.some((request) => request.method === 'POST'), 'nothing happens before the answer');
    await dialog.getByRole('button', { name: 'Roll back to v7' }).click();
    await page.getByRole('status').getByText('parcel-sorter went from v8 to v7 in 17 ms.').waitFor();
    const post = api.requests.find((request) => request.method === 'POST');
    assert.deepEqual(post.body, { to: 7, reason: 'shirts look like coats' });
    await page.getByRole('button', { name: 'Close' }).click();
    await page.getByText('v7 live').waitFor();
    await page.getByText('shirts look like coats').waitFor();
    await page.getByRole('button', { name: 'Roll back to v8' }).waitFor();
    await finish(page);
  });

  test('Rollback, can be called off with the keyboard', async () => {
    const page = await open(browser, `${api.url}#/models/parcel-sorter`);
    await page.getByRole('button', { name: 'Roll back to v7' }).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'hidden' });
    assert.equal(await page.evaluate(() => document.activeElement.textContent.trim().replace(/\s+/g, ' ')), '↺ Roll back to v7');
    assert.ok(!api.requests.some((request) => request.method === 'POST'));
    await finish(page);
  });

  test('Rollback, shows the refusal and what to do', async () => {
    api.refuse(/rollback$/, 409, 'conflict', 'Not rolled back', 'v7 does not load on replica local. Choose another version with --to.');
    const page = await open(browser, `${api.url}#/models/parcel-sorter`, { expected: [/409/] });
    await page.getByRole('button', { name: 'Roll back to v7' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Roll back to v7' }).click();
    await page.getByRole('dialog').getByText('Choose another version with --to.').waitFor();
    await finish(page);
  });
});

describe('When something is amiss', () => {
  test('Errors, are shown as the server words them, and "Try again" mends the page', async () => {
    api.refuse(/^\/api\/v1\/models/, 503, 'overloaded', 'Too busy', 'The control plane sheds load. Try again in a moment.');
    const page = await open(browser, api.url, { expected: [/503/] });
    await page.getByRole('alert').getByText('The control plane sheds load. Try again in a moment.').waitFor();
    // The stream's opening fetches once more by itself; the button is to do it here.
    await until(() => api.requests.filter((request) => request.path === '/api/v1/models').length === 2, 'the fetch at the opening of the stream');
    api.allow();
    await page.getByRole('button', { name: 'Try again' }).click();
    await page.getByText('v8 live').waitFor();
    assert.equal(await page.getByRole('alert').count(), 0);
    await finish(page);
  });

  test('Errors, a refused event stream is asked for again', async () => {
    api.refuse(/events$/, 503, 'overloaded', 'Too busy', 'Too many streams.');
    const page = await open(browser, api.url, { expected: [/503/] });
    await page.locator('header').getByText('reconnecting').waitFor();
    api.allow();
    await page.locator('header').getByText('live', { exact: true }).waitFor();
    await finish(page);
  });

  test('Errors, the page outlives the daemon and comes back with it', async () => {
    const page = await open(browser, api.url, { expected: [/ERR_|Failed to load|reset/i] });
    await page.getByText('v8 live').waitFor();
    const { port } = api;
    await api.close();
    // Panels whose fetch the end of the daemon cut off say so too; the mark in the Health panel is always there.
    await page.locator('[data-state="down"]', { hasText: 'out of reach' }).first().waitFor();
    await page.getByText('v8 live').waitFor();
    api = new FakeApi();
    api.world.models[0].live = 7;
    await api.listen(port);
    await page.getByText('v7 live').waitFor();
    await finish(page);
  });

  test('Empty, a fresh daemon says what to do next on every page', async () => {
    const empty = await new FakeApi('empty').listen();
    const page = await open(browser, empty.url);
    await page.getByText('ratchet dataset push NAME FILE.csv').waitFor();
    for (const [name, command] of [['Runs', 'ratchet run start PIPELINE --wait'], ['Datasets', 'ratchet dataset push NAME FILE.csv'], ['Pipelines', 'ratchet pipeline apply pipeline.yaml']]) {
      await page.getByRole('navigation').getByRole('link', { name }).click();
      await page.getByRole('heading', { level: 1, name }).waitFor();
      await page.getByText(command).waitFor();
    }
    await finish(page);
    await empty.close();
  });

  test('Loading, holds its place and jumps little when the answer comes', async () => {
    const release = api.hold(/^\/api\/v1\/models\/parcel-sorter\/versions$/);
    const page = await open(browser, `${api.url}#/models/parcel-sorter`);
    await page.getByText('v8 live').waitFor();
    const versions = page.getByRole('region', { name: 'Versions' });
    const before = (await versions.boundingBox()).y;
    assert.equal(await page.getByText('Loading').count() > 0, true);
    release();
    await page.getByRole('table', { name: /Versions of/ }).waitFor();
    assert.ok(Math.abs((await versions.boundingBox()).y - before) <= 60, 'the table moved');
    await finish(page);
  });
});

describe('Reader', () => {
  test('Keyboard, reaches everything: skip link, navigation, models', async () => {
    const page = await open(browser, api.url);
    await page.getByRole('link', { name: 'parcel-sorter' }).first().waitFor();
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to content');
    await page.keyboard.press('Enter');
    assert.equal(await page.evaluate(() => document.activeElement.tagName), 'MAIN');
    const reached = [];
    for (let presses = 0; presses < 4; ++presses) {
      await page.keyboard.press('Tab');
      reached.push(await page.evaluate(() => document.activeElement.textContent));
    }
    assert.deepEqual(reached, ['1 dataset', '1 pipeline', 'parcel-sorter', 'demand-forecast']);
    assert.notEqual(await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle), 'none', 'focus is visible');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { level: 1, name: 'demand-forecast' }).waitFor();
    await page.waitForFunction(() => document.activeElement.tagName === 'H1');
    await finish(page);
  });

  test('Colours, follow the system until chosen, and the choice stays', async () => {
    const background = (page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const page = await open(browser, api.url, { scheme: 'dark' });
    await page.locator('h1').waitFor();
    assert.equal(await background(page), 'rgb(14, 18, 22)');
    await page.getByRole('button', { name: /^Colours: system/ }).click();
    assert.equal(await background(page), 'rgb(245, 246, 248)');
    await page.reload();
    await page.getByRole('button', { name: /^Colours: light/ }).click();
    assert.equal(await background(page), 'rgb(14, 18, 22)');
    await page.getByRole('button', { name: /^Colours: dark/ }).click();
    await page.emulateMedia({ colorScheme: 'light' });
    assert.equal(await background(page), 'rgb(245, 246, 248)');
    await finish(page);
  });

  test('Motion, stands still for who asks for it', async () => {
    const page = await openRun(11);
    assert.equal(await page.getByRole('progressbar').locator('div').evaluate((fill) => getComputedStyle(fill).transitionDuration), '0s');
    await finish(page);
  });
});

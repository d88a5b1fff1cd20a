// Every page of the UI against made-up answers: what it shows, on a desk and on a phone, in light and in dark.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { assertFits, finish, launch, lowContrast, open } from './browser.mjs';
import { FakeApi } from './fake_api.mjs';

const kPages = ['#/', '#/models/parcel-sorter', '#/models/parcel-sorter/versions/8', '#/models/demand-forecast', '#/runs', '#/runs/11', '#/runs/10', '#/runs/9?step=gate', '#/runs/100', '#/runs/101',
  '#/datasets', '#/datasets/parcels', '#/pipelines', '#/pipelines/parcel-sorter', '#/nowhere'];

let browser;
let api;
before(async () => {
  browser = await launch();
  api = await new FakeApi().listen();
});
after(async () => {
  await browser?.close();
  await api?.close();
});

async function settled(page) {
  await page.locator('h1').waitFor();
  await page.waitForFunction(() => document.querySelectorAll('[role="status"] .line').length === 0);
}

describe('Pages', () => {
  for (const hash of kPages) {
    test(`Page ${hash}, fits a phone and reads well in light and dark`, async () => {
      for (const scheme of ['light', 'dark']) {
        const page = await open(browser, api.url + hash, { width: 390, height: 844, scheme });
        await settled(page);
        await assertFits(page);
        assert.deepEqual(await page.evaluate(lowContrast), [], `${scheme}: text below the contrast of WCAG AA`);
        assert.match(await page.title(), / · Ratchet$/);
        assert.equal(await page.locator('h1').count(), 1);
        await finish(page);
      }
    });
  }
});

describe('Overview', () => {
  test('Overview, shows models with their live version, health and the latest runs', async () => {
    const page = await open(browser, api.url);
    const card = page.locator('article', { hasText: 'parcel-sorter' });
    await card.getByText('v8 live').waitFor();
    await card.getByText('0.9127', { exact: true }).waitFor();
    await card.getByText('v9 rejected').waitFor();
    assert.match(await card.getByRole('img').getAttribute('aria-label'), /v1 0\.8012.*v9 0\.6803/);
    const health = page.getByRole('region', { name: 'Health' });
    await health.getByText('ratchetd 0.1.0').waitFor();
    await health.getByText('sandbox: landlock · 3 recipes').waitFor();
    const latest = page.getByRole('table', { name: 'Latest runs' });
    assert.equal(await latest.getByRole('row').count(), 7);
    await page.getByText('1 active').waitFor();
    await finish(page);
  });
});

describe('Model page', () => {
  test('Model, shows the newest decision first and another one when its version is chosen', async () => {
    const page = await open(browser, `${api.url}#/models/parcel-sorter`);
    await page.getByRole('heading', { name: 'Decision on v9' }).waitFor();
    await page.getByText('v9 is worse than live v8 by 0.2336 accuracy on 11968 holdout rows: it stays out.').waitFor();
    await page.getByRole('img', { name: /^Gain −0\.2336, 95 % interval from −0\.2382 to −0\.2290/ }).waitFor();
    await page.getByRole('region', { name: 'Slices' }).getByText('proven worse, p 0.0040').waitFor();
    const serving = page.getByRole('region', { name: 'Serving' });
    assert.match(await serving.getByRole('listitem').nth(1).textContent(), /p99 latency\s*31\.2 ms\s*over 20 ms/);
    assert.match(await serving.getByRole('listitem').nth(2).textContent(), /bundle size\s*792\.0 KiB\s*within 50\.0 MiB/);
    await serving.getByText('2,000 holdout rows over HTTP').waitFor();
    const leaks = page.getByRole('region', { name: 'Leakage' });
    await leaks.getByText(/40 of 12,008 \(0\.33 %\) have the same inputs as a training row;\s+judged without them/).waitFor();
    await leaks.getByText(/96 of 12,008 \(0\.80 %\) have a picture that looks like that of a training row;\s+they count in this decision/).waitFor();
    await leaks.getByText('parcel-90412').waitFor();
    const classes = page.getByRole('region', { name: 'Classes' });
    await classes.getByRole('img', { name: 'Reliability of the candidate and of live v8' }).waitFor();
    assert.match(await classes.getByRole('row', { name: /^bag/ }).textContent(), /120.*3,869/);
    await classes.getByRole('button', { name: 'live v8' }).click();
    await classes.getByRole('row', { name: /^bag.*450.*3,539/ }).waitFor();
    await page.getByRole('table', { name: /Versions of parcel-sorter/ }).getByRole('link', { name: 'v6', exact: true }).click();
    await page.getByRole('heading', { name: 'Decision on v6' }).waitFor();
    await page.getByText('about 48,200 further holdout rows').waitFor();
    assert.match(page.url(), /#\/models\/parcel-sorter\/versions\/6$/);
    await finish(page);
  });

  test('Model, says why the live version cannot be scored any more, and the ways out', async () => {
    const page = await open(browser, `${api.url}#/models/demand-forecast`);
    await page.getByRole('heading', { name: 'Decision on v5' }).waitFor();
    await page.getByText('cannot be scored any more: the data has not the columns it reads').waitFor();
    await page.getByText('read input store_area: the dataset has no such column').waitFor();
    const ways = page.getByRole('listitem').filter({ has: page.locator('code') });
    assert.equal(await ways.count(), 2);
    assert.equal(await ways.first().locator('code').textContent(), 'ratchet promote demand-forecast@5 --force --reason TEXT');
    assert.equal(await page.getByRole('img', { name: /^Gain/ }).count(), 0);
    await page.getByRole('table', { name: /Versions of demand-forecast/ }).getByText('live unscorable').waitFor();
    await finish(page);
  });

  test('Run, warns before training when its look can hardly prove anything', async () => {
    const page = await open(browser, `${api.url}#/runs/11`);
    const note = page.getByRole('note', { name: 'Forecast of the next look' });
    await note.getByText('Unlikely to be proven').waitFor();
    assert.match(await note.textContent(), /no more than 0\.0113 can be hoped for/);
    await finish(page);
    const other = await open(browser, `${api.url}#/runs/8`);
    await other.getByRole('heading', { level: 1 }).waitFor();
    assert.equal(await other.getByRole('note').count(), 0);
    await finish(other);
  });

  test('Model, draws every version and marks the live one', async () => {
    const page = await open(browser, `${api.url}#/models/parcel-sorter`);
    const chart = page.getByRole('group', { name: 'accuracy by version' });
    await chart.waitFor();
    assert.equal(await chart.getByRole('link').count(), 9);
    assert.equal(await chart.locator('circle.point.live').count(), 1);
    await chart.getByRole('link', { name: /^v8, live: accuracy 0\.9127/ }).click();
    await page.getByRole('heading', { name: 'Decision on v8' }).waitFor();
    await finish(page);
  });

  test('Model, says so when there is no such model', async () => {
    const page = await open(browser, `${api.url}#/models/no-such`, { expected: [/404/] });
    await page.getByRole('alert').getByText('There is no models no-such.').waitFor();
    await finish(page);
  });

  test('Model, keeps names with signs in them whole', async () => {
    const odd = await new FakeApi().listen();
    odd.world.models.push({ ...odd.world.models[1], name: 'a/b ?#%&<b>é' });
    odd.world.versions['a/b ?#%&<b>é'] = odd.world.versions['demand-forecast'];
    odd.world.decisions['a/b ?#%&<b>é'] = odd.world.decisions['demand-forecast'];
    odd.world.releases['a/b ?#%&<b>é'] = [];
    const page = await open(browser, odd.url);
    await page.getByRole('link', { name: 'a/b ?#%&<b>é' }).click();
    await page.getByRole('heading', { level: 1, name: 'a/b ?#%&<b>é' }).waitFor();
    await page.getByRole('group', { name: /by version/ }).waitFor();
    await finish(page);
    await odd.close();
  });
});

describe('Model page, to a decision report', () => {
  test('Model, leads to the report of the version that is shown', async () => {
    const page = await open(browser, `${api.url}#/models/parcel-sorter/versions/6`);
    const report = page.getByRole('link', { name: 'report', exact: true });
    assert.equal(await report.getAttribute('href'), 'api/v1/models/parcel-sorter/versions/6/decision/report');
    await finish(page);
  });
});

describe('Runs', () => {
  test('Runs, filter by state and pipeline, and keep the filter in the address', async () => {
    const page = await open(browser, `${api.url}#/runs`);
    const table = page.getByRole('table', { name: 'Runs, newest first' });
    await table.waitFor();
    assert.equal(await table.getByRole('row').count(), 12);
    await page.getByLabel('State').selectOption('failed');
    await page.waitForFunction(() => document.querySelectorAll('tbody tr').length === 1);
    assert.match(page.url(), /#\/runs\?state=failed$/);
    await page.reload();
    await page.waitForFunction(() => document.querySelectorAll('tbody tr').length === 1);
    await page.getByLabel('State').selectOption('queued');
    await page.getByText('No run fits').waitFor();
    await finish(page);
  });

  test('Run, shows a failed attempt with its class and what to do', async () => {
    const page = await open(browser, `${api.url}#/runs/10`);
    const alert = page.getByRole('alert');
    await alert.getByText('out of memory').waitFor();
    await alert.getByText('Raise train.limits.memory in the spec').waitFor();
    assert.equal(await page.getByRole('table', { name: 'Attempts of train' }).getByText('failed').count(), 3);
    await page.getByLabel('Log text of train').getByText('allocating 2147483648 bytes failed').waitFor();
    assert.ok(!(await page.getByLabel('Log text of train').textContent()).includes('\u001b'), 'colour codes are left out');
    await page.getByRole('button', { name: /^validate/ }).click();
    await page.getByRole('heading', { name: 'Log of validate' }).waitFor();
    await page.getByRole('button', { name: /^gate/ }).click();
    await page.getByText('This step was skipped.').waitFor();
    await finish(page);
  });
});

describe('What a run is stuck on', () => {
  test('Run, shows which data tests fail', async () => {
    const own = await new FakeApi().listen();
    own.world.runs.find((run) => run.id === 10).steps[0].checks = [
      { expect: { column: 'price', min: 0 }, passed: false, failing_rows: 1200, message: '1,200 of 9,000 rows are below 0',
        examples: [{ row: 3, values: { price: -1 } }, { row: 7, values: { price: null, note: '<b>x</b>' } }] },
      { expect: { like: 'live' }, passed: false, failing_rows: 0, message: '1 column has drifted', drift: [{ column: 'size', kind: 'numeric', psi: 0.41, ks: 0.2 }], examples: [] },
      { expect: { column: 'id', unique: true }, passed: true, failing_rows: 0, examples: [] }];
    const page = await open(browser, `${own.url}#/runs/10?step=validate`, { width: 390, height: 844 });
    const table = page.getByRole('table', { name: 'Failing data tests' });
    assert.deepEqual(await table.locator('tbody tr > *').allTextContents(), ['price', 'min 01,200 of 9,000 rows are below 0', '1,200', 'row 3: price -1row 7: price missing, note <b>x</b>',
      'all', 'like live1 column has drifted', '0', '']);
    assert.equal(await table.getByRole('row').count(), 3);
    assert.deepEqual(await page.getByRole('table', { name: "Columns unlike the live version's training data" }).locator('tbody tr > *').allTextContents(), ['size', 'numeric', '0.4100', '0.2000']);
    await page.getByText('2 of 3 fail').waitFor();
    await assertFits(page);
    await finish(page);
    await own.close();
  });

  test('Run, says what it waits for until it does not', async () => {
    const own = await new FakeApi().listen();
    const run = own.world.runs.find((entry) => entry.id === 11);
    for (const step of run.steps) Object.assign(step, { state: 'pending', attempts: [], started_at: null, ended_at: null, progress: null });
    run.steps[0].waiting = 'the worker is down: cannot start ratchet-worker';
    const page = await open(browser, `${own.url}#/runs/11`);
    await page.getByText('the worker is down: cannot start ratchet-worker').waitFor();
    delete run.steps[0].waiting;  // no event tells of it
    await page.getByText('the worker is down').waitFor({ state: 'detached' });
    await finish(page);
    await own.close();
  });
});

describe('A run of a graph with a sweep', () => {
  test('Run, shows trials by rank with the best marked, what was cached, and what waited', async () => {
    const own = await new FakeApi().listen();
    const page = await open(browser, `${own.url}#/runs/100`);
    const trials = page.getByRole('table', { name: 'Trials by rank' });
    await trials.waitFor();
    assert.equal(await trials.locator('tbody tr').count(), 6);
    assert.equal(await trials.locator('tbody tr').first().locator('th').textContent(), 'trial-3★best');
    assert.equal(await page.getByRole('group', { name: 'Trials by parameter and validation accuracy' }).locator('path.best').count(), 1);
    await page.getByRole('button', { name: /^join.*cached.*from run 7/ }).waitFor();
    await page.getByText('labels waited 2.0 s for processors').waitFor();
    await page.getByRole('button', { name: /^In time, labels: ran 7.0 s/ }).click();
    await page.waitForURL(/step=labels/);
    await page.getByRole('heading', { name: 'Log of labels' }).waitFor();
    await page.getByRole('button', { name: 'Reproduce' }).click();
    await page.getByRole('heading', { level: 1, name: 'Run 102' }).waitFor();
    await finish(page);
    await own.close();
  });

  test('Run, says why it is not begun', async () => {
    const page = await open(browser, `${api.url}#/runs/101`);
    await page.getByText('run 11 of this pipeline is under way').waitFor();
    await finish(page);
  });

  test('Pipeline, is paused and goes on', async () => {
    const own = await new FakeApi().listen();
    const page = await open(browser, `${own.url}#/pipelines/parcel-sorter`);
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.getByText('No run of this pipeline is begun while it is paused').waitFor();
    await page.getByRole('button', { name: 'Resume' }).click();
    await page.getByRole('button', { name: 'Pause' }).waitFor();
    assert.deepEqual(own.requests.filter((request) => request.method === 'POST').map((request) => request.path), ['/api/v1/pipelines/parcel-sorter/pause', '/api/v1/pipelines/parcel-sorter/resume']);
    await finish(page);
    await own.close();
  });
});

describe('Model page, past the gate', () => {
  test('Decision, names who overrode it and why', async () => {
    const own = await new FakeApi().listen();
    Object.assign(own.world.decisions['parcel-sorter'][9], { forced: true, forced_by: { release: 12, actor: 'loopback', reason: 'the holdout has wrong labels', created_at: Date.now() * 1000 } });
    const page = await open(browser, `${own.url}#/models/parcel-sorter/versions/9`);
    await page.getByText('forced past the gate').waitFor();
    await page.getByText(/Overridden by loopback in release 12, .*: the holdout has wrong labels/).waitFor();
    await finish(page);
    await own.close();
  });
});

describe('Data and pipelines', () => {
  test('Dataset, tells what looking at the holdout has cost', async () => {
    const page = await open(browser, `${api.url}#/datasets/parcels`);
    const ledger = page.getByRole('table', { name: /α ledger/ });
    await ledger.getByRole('row', { name: /parcel-sorter, 2 9,950 2 0\.012 of α 0\.05 is left 0\.00338/ }).waitFor();
    assert.equal(await ledger.getByRole('row').count(), 3, 'epochs before are folded');
    await ledger.getByRole('button', { name: /1 earlier epoch with 1 look$/ }).click();
    await ledger.getByRole('row', { name: /epoch 1 1,988 1 .* 0\.0076/ }).waitFor();
    await page.getByText('1,988 sealed rows are of closed epochs').waitFor();
    await page.getByText('ratchet dataset rotate-holdout parcels').waitFor();
    await finish(page);
  });

  test('Dataset, draws pictures of training rows and turns pages', async () => {
    const page = await open(browser, `${api.url}#/datasets/parcels`);
    const table = page.getByRole('table', { name: 'Training rows of parcels version 3' });
    await table.getByLabel('image of row 1', { exact: true }).waitFor();
    const painted = await table.getByLabel('image of row 1', { exact: true }).evaluate((canvas) => {
      const { data, width, height } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      return { width, height, lit: data.filter((value, at) => at % 4 === 0 && value > 100).length };
    });
    assert.equal(painted.width, 28);
    assert.ok(painted.lit > 50, 'the picture is not black');
    const colours = await table.getByLabel('photo of row 2', { exact: true }).evaluate((canvas) => [...canvas.getContext('2d').getImageData(0, 0, 1, 1).data]);
    assert.deepEqual(colours, [80, 140, 200, 255], 'three planes make one colour');
    await page.getByRole('button', { name: 'Next' }).click();
    await table.getByText('p-00013').waitFor();
    await page.getByRole('button', { name: 'Back' }).click();
    await table.getByText('p-00001').waitFor();
    await page.getByLabel('Version', { exact: true }).selectOption('1');
    await page.getByRole('table', { name: 'Training rows of parcels version 1' }).waitFor();
    await finish(page);
  });

  test('Dataset, never asks for validation or holdout rows', async () => {
    const asked = api.requests.filter((request) => request.path.endsWith('/rows')).map((request) => request.search);
    assert.ok(asked.length > 0);
    assert.deepEqual(asked.filter((search) => /split|holdout|validation/.test(search)), []);
  });

  test('Pipeline, shows its spec and starts a run', async () => {
    const own = await new FakeApi().listen();
    const page = await open(browser, `${own.url}#/pipelines/parcel-sorter`);
    await page.getByLabel('Spec of parcel-sorter').getByText('recipe: vision.classifier').waitFor();
    await page.getByRole('button', { name: 'Run now' }).click();
    await page.getByRole('heading', { level: 1, name: 'Run 12' }).waitFor();
    await page.getByText('manual: started from the web page').waitFor();
    const post = own.requests.find((request) => request.method === 'POST');
    assert.equal(post.path, '/api/v1/pipelines/parcel-sorter/runs');
    assert.match(post.headers['idempotency-key'], /^[0-9a-f]{32}$/);
    await finish(page);
    await own.close();
  });
});

describe('Release under way', () => {
  test('Release under way, shows steps, shares and figures, and asks twice before it aborts', async () => {
    const page = await open(browser, `${api.url}#/models/demand-forecast`);
    const panel = page.getByRole('region', { name: 'Release under way' });
    await panel.getByText('5 % of the traffic as canary').waitFor();
    assert.match(await panel.getByRole('listitem').filter({ hasText: '5 %' }).first().getAttribute('aria-current'), /step/);
    await panel.getByText('All is well so far: watched 43 s of 120 s.').waitFor();
    assert.match(await panel.getByRole('row', { name: /p99 latency/ }).innerText(), /in doubt\s+51\.2 ms\s+38\.4 ms\s+50\.0 ms/);
    assert.equal(await panel.getByRole('button', { name: 'Approve' }).count(), 0, 'it does not wait for anyone yet');
    await panel.getByRole('button', { name: 'Abort' }).click();
    await panel.getByLabel(/End it; v1 gets all traffic/).fill('too slow');
    await panel.getByRole('button', { name: 'Abort the release' }).click();
    await panel.waitFor({ state: 'detached' });
    await page.getByRole('region', { name: 'Releases' }).getByText('aborted by loopback: too slow').waitFor();
    await finish(page);
  });
});

// The decision report: one file, opened from a disk as a reader does who was sent it.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { assertFits, finish, launch, lowContrast, open } from './browser.mjs';
import { kKinds, largeReport, reportFile, usualReport } from './fake_report.mjs';

const kA4_px = 703;  // what is left of 210 mm between the margins
const kMostBytes = 300_000;

let browser;
let folder;
before(async () => {
  browser = await launch();
  folder = mkdtempSync(path.join(tmpdir(), 'ratchet-report-'));
});
after(async () => {
  await browser?.close();
  rmSync(folder, { recursive: true, force: true });
});

/// Opens the report from a file, with every request that it makes in `page.asked`.
async function read(report, options) {
  const file = path.join(folder, 'report.html');
  writeFileSync(file, reportFile(report));
  const asked = [];
  const noted = { newContext: async (given) => {
    const context = await browser.newContext(given);
    context.on('request', (request) => asked.push(request.url()));
    return context;
  } };
  const page = await open(noted, pathToFileURL(file).href, options);
  page.asked = asked.filter((url) => !url.startsWith('data:'));
  await page.getByText('Decision report').waitFor();
  return page;
}

describe('Report', () => {
  for (const [kind, made] of Object.entries(kKinds)) {
    test(`Report ${kind}, opens from a disk and fits a phone, a desk and A4, in light and dark`, async () => {
      for (const [width, scheme, media] of [[390, 'light'], [390, 'dark'], [1280, 'light'], [1280, 'dark'], [kA4_px, 'dark', 'print']]) {
        const page = await read(made(), { width, scheme });
        if (media) await page.emulateMedia({ media });
        await assertFits(page);
        assert.deepEqual(await page.evaluate(lowContrast), [], `${scheme} ${media ?? ''}: text below the contrast of WCAG AA`);
        assert.equal(page.asked.length, 1, `nothing but the file is asked for: ${page.asked}`);
        await finish(page);
      }
    });
  }

  test('Report, tells the verdict in a sentence, and what it rests on', async () => {
    const page = await read(usualReport());
    assert.equal(await page.title(), 'parcel-sorter@9: better');
    await page.getByText('v9 is proven better than the live v8: accuracy 0.9127 against 0.8902.').waitFor();
    await page.getByRole('img', { name: 'Gain +0.0225, 95 % interval from +0.0179 to +0.0271; proven to be more than +0.0153; the bar is +0.0050, zero means no difference' }).waitFor();
    await page.getByText('better: a gain of more than 0.0050 has to be proven, with confidence 95 % over all looks').waitFor();
    const slices = page.getByRole('region', { name: 'Slices' });
    assert.equal(await slices.getByRole('listitem').count(), 8);
    await slices.getByText('too small to tell').waitFor();
    await page.getByRole('img', { name: /^Of α 0\.05, 0\.0433 is spent by 4 looks and 0\.00673 is left/ }).waitFor();
    await page.getByRole('table', { name: 'Looks at the rows of epoch 2' }).getByRole('row', { name: '4 v9 inconclusive 0.0019' }).waitFor();
    assert.equal(await page.getByRole('table', { name: /^Epochs of the holdout/ }).getByRole('row').count(), 3);
    for (const whose of ['Candidate', 'live v8']) await page.getByRole('table', { name: new RegExp(`^${whose}: rows by true class`) }).waitFor();
    await page.getByRole('img', { name: 'Reliability of the candidate and of live v8' }).waitFor();
    for (const sign of ['a', 'b', 'c', 'd', 'e']) await page.getByText(sign.repeat(64), { exact: true }).waitFor();
    await page.getByText('7 of the training, 7 of the decision').waitFor();
    await finish(page);
  });

  test('Report, shows every class and slice of many, and stays small', async () => {
    const page = await read(largeReport());
    assert.equal(await page.getByRole('table', { name: /^Each class/ }).getByRole('row').count(), 201);
    assert.equal(await page.getByRole('region', { name: 'Slices' }).getByRole('listitem').count(), 50);
    assert.equal(page.asked.length, 1);
    const { size } = statSync(path.join(folder, 'report.html'));
    assert.ok(size < kMostBytes, `${size} bytes`);
    await finish(page);
  });

  test('Report, tells why a candidate that is better is kept out', async () => {
    const page = await read(kKinds.first());
    await page.getByText('v9 is proven better than the majority baseline, but it is kept out: accuracy 0.9127 against 0.1032.').waitFor();
    await page.getByText('proven worse, p 0.0004').waitFor();
    await finish(page);
  });

  test('Report, names what other steps of the test add, and who went past the gate', async () => {
    const page = await read(kKinds.refresh());
    await page.getByText('v9 is proven not to be worse than the live v8').waitFor();
    await page.getByText('Allowed: a loss of less than 0.0100.').waitFor();
    assert.match(await page.getByRole('region', { name: 'Serving' }).innerText(), /p99 latency\s+9\.65 ms\s+within 20 ms[\s\S]*peak memory\s+175\.0 MiB\s+over 100\.0 MiB/);
    await page.getByRole('region', { name: 'Leakage' }).getByText('judged without them').waitFor();
    await page.getByText('Overridden by loopback in release 12', { exact: false }).getByText('the holdout has <wrong> labels').waitFor();
    await finish(page);
  });

  test('Report, says of a live version that cannot be scored what to do', async () => {
    const page = await read(kKinds.unscorable());
    await page.getByText('v9 was compared with nothing: the live v8 cannot be scored any more.').waitFor();
    await page.getByText('Way out: `ratchet promote parcel-sorter@9 --force').waitFor();
    await page.getByText('no look at the sealed rows was spent').waitFor();
    assert.equal(await page.getByRole('region', { name: 'Scores' }).count(), 0);
    await finish(page);
  });

  test('Report, keeps names and reasons that would be script text', async () => {
    const bad = '</script><script>window.hacked = 1</script><img src=x onerror="window.hacked = 1">';
    const report = usualReport({ reason: bad, metric: bad, group_by: bad, units: 7 });
    report.decision.class_report.classes[0] = bad;
    report.decision.slices[0].name = bad;
    Object.assign(report.version, { model: bad, dataset: bad, recipe: bad });
    report.version.manifest.lineage.params = { [bad]: bad };
    const page = await read(report);
    assert.equal(await page.evaluate(() => globalThis.hacked), undefined);
    assert.equal(await page.locator('img[src], script:not([type])').count(), 1, 'its own script only');
    assert.ok((await page.getByText(bad).count()) >= 4);
    assert.equal(page.asked.length, 1);
    await finish(page);
  });

  test('Report, obeys no script that was put into the file', async () => {
    const file = path.join(folder, 'touched.html');
    writeFileSync(file, reportFile(usualReport()).replace('<div id="app">', '<script>window.hacked = 1</script><div id="app">'));
    const page = await open(browser, pathToFileURL(file).href, { expected: [/Content Security Policy/] });
    await page.getByRole('heading', { level: 1 }).waitFor();
    assert.equal(await page.evaluate(() => globalThis.hacked), undefined);
    await finish(page);
  });

  test('Report, tells the verdict where scripts are switched off', async () => {
    const file = path.join(folder, 'plain.html');
    writeFileSync(file, reportFile(usualReport()));
    const context = await browser.newContext({ javaScriptEnabled: false });
    const page = await context.newPage();
    await page.goto(pathToFileURL(file).href);
    await page.getByText('Candidate 0.9127 against 0.8902 on 11,968 rows').waitFor();
    await page.getByText('Here scripts are switched off.').waitFor();
    await context.close();
  });
});

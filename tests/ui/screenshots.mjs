// node screenshots.mjs URL OUTDIR: pictures of the Model page and the run page of any server, and, with ALL=1, of every page at
// desk and phone width, light and dark.
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { launch, open } from './browser.mjs';

const [url, out] = process.argv.slice(2);
if (!url || !out) {
  console.error('usage: node screenshots.mjs URL OUTDIR');
  process.exit(2);
}

async function ask(what) {
  const response = await fetch(new URL(`api/v1/${what}`, url));
  return (await response.json()).items;
}

async function shoot(browser, hash, name, options) {
  const page = await open(browser, new URL(hash, url).href, options);
  await page.locator('h1').waitFor();
  // Event streams never end, so "network idle" never comes: what counts is that nothing is loading any more.
  await page.waitForFunction(() => document.querySelectorAll('[role="status"] .line').length === 0);
  await page.evaluate(() => document.fonts.ready);
  const file = path.join(out, `${name}.png`);
  await page.screenshot({ path: file, fullPage: options.fullPage ?? false });
  console.log(file);
  await page.context().close();
}

mkdirSync(out, { recursive: true });
const models = await ask('models');
const runs = await ask('runs?limit=20');
const datasets = await ask('datasets');
const run = runs.find((candidate) => candidate.state === 'running') ?? runs[0];
const pages = {
  model: models[0] && `#/models/${encodeURIComponent(models[0].name)}`,
  run: run && `#/runs/${run.id}`,
};
const more = {
  overview: '#/',
  runs: '#/runs',
  failed: `#/runs/${runs.find((candidate) => candidate.state === 'failed')?.id ?? run?.id ?? 1}`,
  sweep: `#/runs/${process.env.SWEEP ?? runs.find((candidate) => candidate.steps.some((step) => step.kind === 'trial'))?.id ?? run?.id ?? 1}`,
  dataset: datasets[0] ? `#/datasets/${encodeURIComponent(datasets[0].name)}` : '#/datasets',
  pipelines: '#/pipelines',
  pipeline: models[0] ? `#/pipelines/${encodeURIComponent(models[0].name)}` : '#/pipelines',
};

const browser = await launch();
for (const [name, hash] of Object.entries(pages)) {
  if (hash) await shoot(browser, hash, `ui-${name}`, { width: 1280, height: 860, scheme: 'light' });
}
if (process.env.ALL) {
  for (const [name, hash] of Object.entries({ ...pages, ...more })) {
    if (!hash) continue;
    for (const scheme of ['light', 'dark']) {
      await shoot(browser, hash, `${name}-desk-${scheme}`, { width: 1280, height: 860, scheme, fullPage: true });
      await shoot(browser, hash, `${name}-phone-${scheme}`, { width: 390, height: 844, scheme, fullPage: true });
    }
  }
}
await browser.close();

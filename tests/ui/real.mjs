// RATCHET_UI_URL=http://127.0.0.1:7300/ node --test real.mjs: the page as a real daemon serves it, on whatever the daemon holds
// (at least one model with a live version). With RATCHET_UI_MAY_ROLL_BACK=1 it also rolls a model back, and back again.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { assertFits, finish, launch, open } from './browser.mjs';

const kUrl = process.env.RATCHET_UI_URL;
const kMayRollBack = process.env.RATCHET_UI_MAY_ROLL_BACK === '1';
assert.ok(kUrl, 'name the daemon in RATCHET_UI_URL');

let browser;
before(async () => {
  browser = await launch();
});
after(async () => {
  await browser?.close();
});

async function ask(what) {
  const response = await fetch(new URL(`api/v1/${what}`, kUrl));
  assert.equal(response.status, 200, what);
  return response.json();
}

async function shown(hash, options) {
  const page = await open(browser, new URL(hash, kUrl).href, options);
  await page.locator('h1').waitFor();
  await page.waitForFunction(() => document.querySelectorAll('[role="status"] .line').length === 0);
  await page.locator('header').getByText('live', { exact: true }).waitFor();
  assert.equal(await page.getByRole('alert').count(), 0, `${hash} shows trouble: ${await page.getByRole('main').innerText()}`);
  return page;
}

async function liveModel() {
  const { items } = await ask('models');
  const found = items.find((model) => model.live !== null);
  assert.ok(found, 'the daemon has a live model');
  return found;
}

test('Real daemon, serves every page without a complaint, on a desk and on a phone', async () => {
  const model = await liveModel();
  const run = (await ask('runs?state=succeeded&limit=1')).items[0];
  const dataset = (await ask('datasets')).items[0];
  const pipeline = (await ask('pipelines')).items[0];
  const pages = ['#/', `#/models/${model.name}`, '#/runs', `#/runs/${run.id}`, '#/datasets', `#/datasets/${dataset.name}`, '#/pipelines', `#/pipelines/${pipeline.name}`];
  for (const hash of pages) {
    for (const options of [{ width: 1280, height: 860 }, { width: 390, height: 844, scheme: 'dark' }]) {
      const page = await shown(hash, options);
      await assertFits(page);
      await finish(page);
    }
  }
});

test('Real daemon, shows the live version, its decision and its releases', async () => {
  const model = await liveModel();
  const page = await shown(`#/models/${model.name}/versions/${model.live}`);
  await page.getByText(`v${model.live} live`).first().waitFor();
  const decision = await ask(`models/${model.name}/versions/${model.live}/decision`);
  await page.getByText(decision.reason).first().waitFor();
  await page.getByRole('img', { name: /^Gain / }).waitFor();
  await page.getByRole('region', { name: 'Releases' }).getByRole('listitem').first().waitFor();
  await finish(page);
});

test('Real daemon, shows the log of a training', async () => {
  const run = (await ask('runs?state=succeeded&limit=1')).items[0];
  const log = await (await fetch(new URL(`api/v1/runs/${run.id}/logs?step=train`, kUrl))).text();
  const page = await shown(`#/runs/${run.id}?step=train`);
  const text = page.getByLabel('Log text of train');
  await page.waitForFunction(() => document.querySelector('pre').textContent !== '');
  const last = log.trim().split(/[\r\n]/).at(-1);
  if (last === '') await text.getByText('This step logged nothing.').waitFor();
  else assert.ok((await text.textContent()).includes(last), `the log ends with: ${last}`);
  await finish(page);
});

test('Real daemon, rolls back and forth', { skip: kMayRollBack ? false : 'set RATCHET_UI_MAY_ROLL_BACK=1' }, async () => {
  const { items } = await ask('models');
  const model = items.find((candidate) => candidate.live !== null && candidate.previous !== null);
  assert.ok(model, 'the daemon has a model with a previous version');
  const page = await shown(`#/models/${model.name}`);
  for (const to of [model.previous, model.live]) {
    await page.getByRole('button', { name: `Roll back to v${to}` }).click();
    await page.getByRole('dialog').getByRole('button', { name: `Roll back to v${to}` }).click();
    await page.getByRole('status').getByText(`Every replica serves v${to}.`).waitFor();
    await page.getByRole('button', { name: 'Close' }).click();
    await page.getByText(`v${to} live`).first().waitFor();
  }
  assert.equal((await ask(`models/${model.name}`)).live, model.live);
  await finish(page);
});

// RATCHET_REPORTS="url or file\n…" node --test real_report.mjs: decision reports as a real daemon made them, each opened as it is.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { assertFits, finish, launch, lowContrast, open } from './browser.mjs';

const kReports = (process.env.RATCHET_REPORTS ?? '').split('\n').filter(Boolean);
assert.ok(kReports.length > 0, 'name the reports in RATCHET_REPORTS');

let browser;
before(async () => {
  browser = await launch();
});
after(async () => {
  await browser?.close();
});

for (const url of kReports) {
  test(`Real report ${url}, opens without a complaint and shows what it holds`, async () => {
    for (const options of [{ width: 1280, height: 860 }, { width: 390, height: 844, scheme: 'dark' }]) {
      const page = await open(browser, url, options);
      await page.getByRole('heading', { level: 1 }).waitFor();
      const { decision, version } = await page.evaluate(() => JSON.parse(document.getElementById('data').textContent));
      await page.getByText(decision.reason, { exact: true }).waitFor();
      await page.getByRole('img', { name: /^Gain .*proven to be more than / }).waitFor();
      await page.getByRole('table', { name: `Looks at the rows of epoch ${decision.holdout.epoch}` }).getByRole('row', { name: new RegExp(`v${version.version} `) }).waitFor();
      await page.getByText(version.bundle, { exact: true }).waitFor();
      assert.equal(await page.getByRole('table', { name: /^Each class/ }).count(), decision.class_report ? 1 : 0);
      await assertFits(page);
      assert.deepEqual(await page.evaluate(lowContrast), []);
      await finish(page);
    }
  });
}

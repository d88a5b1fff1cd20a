// RATCHET_UI_DIST=build/release/web/dist node bench/report_page.mjs: how long the decision report of 200 classes and 50 slices takes
// to open from a file in headless Chromium, beside an empty page. Each opening is a browser context of its own, so nothing is cached.
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { launch } from '../tests/ui/browser.mjs';
import { largeReport, reportFile, usualReport } from '../tests/ui/fake_report.mjs';

const kRounds = 15;
const kLimit_ms = 300;

async function opened(browser, file) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  const page = await context.newPage();
  const devtools = await context.newCDPSession(page);
  await devtools.send('Performance.enable', { timeDomain: 'threadTicks' });
  await page.goto(pathToFileURL(file).href, { waitUntil: 'load' });
  const times = await page.evaluate(() => new Promise((resolve) => {
    const [navigation] = performance.getEntriesByType('navigation');
    new PerformanceObserver((list) => {
      const paint = list.getEntriesByName('first-contentful-paint')[0];
      if (paint) resolve({ load: navigation.loadEventEnd, paint: paint.startTime });
    }).observe({ type: 'paint', buffered: true });
  }));
  // Seconds of the page's own thread, which a busy machine does not stretch.
  const { metrics } = await devtools.send('Performance.getMetrics');
  times.work = 1000 * metrics.find((metric) => metric.name === 'TaskDuration').value;
  await context.close();
  return times;
}

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
const shown = (values) => `${median(values).toFixed(0)} ms (best ${Math.min(...values).toFixed(0)}, worst ${Math.max(...values).toFixed(0)})`;

const folder = mkdtempSync(path.join(tmpdir(), 'ratchet-report-'));
const pages = { 'empty page': '<!doctype html><title>empty</title><p>empty', 'usual report, 10 classes, 8 slices': reportFile(usualReport()), 'large report, 200 classes, 50 slices': reportFile(largeReport()) };
const browser = await launch();
let baseline = 0;
for (const [name, text] of Object.entries(pages)) {
  const file = path.join(folder, 'page.html');
  writeFileSync(file, text);
  const times = [];
  for (let round = 0; round < kRounds; ++round) times.push(await opened(browser, file));
  const load = times.map((time) => time.load);
  baseline ||= median(load);
  console.log(`${name}: ${(statSync(file).size / 1024).toFixed(0)} KiB, load ${shown(load)}, first contentful paint ${shown(times.map((time) => time.paint))}, processor ${shown(times.map((time) => time.work))}, ${(median(load) / baseline).toFixed(1)} × the empty page, ${(median(load) / kLimit_ms).toFixed(2)} of ${kLimit_ms} ms`);
}
await browser.close();
rmSync(folder, { recursive: true });

// Headless Chromium for the UI's tests: one browser, a fresh context per test, and every console error is a failure.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const kArgs = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
const kPlaces = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
export const kDeadline_ms = 20_000;

// Installed with the page's own packages.
const { chromium } = createRequire(fileURLToPath(new URL('../../web/package.json', import.meta.url)))('playwright-core');

export async function launch() {
  const executablePath = process.env.RATCHET_CHROMIUM ?? kPlaces.find((place) => existsSync(place));
  assert.ok(executablePath, 'Chromium is needed: install the package chromium, or name it in RATCHET_CHROMIUM');
  return chromium.launch({ executablePath, args: kArgs });
}

/// Opens `url` and returns the page. `page.errors` fills with whatever the page complains of; `expected` names what a test provokes.
export async function open(browser, url, { width = 1280, height = 800, scheme = 'light', motion = 'reduce', expected = [] } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme, reducedMotion: motion, locale: 'en-GB', timezoneId: 'UTC' });
  const page = await context.newPage();
  page.setDefaultTimeout(kDeadline_ms);
  page.errors = [];
  const note = (text) => {
    if (!expected.some((pattern) => pattern.test(text))) page.errors.push(text);
  };
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) note(message.text());
  });
  page.on('pageerror', (error) => note(String(error)));
  page.on('request', (request) => {
    if (new URL(request.url()).origin !== new URL(url).origin && !request.url().startsWith('data:')) note(`a request to elsewhere: ${request.url()}`);
  });
  await page.goto(url);
  return page;
}

export async function finish(page) {
  const { errors } = page;
  await page.context().close();
  assert.deepEqual(errors, [], 'the page complained');
}

/// The page itself never scrolls sideways; wide tables scroll within themselves.
export async function assertFits(page) {
  const { inner, wide } = await page.evaluate(() => ({ inner: document.documentElement.clientWidth, wide: document.documentElement.scrollWidth }));
  assert.ok(wide <= inner, `the page is ${wide} px wide in a window of ${inner} px: ${page.url()}`);
}

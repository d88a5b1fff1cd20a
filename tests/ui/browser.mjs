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

/// The contrast of text and what lies behind it, by WCAG's formula, for every visible piece of text; returns those below AA.
export function lowContrast() {
  const kLeast = 4.5;
  const context = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = (colour) => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = context.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = rgba(getComputedStyle(at).backgroundColor);
      if (colour[3] > 0.99) return colour;
    }
    return [255, 255, 255, 1];
  };
  const bad = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility({ opacityProperty: true }) || element.closest('script, noscript, :disabled, svg a, .hidden-label')) continue;
    const style = getComputedStyle(element);
    const a = light(rgba(element.closest('svg') ? style.fill : style.color));
    const b = light(behind(element));
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < kLeast) bad.push(`${contrast.toFixed(2)} ${walker.currentNode.data.trim().slice(0, 40)}`);
  }
  return bad;
}

import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

// Relative addresses, so that the page also works below a path of a reverse proxy. No inlined assets and no polyfill
// script, so that it runs under `default-src 'self'`.
export default defineConfig({
  base: './',
  plugins: [svelte()],
  build: {
    target: 'es2022',
    cssTarget: 'chrome123',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: { proxy: { '/api': process.env.RATCHET_UI_API ?? 'http://127.0.0.1:7300' } },
});

import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

// The decision report: one script and one sheet, which report.mjs puts into one file.
export default defineConfig({
  plugins: [svelte()],
  define: { 'process.env.NODE_ENV': '"production"' },
  build: {
    target: 'es2022',
    cssTarget: 'chrome123',
    cssCodeSplit: false,
    modulePreload: false,
    reportCompressedSize: false,
    lib: { entry: 'src/report/main.ts', formats: ['iife'], name: 'ratchetReport', fileName: () => 'report.js', cssFileName: 'report' },
  },
});

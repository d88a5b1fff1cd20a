// node embed.mjs DIST REPORT OUT: writes OUT/assets.S, which takes in every file of DIST and of REPORT, and OUT/assets.cc, the
// table of those of DIST and the template of the decision report.
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const kTypes = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.json': 'application/json',
  '.txt': 'text/plain; charset=utf-8',
};

function filesBelow(folder, prefix = '') {
  return readdirSync(path.join(folder, prefix), { withFileTypes: true }).flatMap((entry) => {
    const name = prefix ? `${prefix}/${entry.name}` : entry.name;
    return entry.isDirectory() ? filesBelow(folder, name) : [name];
  });
}

function described(dist, name, symbol) {
  const type = kTypes[path.extname(name)];
  if (!type) throw new Error(`${name}: no content type is known for this kind of file; add it to embed.mjs`);
  const bytes = readFileSync(path.join(dist, name));
  return { name, type, file: path.resolve(dist, name), symbol, size: bytes.length,
    etag: createHash('sha256').update(bytes).digest('hex').slice(0, 32) };
}

// The etag stands in a comment so that this file, and so the object, changes with the content.
function assembly(assets) {
  const parts = assets.map((asset) => `# ${asset.etag}
.global ${asset.symbol}
.hidden ${asset.symbol}
.balign 16
${asset.symbol}:
.incbin ${JSON.stringify(asset.file)}
`);
  return `.section .rodata\n${parts.join('')}.section .note.GNU-stack,"",%progbits\n`;
}

function table(assets, [page, policy]) {
  const symbols = [...assets, page, policy].map((asset) => `extern const char ${asset.symbol}[];`).join('\n');
  const rows = assets.map((asset) => `    {${JSON.stringify(asset.name)}, ${JSON.stringify(asset.type)}, ${JSON.stringify(`"${asset.etag}"`)}, {${asset.symbol}, ${asset.size}}},`);
  return `#include "web/embedded.h"

extern "C" {
${symbols}
}

namespace ratchet::web {
namespace {
const Asset kAssets[] = {
${rows.join('\n')}
};
}  // namespace

std::span<const Asset> Assets() { return kAssets; }

ReportTemplate DecisionReport() {
  return {.html = {${page.symbol}, ${page.size}}, .policy = {${policy.symbol}, ${policy.size}}};
}

}  // namespace ratchet::web
`;
}

const [dist, report, out] = process.argv.slice(2);
const assets = filesBelow(dist).sort().map((name, index) => described(dist, name, `ratchet_web_asset_${index}`));
if (!assets.some((asset) => asset.name === 'index.html')) throw new Error(`${dist} holds no index.html: was the page built?`);
const template = ['report.html', 'policy.txt'].map((name, index) => described(report, name, `ratchet_web_report_${index}`));
mkdirSync(out, { recursive: true });
writeFileSync(path.join(out, 'assets.S'), assembly([...assets, ...template]));
writeFileSync(path.join(out, 'assets.cc'), table(assets, template));

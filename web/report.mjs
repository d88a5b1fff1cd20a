// node report.mjs BUILT OUT: makes of the built script and sheet one HTML file, OUT/report.html, which loads nothing else, and
// OUT/policy.txt, the Content-Security-Policy under which nothing but these two is obeyed. What stands between @ signs is filled
// in for each decision (daemon/report_page.h).
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const [built, out] = process.argv.slice(2);
const read = (name) => readFileSync(name, 'utf8').trim();
const digest = (text) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

// Within an HTML page a script ends at the first "</script", and "<!--" before a "<script" would hide its end.
const script = read(path.join(built, 'report.js')).replaceAll('</script', '\\x3C/script').replaceAll('<!--', '\\x3C!--');
const style = read(path.join(built, 'report.css'));
if (/<\/style/i.test(style)) throw new Error('the sheet would end too early');

const policy = `default-src 'none'; script-src ${digest(script)}; style-src ${digest(style)}; img-src data:; base-uri 'none'; form-action 'none'`;
const parts = { POLICY: policy, STYLE: style, SCRIPT: script };
const page = read(new URL('report.html', import.meta.url)).replace(/@(POLICY|STYLE|SCRIPT)@/g, (_, name) => parts[name]);

mkdirSync(out, { recursive: true });
writeFileSync(path.join(out, 'report.html'), `${page}\n`);
writeFileSync(path.join(out, 'policy.txt'), policy);

// The decision report: one file that opens from a disk, without a server. What it shows stands in it as JSON.
import { mount } from 'svelte';
import '../app.css';
import './paper.css';
import { readReport } from './data';
import Report from './Report.svelte';

// Until here the page says in words what it can without a script.
const app = document.getElementById('app')!;
const report = readReport(document.getElementById('data')!.textContent ?? '');
app.replaceChildren();
mount(Report, { target: app, props: { report } });

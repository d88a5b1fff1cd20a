// The decision report: one file that opens from a disk, without a server. What it shows stands in it as JSON.
import { mount } from 'svelte';
import '../app.css';
import './paper.css';
import { readReport } from './data';
import Report from './Report.svelte';

mount(Report, { target: document.getElementById('app')!, props: { report: readReport(document.getElementById('data')!.textContent ?? '') } });

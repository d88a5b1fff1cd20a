import { mount } from 'svelte';
import './app.css';
import App from './App.svelte';
import { applyStoredTheme } from './theme';

applyStoredTheme();
mount(App, { target: document.getElementById('app')! });

// Light and dark follow the system until the reader chooses; the choice is kept in this browser.

export type Theme = 'system' | 'light' | 'dark';

const kKey = 'ratchet-theme';

export function storedTheme(): Theme {
  try {
    const value = localStorage.getItem(kKey);
    return value === 'light' || value === 'dark' ? value : 'system';
  } catch {
    return 'system'; // Storage is switched off in this browser.
  }
}

export function setTheme(theme: Theme): void {
  try {
    if (theme === 'system') localStorage.removeItem(kKey);
    else localStorage.setItem(kKey, theme);
  } catch {
    // The choice then lasts until the page is left.
  }
  apply(theme);
}

export function applyStoredTheme(): void {
  apply(storedTheme());
}

function apply(theme: Theme): void {
  if (theme === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

/* Light or dark: as the system is, or as was chosen here. Runs before the page is shown, so that it never flashes. */
'use strict';
(() => {
  const root = document.documentElement, order = ['system', 'light', 'dark'];
  const chosen = () => {
    const theme = localStorage.getItem('reflectd.theme');
    return order.includes(theme) ? theme : 'system';
  };
  const apply = () => { root.dataset.theme = chosen(); };
  apply();
  addEventListener('DOMContentLoaded', () => {
    const button = document.getElementById('theme');
    const signs = {system: '◐', light: '☀', dark: '☾'};
    const show = () => {
      button.textContent = signs[chosen()];
      button.title = `Theme: ${chosen()}`;
      button.setAttribute('aria-label', `Theme: ${chosen()}. Change`);
    };
    const changed = () => {
      apply();
      show();
      dispatchEvent(new Event('themechange'));
    };
    show();
    button.addEventListener('click', () => {
      localStorage.setItem('reflectd.theme', order[(order.indexOf(chosen()) + 1) % order.length]);
      changed();
    });
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', changed);
  });
})();

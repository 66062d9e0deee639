/* Buttons in a row, and the panel of the chosen one; arrow keys move between them. */
import {h, replace} from './dom.js';

/* `tabs`: {name: {label, element, open() (called when it is shown, and by again())}}. again(name) is for that one. */
export function tabbed(title, tabs) {
  const names = Object.keys(tabs);
  let chosen = null;
  const panel = h('div.panel', {role: 'tabpanel', id: 'panel'});
  const choose = name => {
    chosen = name;
    for (const button of buttons) {
      const on = button.dataset.name === name;
      button.setAttribute('aria-selected', String(on));
      button.tabIndex = on ? 0 : -1;
    }
    panel.setAttribute('aria-labelledby', `tab-${name}`);
    replace(panel, tabs[name].element);
    tabs[name].open?.();
  };
  const buttons = names.map(name => h('button', {
    type: 'button', role: 'tab', id: `tab-${name}`, 'data-name': name, 'aria-controls': 'panel',
    onclick: () => choose(name),
  }, tabs[name].label));
  const move = event => {
    const step = {ArrowLeft: -1, ArrowRight: 1}[event.key];
    if (!step)
      return;
    const next = (names.indexOf(chosen) + step + names.length) % names.length;
    choose(names[next]);
    buttons[next].focus();
  };
  choose(names[0]);
  return {
    element: h('section.card.flush', {},
      h('div.tabs', {role: 'tablist', 'aria-label': title, onkeydown: move}, buttons), panel),
    again(name = chosen) {
      if (name === chosen)
        tabs[name].open?.();
    },
  };
}

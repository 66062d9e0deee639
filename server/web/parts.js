/* Shapes that several views are made of. */
import {h} from './dom.js';

/* A list of names and values; pairs without a value are left out. */
export function facts(pairs, kind = '') {
  const known = pairs.filter(([, value]) => value !== null && value !== undefined && value !== '' && value !== false);
  return h(`dl.facts${kind}`, {}, known.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))));
}

/* What a page says that has nothing to show yet. */
export const empty = (title, ...content) => h('section.card.empty', {}, h('h2', {}, title), content);

/* `head`: texts or cells; an empty text heads a column that needs no name. `rows`: of cells. `kind`: classes, as
   ".stacks", whose rows become cards on a phone. */
export function table(head, rows, kind = '') {
  const heads = head.map(cell => cell instanceof Node ? cell : cell ? h('th', {}, cell) : h('td', {}));
  return h('div.table', {}, h(`table${kind}`, {},
    h('thead', {}, h('tr', {}, heads)),
    h('tbody', {}, rows.map(cells => h('tr', {}, cells)))));
}

/* A table under a title that may be wider than the page: it scrolls sideways, by the keyboard too. */
export function scrolled(title, head, rows, kind = '') {
  const body = table(head, rows, kind);
  for (const [name, value] of Object.entries({tabindex: '0', role: 'region', 'aria-label': title}))
    body.setAttribute(name, value);
  return flush(h('h2.table-title', {}, title), body);
}

export const card = (...content) => h('section.card.stack', {}, content);
export const flush = (...content) => h('section.card.flush', {}, content);

export function button(label, onclick, {kind = '', ...props} = {}) {
  return h(`button.button.small${kind}`, {type: 'button', onclick, ...props}, label);
}
export const link = (label, href, {kind = '', ...props} = {}) => h(`a.button.small${kind}`, {href, ...props}, label);

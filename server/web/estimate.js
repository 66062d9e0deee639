/* What a job would take, asked of the server while its form is filled in. */
import * as api from './api.js';
import {h, replace} from './dom.js';

export function estimatePanel(signal) {
  const element = h('div.stack.small', {'aria-live': 'polite'}, h('p.soft', {}, 'Choose a model and a file.'));
  return {element, ask() {}};
}

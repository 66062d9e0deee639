/* The page: which view the address names, the API key, the start. */
import * as api from './api.js';
import {h, notify, replace} from './dom.js';
import {showCompare} from './view_compare.js';
import {showFile} from './view_file.js';
import {showFiles} from './view_files.js';
import {showJob} from './view_job.js';
import {showJobs} from './view_jobs.js';
import {showModels} from './view_models.js';
import {showNew} from './view_new.js';
import {showSweep} from './view_sweep.js';
import {showSweeps} from './view_sweeps.js';

/* A view fills `root` and does what it does until the signal ends it. */
const views = {
  jobs: (root, rest, query, signal) => rest ? showJob(root, rest, signal) : showJobs(root, signal),
  sweeps: (root, rest, query, signal) => rest ? showSweep(root, rest, signal) : showSweeps(root, signal),
  compare: (root, rest, query, signal) => showCompare(root, rest ? rest.split(',') : [], signal),
  files: (root, rest, query, signal) => rest ? showFile(root, rest, signal) : showFiles(root, signal),
  models: (root, rest, query, signal) => showModels(root, signal),
  new: (root, rest, query, signal) => showNew(root, rest === 'sweep', query, signal),
};

const main = document.getElementById('main'), keyButton = document.getElementById('key');
let leave = new AbortController();

function route() {
  leave.abort();
  leave = new AbortController();
  const [path, query] = location.hash.slice(1).split('?');
  const [, name = 'jobs', rest = ''] = path.split('/');
  const view = views[name] ?? views.jobs;
  for (const link of document.querySelectorAll('nav a')) {
    if (link.getAttribute('href') === `#/${name || 'jobs'}`)
      link.setAttribute('aria-current', 'page');
    else
      link.removeAttribute('aria-current');
  }
  keyButton.hidden = !api.key();
  document.querySelectorAll('dialog').forEach(dialog => dialog.close());
  replace(main, h('p.soft', {}, 'Loading…'));
  view(main, decodeURIComponent(rest), new URLSearchParams(query), leave.signal);
}

/* ---- the key ---- */

let asking = false;

function askKey(message) {
  if (asking)
    return;
  asking = true;
  const input = h('input', {
    type: 'password', id: 'key-input', autocomplete: 'off', required: true, 'aria-describedby': 'key-hint',
  });
  const dialog = h('dialog', {'aria-labelledby': 'key-title'},
    h('form', {method: 'dialog', onsubmit: () => api.setKey(input.value.trim())},
      h('h2', {id: 'key-title'}, 'This server asks for an API key'),
      h('div.field', {}, h('label', {for: 'key-input'}, 'API key'), input,
        h('p.hint', {id: 'key-hint'}, 'It stays in this tab and is forgotten with it. ',
          'Who runs the server makes one with ', h('code', {}, 'reflectd keys create'), '.'),
        message && h('p.fault', {role: 'alert'}, message)),
      h('div.row.end', {}, h('button.button.primary', {}, 'Use this key'))));
  dialog.addEventListener('close', () => {
    dialog.remove();
    asking = false;
    if (input.value)
      route();
  });
  document.body.append(dialog);
  dialog.showModal();
}

addEventListener('keyneeded', event => {
  const wrong = api.key() ? event.detail.message : null;
  api.setKey(null);
  askKey(wrong);
});
keyButton.addEventListener('click', () => {
  api.setKey(null);
  notify('The key is forgotten.');
  route();
});

/* ---- the start ---- */

addEventListener('unhandledrejection', event => {
  if (event.reason?.name !== 'AbortError' && event.reason?.status !== 401)
    notify(event.reason?.message ?? 'Something went wrong.', 'bad');
  if (event.reason instanceof api.ApiError || event.reason?.name === 'AbortError')
    event.preventDefault();
});
addEventListener('hashchange', () => {
  route();
  main.focus();
  scrollTo(0, 0);
});
route();

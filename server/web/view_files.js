/* What was uploaded, and what the check of it found. */
import * as api from './api.js';
import {confirmed, every, h, notify, replace} from './dom.js';
import {ago, bytes, date, number} from './format.js';
import {uploader} from './uploader.js';

const filePath = id => `v1/files/${encodeURIComponent(id)}`;
const states = {uploaded: 'being checked', processed: 'valid', error: 'not valid'};
const badge = file => h(`span.badge.${file.status}`, {}, states[file.status] ?? file.status);

async function discard(file) {
  if (!await confirmed(`Delete ${file.filename}? Jobs that have ended keep their results.`, 'Delete it'))
    return false;
  try {
    await api.remove(filePath(file.id));
  } catch (error) {
    notify(error.message, 'bad');
    return false;
  }
  notify(`${file.filename} is deleted.`);
  return true;
}

export function showFiles(root, signal) {
  let shown = '';
  const body = h('div', {}, h('p.soft', {}, 'Loading…'));
  const line = file => h('tr', {},
    h('td', {}, h('a.title', {href: `#/files/${encodeURIComponent(file.id)}`, 'data-key': file.id}, file.filename), h('div.small.soft.mono', {}, file.id)),
    h('td', {}, badge(file)),
    h('td.full.small', {}, file.status === 'error' ? h('span.wrap', {}, file.status_details) :
      file.validation?.examples ? `${number(file.validation.examples)} examples` : file.validation?.peft_type ?? ''),
    h('td.right.small', {}, bytes(file.bytes)),
    h('td.soft.small', {}, ago(file.created_at)),
    h('td.full', {}, h('div.row.end', {},
      file.status === 'processed' && file.validation?.examples && h('a.button.small', {href: `#/new?file=${encodeURIComponent(file.id)}`, 'data-key': `use-${file.id}`}, 'Train on it'),
      h('button.button.small.danger', {type: 'button', 'aria-label': `Delete ${file.filename}`, 'data-key': `delete-${file.id}`,
        onclick: async () => { if (await discard(file)) load(); }}, 'Delete'))));
  const load = every(4000, async () => {
    const files = await api.list('v1/files?purpose=fine-tune', {signal, most: 500});
    const now = JSON.stringify([files, Math.floor(Date.now() / 30000)]);
    if (now !== shown)
      replace(body, files.length ? h('div.card.flush', {}, h('div.table', {}, h('table.stacks', {},
        h('thead', {}, h('tr', {}, ['File', 'State', 'Holds'].map(name => h('th', {}, name)), h('th.right', {}, 'Size'), h('th', {}, 'Uploaded'), h('th', {}, h('span.hidden-text', {}, 'Orders')))),
        h('tbody', {}, files.map(line))))) :
        h('section.card.empty', {}, h('h2', {}, 'No files yet'),
          h('p', {}, 'For a classifier, a CSV with a text and a label column will do. For a language model, lines of JSON with messages, a prompt and a completion, or a text.')));
    shown = now;
    return files.some(file => file.status === 'uploaded') ? 1000 : 4000;
  }, signal);
  replace(root, h('h1', {}, 'Files'), h('section.card', {}, uploader(() => load(), signal)), body);
}

/* ---- one file ---- */

const listed = pairs => h('dl.facts', {}, pairs.filter(([, value]) => value !== null && value !== undefined && value !== '')
  .map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))));

function bars(title, pairs) {
  const most = Math.max(1, ...pairs.map(([, count]) => count));
  return h('section.card.stack', {}, h('h2', {}, title), h('div.bars', {}, pairs.map(([name, count]) =>
    h('div.bar', {}, h('span.wrap', {}, name), h('progress', {max: most, value: count, 'aria-label': `${name}: ${count}`}), h('span.number', {}, number(count))))));
}

const place = found => [found.line && `line ${number(found.line)}`, found.column && `column ${number(found.column)}`].filter(Boolean).join(', ');

function found(title, kind, items) {
  return items?.length ? h('section.card.stack', {}, h('h2', {}, title), items.slice(0, 100).map(item =>
    h(`div.callout.${kind}`, {}, typeof item === 'string' ? item : [place(item) && h('strong', {}, place(item)), h('span', {}, item.message ?? JSON.stringify(item))]))) : null;
}

function report(file) {
  const checked = file.validation;
  if (!checked)
    return file.status === 'uploaded' ? h('p.card.soft', {}, 'It is being checked…') : null;
  const lengths = checked.text_bytes;
  return [
    h('section.card', {}, listed([['Format', checked.format], ['Kind', checked.kind], ['Lines', number(checked.lines)], ['Examples', number(checked.examples)],
      ['Size', bytes(file.bytes)], ['Columns', checked.columns?.join(', ')],
      ['Length of texts', lengths && `${number(lengths.min)} to ${number(lengths.max)} bytes, ${number(Math.round(lengths.mean))} on average`],
      ['Uploaded', date(file.created_at)]])),
    found('Warnings', 'warn', checked.warnings),
    checked.labels && bars('Labels', Object.entries(checked.labels).filter(([, count]) => typeof count === 'number').sort((a, b) => b[1] - a[1]).slice(0, 100)),
  ];
}

export async function showFile(root, id, signal) {
  every(1000, async () => {
    let file;
    try {
      file = await api.get(filePath(id), signal);
    } catch (error) {
      if (error.status !== 404)
        throw error;
      replace(root, h('section.card.empty', {}, h('h1', {}, 'There is no such file'), h('a.button', {href: '#/files'}, 'All files')));
      return 600000;
    }
    replace(root, h('div.head', {}, h('h1', {}, file.filename), badge(file), h('div.row.end', {},
      file.status === 'processed' && h('a.button.small.primary', {href: `#/new?file=${encodeURIComponent(id)}`}, 'Train on it'),
      h('button.button.small', {type: 'button', 'data-key': 'content', onclick: () => api.download(`${filePath(id)}/content`, file.filename)}, 'Download'),
      h('button.button.small.danger', {type: 'button', 'data-key': 'delete', onclick: async () => { if (await discard(file)) location.hash = '#/files'; }}, 'Delete'))),
    h('p.soft.small.mono', {}, file.id),
    file.status === 'error' && h('div.callout.bad', {role: 'alert'}, h('strong', {}, 'Jobs cannot use this file'), h('span', {}, file.status_details)),
    report(file));
    return file.status === 'uploaded' ? 1000 : 600000;
  }, signal);
}

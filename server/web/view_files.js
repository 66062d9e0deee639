/* What was uploaded. */
import * as api from './api.js';
import {confirmed, every, h, notify, replace} from './dom.js';
import {ago, bytes, counted} from './format.js';
import {button, card, empty, flush, link, table} from './parts.js';
import {uploader} from './uploader.js';

export const filePath = id => `v1/files/${encodeURIComponent(id)}`;

const states = {uploaded: 'being checked', processed: 'valid', error: 'not valid'};
export const fileBadge = file => h(`span.badge.${file.status}`, {}, states[file.status] ?? file.status);
export const trains = file => file.status === 'processed' && file.validation?.examples > 0;
export const trainLink = (file, props) => link('Train on it', `#/new?file=${encodeURIComponent(file.id)}`, props);

/* Answers whether it was deleted. */
export async function discardFile(file) {
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

function holds(file) {
  if (file.status === 'error')
    return h('span.wrap', {}, file.status_details);
  return file.validation?.examples ? counted(file.validation.examples, 'example') : file.validation?.peft_type ?? '';
}

const noFiles = () => empty('No files yet',
  h('p', {}, 'For a classifier, a CSV with a text and a label column will do. For a language model, lines of JSON ',
    'with messages, a prompt and a completion, or a text.'));

export function showFiles(root, signal) {
  let shown = '';
  const body = h('div', {}, h('p.soft', {}, 'Loading…'));
  const discard = async file => {
    if (await discardFile(file))
      load();
  };
  const row = file => [
    h('td', {}, h('a.title', {href: `#/files/${encodeURIComponent(file.id)}`, 'data-key': file.id}, file.filename),
      h('div.small.soft.mono', {}, file.id)),
    h('td', {}, fileBadge(file)),
    h('td.full.small', {}, holds(file)),
    h('td.right.small', {}, bytes(file.bytes)),
    h('td.soft.small', {}, ago(file.created_at)),
    h('td.full', {}, h('div.row.end', {},
      trains(file) && trainLink(file, {'data-key': `use-${file.id}`}),
      button('Delete', () => discard(file),
        {kind: '.danger', 'aria-label': `Delete ${file.filename}`, 'data-key': `delete-${file.id}`}))),
  ];
  const head = ['File', 'State', 'Holds', h('th.right', {}, 'Size'), 'Uploaded', ''];
  const load = every(4000, async () => {
    const files = await api.list('v1/files?purpose=fine-tune', {signal, most: 500});
    const now = JSON.stringify([files, Math.floor(Date.now() / 30000)]);
    if (now !== shown)
      replace(body, files.length ? flush(table(head, files.map(row), '.stacks')) : noFiles());
    shown = now;
    return files.some(file => file.status === 'uploaded') ? 1000 : 4000;
  }, signal);
  replace(root, h('h1', {}, 'Files'), card(uploader(() => load(), signal)), body);
}

/* One file, with what the check of it found. */
import * as api from './api.js';
import {every, h, replace} from './dom.js';
import {bytes, date, number} from './format.js';
import {button, card, empty, facts} from './parts.js';
import {discardFile, fileBadge, filePath, trainLink, trains} from './view_files.js';

const FOUND_MAX = 100;

function bars(title, pairs) {
  const most = Math.max(1, ...pairs.map(([, count]) => count));
  return card(h('h2', {}, title), h('div.bars', {}, pairs.slice(0, FOUND_MAX).map(([name, count]) => h('div.bar', {},
    h('span.wrap', {}, name),
    h('progress', {max: most, value: count, 'aria-label': `${name}: ${count}`}),
    h('span.number', {}, number(count))))));
}

const place = ({line, column}) =>
  [line && `line ${number(line)}`, column && `column ${number(column)}`].filter(Boolean).join(', ');

function warning(found) {
  if (typeof found === 'string')
    return h('div.callout.warn', {}, found);
  return h('div.callout.warn', {}, place(found) && h('strong', {}, place(found)), h('span', {}, found.message));
}

function report(file) {
  const checked = file.validation;
  if (!checked)
    return file.status === 'uploaded' ? h('p.card.soft', {}, 'It is being checked…') : null;
  const lengths = checked.text_bytes, labels = Object.entries(checked.labels ?? {})
    .filter(([, count]) => typeof count === 'number');
  return [
    h('section.card', {}, facts([
      ['Format', checked.format],
      ['Kind', checked.kind],
      ['Lines', checked.lines && number(checked.lines)],
      ['Examples', checked.examples && number(checked.examples)],
      ['Size', bytes(file.bytes)],
      ['Columns', checked.columns?.join(', ')],
      ['Length of texts', lengths && `${number(lengths.min)} to ${number(lengths.max)} bytes`],
      ['On average', lengths && `${number(Math.round(lengths.mean))} bytes`],
      ['Adapter', checked.peft_type],
      ['Uploaded', date(file.created_at)],
    ])),
    checked.warnings?.length > 0 &&
      card(h('h2', {}, 'Warnings'), checked.warnings.slice(0, FOUND_MAX).map(warning)),
    labels.length > 0 && bars('Labels', labels.sort((a, b) => b[1] - a[1])),
  ];
}

function head(file) {
  const discard = async () => {
    if (await discardFile(file))
      location.hash = '#/files';
  };
  return h('div.head', {}, h('h1', {}, file.filename), fileBadge(file), h('div.row.end', {},
    trains(file) && trainLink(file, {kind: '.primary', 'data-key': 'use'}),
    button('Download', () => api.download(`${filePath(file.id)}/content`, file.filename), {'data-key': 'content'}),
    button('Delete', discard, {kind: '.danger', 'data-key': 'delete'})));
}

export function showFile(root, id, signal) {
  every(1000, async () => {
    let file;
    try {
      file = await api.get(filePath(id), signal);
    } catch (error) {
      if (error.status !== 404)
        throw error;
      replace(root, empty('There is no such file', h('a.button', {href: '#/files'}, 'All files')));
      return Infinity;
    }
    replace(root, head(file), h('p.soft.small.mono', {}, file.id),
      file.status === 'error' && h('div.callout.bad', {role: 'alert'},
        h('strong', {}, 'Jobs cannot use this file'), h('span', {}, file.status_details)),
      report(file));
    return file.status === 'uploaded' ? 1000 : Infinity;
  }, signal);
}

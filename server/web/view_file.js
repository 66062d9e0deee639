/* One file, with what a look at it finds. */
import * as api from './api.js';
import {every, h, replace} from './dom.js';
import {fileReport} from './file_report.js';
import {bytes, date} from './format.js';
import {button, card, empty, facts} from './parts.js';
import {discardFile, fileBadge, filePath, trainLink, trains} from './view_files.js';

function head(file) {
  const discard = async () => {
    if (await discardFile(file))
      location.hash = '#/files';
  };
  return [
    h('div.head', {}, h('h1', {}, file.filename), fileBadge(file), h('div.row.end', {},
      trains(file) && trainLink(file, {kind: '.primary', 'data-key': 'use'}),
      button('Download', () => api.download(`${filePath(file.id)}/content`, file.filename), {'data-key': 'content'}),
      button('Delete', discard, {kind: '.danger', 'data-key': 'delete'}))),
    h('p.soft.small', {}, h('span.mono', {}, file.id), ` · uploaded ${date(file.created_at)}`),
    file.status === 'error' && h('div.callout.bad', {role: 'alert'},
      h('strong', {}, 'Jobs cannot use this file'), h('span', {}, file.status_details)),
  ];
}

function adapter({validation, bytes: size}) {
  return card(facts([['Adapter', validation.peft_type], ['Size', bytes(size)]]));
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
    const below = h('div.stack', {}, file.status === 'uploaded' && h('p.card.soft', {}, 'It is being checked…'));
    replace(root, head(file), below);
    if (file.status === 'uploaded')
      return 1000;
    replace(below, file.validation?.peft_type ? adapter(file) : await fileReport(file, signal));
    return Infinity;
  }, signal);
}

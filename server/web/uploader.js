/* A place to drop files on, with how far each upload is and what became of it. `done` is called with each file that was
   taken in. */
import * as api from './api.js';
import {h, replace} from './dom.js';
import {bytes, counted} from './format.js';

export function uploader(done, signal, {label = 'Drop files here, or choose them'} = {}) {
  const list = h('div.stack', {});
  const send = async file => {
    const bar = h('progress', {max: 1, value: 0, 'aria-label': `Upload of ${file.name}`});
    const said = h('p.small.soft', {role: 'status'}, 'Sending…');
    const size = h('span.soft', {}, bytes(file.size));
    list.prepend(h('div.stack.small', {}, h('strong.wrap', {}, file.name, ' ', size), bar, said));
    try {
      const stored = await api.upload(file, (sent, total) => {
        bar.max = total;
        bar.value = sent;
        said.textContent = sent < total ? `${Math.round(100 * sent / total)} % sent` : 'The server checks it…';
      }, signal);
      const checked = await settled(stored, signal);
      bar.remove();
      replace(said, checked.status === 'error' ? h('span.callout.bad', {}, checked.status_details) :
        `${counted(checked.validation?.examples, 'example')} · ${checked.validation?.format ?? checked.status}`);
      done(checked);
    } catch (error) {
      bar.remove();
      replace(said, h('span.callout.bad', {}, error.message));
    }
  };
  const chosen = () => {
    [...input.files].forEach(send);
    input.value = '';
  };
  const input = h('input.hidden-text',
    {type: 'file', multiple: true, 'aria-label': 'Files to upload', onchange: chosen});
  const drop = h('div.drop', {
    ondragover: event => {
      event.preventDefault();
      drop.classList.add('over');
    },
    ondragleave: () => drop.classList.remove('over'),
    ondrop: event => {
      event.preventDefault();
      drop.classList.remove('over');
      [...event.dataTransfer.files].forEach(send);
    },
  }, h('p', {}, label), h('button.button', {type: 'button', onclick: () => input.click()}, 'Choose files'), input,
  h('p.soft.small', {}, 'CSV, TSV or JSONL. Each line is checked as it arrives.'));
  return h('div.stack', {}, drop, list);
}

/* The file once it was checked. */
async function settled(file, signal) {
  while (file.status === 'uploaded' && !signal.aborted) {
    await new Promise(resolve => setTimeout(resolve, 700));
    file = await api.get(`v1/files/${encodeURIComponent(file.id)}`, signal);
  }
  return file;
}

/* Base models, and the adapters that were trained here. */
import * as api from './api.js';
import {confirmed, h, notify, replace} from './dom.js';
import {date, jobName, number} from './format.js';
import {jobLink, jobPath} from './job_parts.js';
import {button, card, empty, facts, flush, link, table} from './parts.js';

function base(model) {
  const can = model.capabilities ?? {};
  const state = {true: 'usable', false: 'unusable'}[model.usable] ?? 'looked at';
  return card(
    h('div.head', {}, h('h2.wrap', {}, model.id), h(`span.badge.${state.replace(' ', '-')}`, {}, state),
      model.usable && link('Train on it', `#/new?model=${encodeURIComponent(model.id)}`, {kind: '.end'})),
    model.error && h('p.callout.bad', {}, model.error.message),
    facts([
      ['Architecture', can.architecture],
      ['Format', model.format],
      ['Parameters', can.parameters && number(can.parameters)],
      ['Longest sequence', can.max_seq_length && `${number(can.max_seq_length)} tokens`],
      ['Size of images', can.image?.size.replace('x', ' × ')],
      ['Modules to adapt', can.target_modules?.join(', ')],
    ]));
}

function noBase() {
  return empty('No base model yet',
    h('p', {}, 'Put a folder in the Hugging Face layout, or a .gguf file, into the folder that the daemon was started ',
      'with (', h('code', {}, '--models'), '). It appears here by itself.'));
}

/* `job`: the one that trained it; none: it is no longer among the newest. */
function tuned(model, job, discard) {
  return [
    h('td.full', {}, h('strong.wrap', {}, model.id),
      job && h('div.small.soft', {}, 'by the job ', h('a', {href: jobLink(job.id)}, jobName(job)))),
    h('td.soft.small', {}, date(model.created)),
    h('td', {}, h('div.row.end', {},
      job && button('Download', () => api.download(`${jobPath(job.id)}/artifacts/adapter.tar`, 'adapter.tar'),
        {'aria-label': `Download ${model.id}`}),
      button('Delete', () => discard(model), {kind: '.danger', 'aria-label': `Delete ${model.id}`}))),
  ];
}

export async function showModels(root, signal) {
  const discard = async model => {
    if (!await confirmed(`Delete the adapter ${model.id}? Its files are removed.`, 'Delete it'))
      return;
    await api.remove(`v1/models/${encodeURIComponent(model.id)}`);
    notify('The adapter is deleted.');
    load();
  };
  const load = async () => {
    const [models, jobs] = await Promise.all([
      api.list('v1/models', {signal}),
      api.list('v1/fine_tuning/jobs', {signal, most: 1000, page: 100}),
    ]);
    const bases = models.filter(model => model.owned_by !== 'user');
    const adapters = models.filter(model => model.owned_by === 'user')
      .map(model => tuned(model, jobs.find(job => job.fine_tuned_model === model.id), discard));
    replace(root, h('h1', {}, 'Models'),
      h('h2', {}, 'Base models'), bases.length ? h('div.stack', {}, bases.map(base)) : noBase(),
      h('h2', {}, 'Adapters trained here'),
      adapters.length ? flush(table(['Adapter', 'Finished', ''], adapters, '.stacks')) :
        h('p.card.soft', {}, 'None yet: each job that succeeds leaves one.'));
  };
  await load();
}

/* Base models, and the adapters that were trained here. */
import * as api from './api.js';
import {confirmed, h, notify, replace} from './dom.js';
import {date, jobName, number} from './format.js';
import {jobLink, jobPath} from './job_parts.js';

const facts = pairs => h('dl.facts', {}, pairs.filter(([, value]) => value !== null && value !== undefined && value !== '')
  .map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))));

function base(model) {
  const can = model.capabilities ?? {};
  const state = model.usable ? 'usable' : model.usable === false ? 'unusable' : 'looked at';
  return h('section.card.stack', {},
    h('div.head', {}, h('h2.wrap', {}, model.id), h(`span.badge.${model.usable ? 'usable' : model.usable === false ? 'unusable' : 'waiting'}`, {}, state),
      model.usable && h('a.button.small.end', {href: `#/new?model=${encodeURIComponent(model.id)}`}, 'Train on it')),
    model.error && h('p.callout.bad', {}, model.error.message),
    facts([['Architecture', can.architecture], ['Format', model.format], ['Parameters', can.parameters && number(can.parameters)],
      ['Longest sequence', can.max_seq_length && `${number(can.max_seq_length)} tokens`], ['Modules to adapt', can.target_modules?.join(', ')]]));
}

export async function showModels(root, signal) {
  const load = async () => {
    const [models, jobs] = await Promise.all([api.list('v1/models', {signal}), api.list('v1/fine_tuning/jobs', {signal, most: 1000, page: 100})]);
    const bases = models.filter(model => model.owned_by !== 'user'), tuned = models.filter(model => model.owned_by === 'user');
    const discard = async model => {
      if (!await confirmed(`Delete the adapter ${model.id}? Its files are removed.`, 'Delete it'))
        return;
      await api.remove(`v1/models/${encodeURIComponent(model.id)}`);
      notify('The adapter is deleted.');
      load();
    };
    replace(root, h('h1', {}, 'Models'),
      h('h2', {}, 'Base models'),
      bases.length ? h('div.stack', {}, bases.map(base)) : h('section.card.empty', {}, h('h2', {}, 'No base model yet'),
        h('p', {}, 'Put a folder in the Hugging Face layout, or a .gguf file, into the folder that the daemon was started with (',
          h('code', {}, '--models'), '). It appears here by itself.')),
      h('h2', {}, 'Adapters trained here'),
      tuned.length ? h('div.card.flush', {}, h('div.table', {}, h('table.stacks', {}, h('thead', {}, h('tr', {}, ['Adapter', 'Finished', ''].map(name => h('th', {}, name)))),
        h('tbody', {}, tuned.map(model => {
          const job = jobs.find(one => one.fine_tuned_model === model.id);
          return h('tr', {}, h('td.full', {}, h('strong.wrap', {}, model.id), job && h('div.small.soft', {}, 'by the job ', h('a', {href: jobLink(job.id)}, jobName(job)))), h('td.soft.small', {}, date(model.created)),
            h('td', {}, h('div.row.end', {},
              job && h('button.button.small', {type: 'button', 'aria-label': `Download ${model.id}`,
                onclick: () => api.download(`${jobPath(job.id)}/artifacts/adapter.tar`, 'adapter.tar')}, 'Download'),
              h('button.button.small.danger', {type: 'button', 'aria-label': `Delete ${model.id}`, onclick: () => discard(model)}, 'Delete'))));
        }))))) : h('section.card', {}, h('p.soft', {}, 'None yet: each job that succeeds leaves one.')));
  };
  await load();
}

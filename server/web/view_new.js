/* A form for a job, or for a sweep of jobs, with an estimate of what they will take beside it. */
import * as api from './api.js';
import {h, notify, replace} from './dom.js';
import {estimatePanel, ofJob, ofSweep} from './estimate.js';
import {showFaults} from './form.js';
import {JobForm} from './job_form.js';
import {jobLink, jobPath, sweepLink} from './job_parts.js';
import {card, empty, link} from './parts.js';
import {SweepForm} from './sweep_form.js';
import {uploader} from './uploader.js';
import {trains} from './view_files.js';

function noModel(can) {
  return empty('There is no base model that can be trained',
    h('p', {}, can.models.length ? 'The server cannot use those that are there; under Models it says why.' :
      'Put one into the folder that the daemon was started with (--models).'),
    h('a.button', {href: '#/models'}, 'Models'));
}

/* What is made, how it is estimated, and where it is then to be seen. */
const one = {
  title: 'New job', path: 'v1/fine_tuning/jobs', start: 'Start the job', done: 'The job is accepted.', link: jobLink,
  estimate: ofJob,
};
const several = {
  title: 'New sweep', path: 'v1/fine_tuning/sweeps', start: 'Start the sweep', done: 'The sweep is accepted.',
  link: sweepLink, estimate: ofSweep,
};

function heading(text, isSweep) {
  const [label, where] = isSweep ? ['One job instead', '#/new'] : ['Compare several in a sweep', '#/new/sweep'];
  return h('div.head', {}, h('h1', {}, text), h('div.end', {}, link(label, where)));
}

/* `query`: model, file or from (a job) to begin with. */
export async function showNew(root, isSweep, query, signal) {
  const like = query.get('from'), kind = isSweep ? several : one;
  const [can, files, from] = await Promise.all([
    api.get('v1/capabilities', signal), api.list('v1/files?purpose=fine-tune', {signal, most: 1000}),
    like && api.get(jobPath(like), signal),
  ]);
  if (!can.models.some(model => model.usable !== false)) {
    replace(root, h('h1', {}, kind.title), noModel(can));
    return;
  }
  const faults = h('div', {'aria-live': 'assertive'});
  const tell = (found, focus) => {
    const ofJobs = sweep ? showFaults(sweep.fields, found, focus) : found;
    const left = showFaults(form.fields, ofJobs, focus && ofJobs.length === found.length);
    const line = ({param, message}) => h('span', {}, param ? `${param}: ${message}` : message);
    replace(faults, left.length > 0 && h('div.callout.bad', {}, left.map(line)));
  };
  const estimate = estimatePanel(kind.estimate, found => tell(found, false), signal);
  const body = () => sweep ? sweep.body(form.job) : form.job;
  const changed = () => {
    sweep?.settle(form.fields);
    estimate.ask(body());
  };
  const form = new JobForm(can, files, changed), sweep = isSweep ? new SweepForm(can.sweep, changed) : null;
  const uploaded = file => {
    if (!trains(file))
      return;
    files.unshift(file);
    form.drawFiles();
    form.training.set(form.training.input.value || file.id);
    form.changed();
  };
  const submit = async event => {
    event.preventDefault();
    start.disabled = true;
    try {
      const made = await api.post(kind.path, body());
      notify(kind.done);
      location.hash = kind.link(made.id);
    } catch (error) {
      start.disabled = false;
      tell(error.details ?? [error], true);
    }
  };
  const start = h('button.button.primary', {}, kind.start);
  if (from)
    form.fill(from);
  else if (form.models.length === 1 || query.get('model'))
    form.model.set(query.get('model') ?? form.models[0].id);
  if (query.get('file'))
    form.training.set(query.get('file'));
  const upload = h('details', {open: !files.some(trains)},
    h('summary', {}, 'Upload a file'), uploader(uploaded, signal));
  replace(root, heading(from && !isSweep ? 'Run again with changes' : kind.title, isSweep),
    h('form.two', {onsubmit: submit, novalidate: true},
      h('div.stack', {}, form.cards(upload, sweep?.card())),
      h('aside.stack.side', {}, card(h('h2', {}, 'Estimate'), estimate.element, faults, start))));
  form.changed();
}

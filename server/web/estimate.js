/* What a job or a sweep would take, asked of the server while its form is filled in: it judges them as it would on
   creating them, and runs a few batches to see how long they take. */
import * as api from './api.js';
import {h, replace} from './dom.js';
import {bytes, duration, number} from './format.js';
import {facts, table} from './parts.js';
import {settingText} from './settings.js';

const WAIT_MS = 600;

function range({low, high}) {
  const [from, to] = [duration(low), duration(high)];
  return from === to ? from : `${from} to ${to}`;
}

/* "batch_size 8 and gradient_accumulation_steps 4 (400 MB)" */
const suggested = ({peak_memory_bytes: memory, ...lower}) =>
  `${Object.entries(lower).map(pair => pair.join(' ')).join(' and ')} (${bytes(memory)})`;

const shown = (value, format = number) => value ? format(value) : null;

function figures(estimate) {
  const {device, threads} = estimate;
  return facts([
    ['Takes', shown(estimate.duration_seconds, range)],
    ['Waits in the queue', shown(estimate.queue_wait_seconds, duration)],
    ['Memory', shown(estimate.peak_memory_bytes, bytes)],
    ['Steps', shown(estimate.steps)],
    ['Examples in the data', shown(estimate.training_examples)],
    ['Cut to length', shown(estimate.truncated_examples)],
    ['Tokens', shown(estimate.tokens)],
    ['Trained parameters', shown(estimate.trainable_parameters)],
    ['Disk', shown(estimate.disk_bytes, bytes)],
    ['Runs on', device && threads > 1 ? `${device}, ${threads} threads` : device],
  ], '.list');
}

/* What a job that has ended took, beside what was expected of it; null where one of the two is not known. */
export function compared({estimate, actual, progress}) {
  if (!estimate || !actual)
    return null;
  const rows = [
    ['Time', shown(estimate.duration_seconds, range), shown(actual.duration_seconds, duration)],
    ['Memory', shown(estimate.peak_memory_bytes, bytes), shown(actual.peak_memory_bytes, bytes)],
    ['Steps', shown(estimate.steps), shown(progress?.step)],
    ['Tokens', shown(estimate.tokens), shown(actual.tokens)],
  ];
  const cells = ([name, expected, took]) =>
    [h('th', {scope: 'row'}, name), h('td.right', {}, expected ?? '–'), h('td.right', {}, took ?? '–')];
  return h('div.compared', {}, h('h2', {}, 'Estimate and actual'),
    table(['', h('th.right', {scope: 'col'}, 'Estimated'), h('th.right', {scope: 'col'}, 'Actual')], rows.map(cells)));
}

function misfit({reason, suggestion, lower}, what = 'It') {
  const advice = suggestion ? `It would with ${suggested(suggestion)}.` : lower ? `Lower ${lower.join(' or ')}.` : null;
  return h('div.callout.bad', {}, h('strong', {}, `${what} does not fit`), h('span', {}, reason),
    advice && h('span', {}, advice));
}

const warned = warning => h('div.callout.warn', {}, typeof warning === 'string' ? warning : warning.message);

/* ---- of what ---- */

export const ofJob = {
  path: 'v1/fine_tuning/estimate',
  lacks: body => body.model && body.training_file ? null : 'Choose a model and a training file.',
  show: estimate => [!estimate.fits && misfit(estimate), figures(estimate)],
};

const valuesOf = values => Object.values(values).map(settingText).join(' · ');

function sweepFigures({job_count: count, duration_seconds: seconds, jobs}) {
  const known = jobs.filter(job => job.estimate), memory = known.map(job => job.estimate.peak_memory_bytes ?? 0);
  const cells = ({values, estimate}) => [h('td.wrap', {}, valuesOf(values)),
    h('td.right', {}, shown(estimate.duration_seconds, range) ?? '–')];
  return [
    facts([
      ['Jobs', number(count)], ['Take in all', shown(seconds, range)], ['Most memory', shown(Math.max(0, ...memory), bytes)],
    ], '.list'),
    table(['With', h('th.right', {}, 'Takes')], known.map(cells), '.tight'),
  ];
}

export const ofSweep = {
  path: 'v1/fine_tuning/sweeps?dry_run=true',
  lacks: ({job, grid, methods}) => ofJob.lacks(job) ?? (grid || methods ? null : 'Choose what is to differ.'),
  show: sweep => [
    sweep.jobs.filter(job => job.estimate?.fits === false).map(job => misfit(job.estimate, valuesOf(job.values))),
    sweepFigures(sweep),
  ],
};

/* ---- the panel ---- */

/* `kind`: one of the above. {element, ask(body)}: asks when the body has been left alone for a moment. `faulty` gets what is wrong with it. */
export function estimatePanel(kind, faulty, signal) {
  const element = h('div.stack.small', {'aria-live': 'polite'});
  let timer = 0, asked = null, last = '';
  const say = (...content) => replace(element, ...content);
  const ask = async body => {
    const mine = asked = new AbortController();
    say(h('p.soft', {}, 'A few batches are tried…'));
    try {
      const estimate = await api.post(kind.path, body, AbortSignal.any([mine.signal, signal]));
      faulty([]);
      say(kind.show(estimate), estimate.warnings?.map(warned));
    } catch (error) {
      if (mine.signal.aborted || signal.aborted)
        return;
      faulty(error.details ?? [error]);
      say(h('p.soft', {}, 'There is an estimate when what stands here is right.'));
    }
  };
  signal.addEventListener('abort', () => clearTimeout(timer));
  return {
    element,
    ask(body) {
      const text = JSON.stringify(body);
      if (text === last)
        return;
      last = text;
      clearTimeout(timer);
      asked?.abort();
      const lacks = kind.lacks(body);
      if (lacks)
        say(h('p.soft', {}, lacks));
      else
        timer = setTimeout(() => ask(body), WAIT_MS);
    },
  };
}

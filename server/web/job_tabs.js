/* What a job says and leaves: its events, the log of its worker, its files, its settings. Each is {element, open()}. */
import * as api from './api.js';
import {h, notify, replace} from './dom.js';
import {bytes, date, number, time} from './format.js';
import {hasEnded, jobPath} from './job_parts.js';
import {button, table} from './parts.js';
import {settings, settingText} from './settings.js';

const EVENTS_SHOWN = 500, LOG_LINES = 1000;

export function eventsTab() {
  const all = [], steps = h('input', {type: 'checkbox'});
  const list = h('ul.events.small', {tabindex: '0', 'aria-label': 'Events, the newest first'});
  const line = event => h('li', {},
    h('time', {title: date(event.created_at)}, time(event.created_at)), h(`span.${event.level}`, {}, event.message));
  const draw = () => {
    const shown = all.filter(event => steps.checked || event.type !== 'metrics').slice(-EVENTS_SHOWN);
    replace(list, shown.reverse().map(line));
  };
  steps.addEventListener('change', draw);
  return {
    element: h('div.stack', {}, h('label.check.small', {}, steps, 'Also each step'), list),
    add(events) {
      all.push(...events);
      if (steps.checked || events.some(event => event.type !== 'metrics'))
        draw();
    },
  };
}

/* Lines of JSON become a time and a message; others stay as they are. */
function logLine(line) {
  try {
    const {ts, level, msg} = JSON.parse(line);
    return `${ts.slice(11, 19)} ${level === 'info' ? '' : `${level}: `}${msg}`;
  } catch {
    return line;
  }
}

export function logTab(job, signal) {
  const pre = h('pre.log', {tabindex: '0', 'aria-label': 'The worker\'s log'});
  return {
    element: pre,
    async open() {
      const atEnd = pre.scrollTop + pre.clientHeight >= pre.scrollHeight - 20;
      try {
        const text = await api.text(`${jobPath(job.id)}/logs?tail=${LOG_LINES}`, signal);
        pre.textContent = text.split('\n').filter(Boolean).map(logLine).join('\n') || 'The worker has said nothing.';
      } catch (error) {
        if (error.status !== 404)
          throw error;
        pre.textContent = 'There is no log: no worker has run yet.';
      }
      if (atEnd)
        pre.scrollTop = pre.scrollHeight;
    },
  };
}

function artifactRow(artifact, base) {
  const take = () => api.download(`${base}/artifacts/${encodeURIComponent(artifact.name)}`, artifact.name)
    .catch(error => notify(error.message, 'bad'));
  return [
    h('td.wrap', {}, artifact.name,
      h('div.small.soft.mono', {title: `SHA-256 ${artifact.sha256}`}, `${artifact.sha256.slice(0, 16)}…`)),
    h('td.right', {}, bytes(artifact.bytes)),
    h('td', {}, h('div.row.end', {},
      button('Download', take, {'data-key': artifact.name, 'aria-label': `Download ${artifact.name}`}))),
  ];
}

export function filesTab(job, signal) {
  const element = h('div.stack', {}), base = jobPath(job.id);
  return {
    element,
    async open() {
      const [{data: files}, {data: checkpoints}, {status}] = await Promise.all([
        api.get(`${base}/artifacts`, signal), api.get(`${base}/checkpoints?limit=100`, signal), api.get(base, signal),
      ]);
      const checkpoint = one => h('li', {},
        h('span', {}, `step ${number(one.step_number)}`), h('code.wrap', {}, one.fine_tuned_model_checkpoint));
      replace(element,
        files.length ? table(['File', h('th.right', {}, 'Size'), ''], files.map(file => artifactRow(file, base))) :
          h('p.soft', {}, hasEnded({status}) ? 'This job left no files.' : 'They come when the job has succeeded.'),
        checkpoints.length > 0 && [h('h3', {}, 'Checkpoints'), h('ul.events.small', {}, checkpoints.map(checkpoint))]);
    },
  };
}

export function settingsTab(job) {
  const row = ([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, settingText(value)));
  return {element: h('dl.facts.list.small', {}, [...settings(job)].map(row))};
}

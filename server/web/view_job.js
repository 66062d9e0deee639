/* One job: how far it is, its curves, what it says, what it leaves. */
import * as api from './api.js';
import {Curves} from './curves.js';
import {every, h, notify, replace} from './dom.js';
import {ago, bytes, date, duration, jobName, metricName, number, time} from './format.js';
import {actions, badge, hasEnded, jobPath, methodName, progressBar, progressText} from './job_parts.js';
import {follow} from './live.js';
import {Series} from './series.js';
import {settings, settingText} from './settings.js';

const EVENTS_SHOWN = 500;

function head(job, changed) {
  return h('div.stack', {},
    h('div.head', {}, h('h1', {}, jobName(job)), badge(job),
      h('div.row.end', {}, actions(job, changed),
        job.status === 'succeeded' && h('button.button.small.primary', {type: 'button', 'data-key': 'adapter',
          onclick: () => api.download(`${jobPath(job.id)}/artifacts/adapter.tar`, 'adapter.tar')}, 'Download adapter'),
        h('a.button.small', {href: `#/new?from=${encodeURIComponent(job.id)}`, 'data-key': 'again'}, 'Run again with changes'),
        h('a.button.small', {href: `#/compare/${encodeURIComponent(job.id)}`, 'data-key': 'compare'}, 'Compare'))),
    job.error && h('div.callout.bad', {role: 'alert'}, h('strong', {}, job.error.code), h('span', {}, job.error.message),
      job.error.param && h('span.small', {}, `It is about ${job.error.param}.`)),
    !hasEnded(job) && h('div.stack', {}, progressBar(job), h('p.soft.small', {}, progressText(job))));
}

function facts(job) {
  const progress = job.progress ?? {}, best = progress.best;
  const ran = job.started_at && (job.finished_at ?? Date.now() / 1000) - job.started_at;
  const measured = best && Object.entries(best).filter(([name]) => name !== 'step').map(([name, value]) => `${metricName(name)} ${number(value)}`);
  return [
    ['Base model', job.model], ['Method', methodName(job)], ['Task', job.task === 'auto' ? null : job.task],
    ['Best evaluation', measured?.length ? `${measured.join(', ')} at step ${number(best.step)}` : null],
    ['Training loss', progress.train_loss === undefined ? null : number(progress.train_loss)],
    ['Tokens trained', job.trained_tokens ? number(job.trained_tokens) : null],
    ['Speed', progress.tokens_per_second ? `${number(Math.round(progress.tokens_per_second))} tokens/s` : null],
    ['Device', job.device], [hasEnded(job) ? 'Ran for' : 'Runs for', ran ? duration(ran) : null],
    ['Created', ago(job.created_at)], ['Finished', job.finished_at ? date(job.finished_at) : null],
    ['Restarts', job.restarts || null],
  ].filter(([, value]) => value !== null && value !== undefined && value !== '');
}

const listed = pairs => h('dl.facts', {}, pairs.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))));

/* ---- the tabs ---- */

function eventsTab() {
  const all = [], withMetrics = h('input', {type: 'checkbox'});
  const list = h('ul.events.small', {tabindex: '0', 'aria-label': 'Events, the newest first'});
  const draw = () => replace(list, all.filter(event => withMetrics.checked || event.type !== 'metrics').slice(-EVENTS_SHOWN).reverse().map(event =>
    h('li', {}, h('time', {title: date(event.created_at)}, time(event.created_at)), h(`span.${event.level}`, {}, event.message))));
  withMetrics.addEventListener('change', draw);
  return {
    element: h('div.stack', {}, h('label.check.small', {}, withMetrics, 'Also each step'), list),
    add(events) {
      all.push(...events);
      draw();
    },
  };
}

/* Lines of JSON become a time and a message; others stay as they are. */
function logText(text) {
  return text.split('\n').filter(Boolean).map(line => {
    try {
      const {ts, level, msg} = JSON.parse(line);
      return `${ts?.slice(11, 19) ?? ''} ${level === 'info' ? '' : `${level}: `}${msg ?? line}`;
    } catch {
      return line;
    }
  }).join('\n');
}

function logTab(job, signal) {
  const pre = h('pre.log', {tabindex: '0', 'aria-label': 'The worker\'s log'});
  return {
    element: pre,
    async open() {
      const atEnd = pre.scrollTop + pre.clientHeight >= pre.scrollHeight - 20;
      try {
        pre.textContent = logText(await api.text(`${jobPath(job.id)}/logs`, signal)) || 'The worker has said nothing.';
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

function artifactsTab(job, signal) {
  const element = h('div', {});
  return {
    element,
    async open() {
      const base = jobPath(job.id);
      const [artifacts, checkpoints] = await Promise.all([api.get(`${base}/artifacts`, signal), api.get(`${base}/checkpoints?limit=100`, signal)]);
      const take = artifact => api.download(`${base}/artifacts/${encodeURIComponent(artifact.name)}`, artifact.name).catch(error => notify(error.message, 'bad'));
      replace(element,
        artifacts.data.length ? h('div.table', {}, h('table', {}, h('thead', {}, h('tr', {}, h('th', {}, 'File'), h('th.right', {}, 'Size'), h('th', {}, h('span.hidden-text', {}, 'Download')))),
          h('tbody', {}, artifacts.data.map(artifact => h('tr', {},
            h('td.wrap', {}, artifact.name, h('div.small.soft.mono.wrap', {title: 'SHA-256'}, `${artifact.sha256.slice(0, 16)}…`)),
            h('td.right', {}, bytes(artifact.bytes)),
            h('td', {}, h('div.row.end', {}, h('button.button.small', {type: 'button', 'data-key': artifact.name, 'aria-label': `Download ${artifact.name}`, onclick: () => take(artifact)}, 'Download')))))))) :
          h('p.soft', {}, hasEnded(job) ? 'This job left no files.' : 'The files come when the job has succeeded.'),
        checkpoints.data.length ? h('div.stack', {}, h('h3', {}, 'Checkpoints'), h('ul.events.small', {}, checkpoints.data.map(checkpoint =>
          h('li', {}, h('span', {}, `step ${number(checkpoint.step_number)}`), h('code.wrap', {}, checkpoint.fine_tuned_model_checkpoint))))) : null);
    },
  };
}

function settingsTab(job) {
  return {
    element: h('dl.facts.list.small', {}, [...settings(job)].map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, settingText(value))))),
  };
}

/* Buttons and the panel of the chosen one; arrow keys move between them. */
function tabbed(tabs) {
  let chosen = null;
  const panel = h('div.panel', {role: 'tabpanel', id: 'panel', tabindex: '-1'});
  const choose = name => {
    chosen = name;
    for (const button of buttons) {
      const on = button.dataset.name === name;
      button.setAttribute('aria-selected', String(on));
      button.tabIndex = on ? 0 : -1;
    }
    panel.setAttribute('aria-labelledby', `tab-${name}`);
    replace(panel, tabs[name].element);
    tabs[name].open?.();
  };
  const buttons = Object.entries(tabs).map(([name, {label}]) => h('button', {type: 'button', role: 'tab', id: `tab-${name}`, 'data-name': name,
    'aria-controls': 'panel', onclick: () => choose(name)}, label));
  const move = event => {
    const step = {ArrowLeft: -1, ArrowRight: 1}[event.key];
    if (!step)
      return;
    const next = buttons[(buttons.indexOf(document.activeElement) + step + buttons.length) % buttons.length];
    next.focus();
    choose(next.dataset.name);
  };
  choose(Object.keys(tabs)[0]);
  return {
    element: h('section.card.flush', {}, h('div.tabs', {role: 'tablist', 'aria-label': 'More of this job', onkeydown: move}, buttons), panel),
    again: () => tabs[chosen].open?.(),
  };
}

export async function showJob(root, id, signal) {
  let job;
  try {
    job = await api.get(jobPath(id), signal);
  } catch (error) {
    if (error.status !== 404)
      throw error;
    replace(root, h('section.card.empty', {}, h('h1', {}, 'There is no such job'), h('p', {}, error.message), h('a.button', {href: '#/jobs'}, 'All jobs')));
    return;
  }
  const top = h('div', {}), known = h('section.card', {}), series = new Series(), curves = new Curves(signal);
  const events = eventsTab();
  const tabs = tabbed({
    events: {label: 'Events', ...events},
    log: {label: 'Log', ...logTab(job, signal)},
    artifacts: {label: 'Files', ...artifactsTab(job, signal)},
    settings: {label: 'Settings', ...settingsTab(job)},
  });
  const draw = now => {
    const before = job;
    job = now;
    replace(top, head(job, draw));
    replace(known, listed(facts(job)));
    if (before.status !== job.status)
      tabs.again();
  };
  replace(root, top, known, h('div.head', {}, h('h2', {}, 'Curves'), h('div.end', {}, curves.controls.element)), curves.element, tabs.element);
  draw(job);
  curves.show(series);
  every(1500, async () => {
    if (hasEnded(job))
      return 60000;
    draw(await api.get(jobPath(id), signal));
    tabs.again();
    return 1500;
  }, signal);
  follow(job, fresh => {
    events.add(fresh);
    fresh.forEach(event => { if (event.type === 'metrics') series.add(event.data); });
    curves.show(series);
  }, signal);
}

/* One job: how far it is, its curves, what it says, what it leaves. */
import * as api from './api.js';
import {Curves} from './curves.js';
import {h, notify, replace} from './dom.js';
import {compared} from './estimate.js';
import {ago, date, duration, jobName, metricName, number} from './format.js';
import {HeatMap} from './heatmap.js';
import {
  actions, badge, discard, hasEnded, jobPath, methodName, progressBar, progressText, sweepLink,
} from './job_parts.js';
import {eventsTab, filesTab, logTab, settingsTab} from './job_tabs.js';
import {follow, readSeries, readTelemetry} from './live.js';
import {button, empty, facts, link} from './parts.js';
import {learnsPictures, picturesTab} from './pictures.js';
import {Series} from './series.js';
import {settingText} from './settings.js';
import {tabbed} from './tabs.js';

const SELDOM_MS = 2000;

function failure({code, message, param}) {
  return h('div.callout.bad', {role: 'alert'}, h('strong', {}, code), h('span', {}, message),
    param && h('span.small', {}, `It is about ${param}.`));
}

function head(job, changed) {
  const id = encodeURIComponent(job.id);
  const take = () => api.download(`${jobPath(job.id)}/artifacts/adapter.tar`, 'adapter.tar')
    .catch(error => notify(error.message, 'bad'));
  const drop = async () => {
    if (await discard([job]))
      location.hash = '#/jobs';
  };
  return [
    h('div.head', {}, h('h1', {}, jobName(job)), badge(job), h('div.row.end', {},
      actions(job, changed),
      job.status === 'succeeded' && button('Download adapter', take, {kind: '.primary', 'data-key': 'adapter'}),
      link('Run again with changes', `#/new?from=${id}`, {'data-key': 'again'}),
      link('Compare', `#/compare/${id}`, {'data-key': 'compare'}),
      hasEnded(job) && button('Delete', drop, {kind: '.danger', 'data-key': 'delete'}))),
    job.error && failure(job.error),
    !hasEnded(job) && h('div.stack', {}, progressBar(job), h('p.soft.small', {}, progressText(job))),
  ];
}

function known(job) {
  const progress = job.progress ?? {}, best = progress.best;
  const ran = job.started_at && (job.finished_at ?? Date.now() / 1000) - job.started_at;
  const measured = Object.entries(best ?? {}).filter(([name]) => name !== 'step')
    .map(([name, value]) => `${metricName(name)} ${number(value)}`);
  return facts([
    ['Base model', job.model],
    ['Method', methodName(job)],
    ['Task', job.task === 'auto' ? null : job.task],
    ['Best evaluation', measured.length ? `${measured.join(', ')} at step ${number(best.step)}` : null],
    ['Training loss', progress.train_loss === undefined ? null : number(progress.train_loss)],
    ['Tokens trained', job.trained_tokens ? number(job.trained_tokens) : null],
    ['Speed', progress.tokens_per_second ? `${number(Math.round(progress.tokens_per_second))} tokens/s` : null],
    ['Sweep', job.sweep && h('a', {href: sweepLink(job.sweep.id)}, settingText(Object.values(job.sweep.values ?? {})))],
    ['Device', job.device],
    [hasEnded(job) ? 'Ran for' : 'Runs for', ran ? duration(ran) : null],
    ['Created', ago(job.created_at)],
    ['Finished', job.finished_at ? date(job.finished_at) : null],
    ['Restarts', job.restarts || null],
  ]);
}

/* Many steps a second are drawn at once. */
function once(draw) {
  let pending = 0;
  return () => {
    pending ||= requestAnimationFrame(() => {
      pending = 0;
      draw();
    });
  };
}

/* Calls f, which waits for an answer, at most every two seconds; what comes between is done once afterwards. */
function seldom(f, signal) {
  let last = 0, pending = 0;
  const run = async () => {
    pending = Infinity;
    last = Date.now();
    try {
      await f();
    } finally {
      pending = 0;
    }
  };
  signal.addEventListener('abort', () => clearTimeout(pending));
  return () => {
    const wait = last + SELDOM_MS - Date.now();
    if (wait <= 0 && !pending)
      return run();
    pending ||= setTimeout(run, Math.max(wait, 0));
    return null;
  };
}

async function find(root, id, signal) {
  try {
    return await api.get(jobPath(id), signal);
  } catch (error) {
    if (error.status !== 404)
      throw error;
    const all = h('a.button', {href: '#/jobs'}, 'All jobs');
    replace(root, empty('There is no such job', h('p', {}, error.message), all));
    return null;
  }
}

export async function showJob(root, id, signal) {
  let job = await find(root, id, signal);
  if (!job)
    return;
  const {tasks} = await api.get('v1/capabilities', signal);
  const top = h('div.stack', {}), middle = h('section.card', {});
  const series = new Series(), curves = new Curves(signal), events = eventsTab();
  const tabs = tabbed('More of this job', {
    ...learnsPictures([job.task], tasks) && {pictures: {label: 'Pictures', ...picturesTab(job, signal)}},
    events: {label: 'Events', ...events},
    log: {label: 'Log', ...logTab(job, signal)},
    files: {label: 'Files', ...filesTab(job, signal)},
    settings: {label: 'Settings', ...settingsTab(job)},
  });
  const draw = now => {
    const moved = now.status !== job.status;
    job = now;
    replace(top, head(job, () => {})); /* what an order changes is heard; its answer may be older than that */
    replace(middle, known(job), compared(job));
    if (moved)
      tabs.again();
  };
  const heat = new HeatMap(signal), drawCurves = once(() => curves.show(series));
  replace(root, top, middle, h('div.head', {}, h('h2', {}, 'Curves'), h('div.end', {}, curves.controls.element)),
    curves.element, heat.element, tabs.element);
  draw(job);

  /* What came before: the events first, so that nothing between them and the curves is missed. */
  const {data: past} = await api.get(`${jobPath(id)}/events?limit=1000`, signal);
  events.add(past.toReversed());
  await readSeries(id, series, 0, signal);
  curves.show(series);
  /* It is told before the metrics of its step. */
  const readHeat = seldom(async () => heat.show(await readTelemetry(id, heat.data, signal)), signal);
  await readHeat();
  const readPictures = seldom(async () => tabs.again('pictures'), signal);
  const heard = {
    status: draw,
    progress(progress) {
      draw({...job, progress});
      tabs.again('log');
      readPictures();
    },
    metrics(event) {
      events.add([event]);
      series.add(event.data);
      drawCurves();
      readHeat();
    },
    log: event => events.add([event]),
    checkpoint(event) {
      events.add([event]);
      tabs.again();
    },
  };
  follow(id, past[0]?.id, (name, data) => heard[name]?.(data), signal);
}

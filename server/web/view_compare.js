/* Jobs beside each other: their curves in one plot, and what they differ in. */
import * as api from './api.js';
import {every, h, replace} from './dom.js';
import {duration, jobName, metricName, number} from './format.js';
import {plotControls} from './curves.js';
import {badge, hasEnded, jobLink, jobPath, methodName, result} from './job_parts.js';
import {follow} from './live.js';
import {Plot} from './plot.js';
import {lossNames, metricNames, Series, smooth} from './series.js';
import {settings, settingText} from './settings.js';

const MOST = 6;

/* Which jobs: a chip for each, and a list to add more from. */
function chooser(chosen, all) {
  const go = ids => { location.hash = `#/compare/${ids.map(encodeURIComponent).join(',')}`; };
  const others = all.filter(job => !chosen.includes(job.id));
  const select = h('select.input', {id: 'add', 'data-key': 'add', disabled: !others.length || chosen.length >= MOST,
    onchange: event => { if (event.target.value) go([...chosen, event.target.value]); }},
  h('option', {value: ''}, chosen.length >= MOST ? `${MOST} at most` : others.length ? 'Choose a job…' : 'No other jobs'),
  others.map(job => h('option', {value: job.id}, `${jobName(job)} · ${job.model} · ${methodName(job)} · ${job.status}`)));
  return h('section.card.stack', {},
    chosen.length > 0 && h('div.chips', {}, chosen.map((id, i) => {
      const job = all.find(other => other.id === id);
      return h('span.chip', {}, h(`i.swatch.plot-${i + 1}`), h('a', {href: jobLink(id)}, job ? jobName(job) : id),
        h('button.icon-button', {type: 'button', 'data-key': `drop-${id}`, 'aria-label': `Leave out ${job ? jobName(job) : id}`, onclick: () => go(chosen.filter(other => other !== id))}, '×'));
    })),
    h('div.field', {}, h('label', {for: 'add'}, 'Add a job'), select));
}

function results(jobs) {
  const rows = [
    ['State', job => badge(job)],
    ['Method', job => methodName(job)],
    ['Result', job => { const it = result(job); return it ? `${number(it.value)} (${it.name})` : '–'; }],
    ['At step', job => number(job.progress?.best?.step)],
    ['Training loss', job => number(job.progress?.train_loss)],
    ['Ran for', job => job.started_at ? duration((job.finished_at ?? Date.now() / 1000) - job.started_at) : '–'],
    ['Tokens per second', job => job.progress?.tokens_per_second ? number(Math.round(job.progress.tokens_per_second)) : '–'],
  ];
  return table('Results', jobs, rows);
}

const table = (title, jobs, rows) => h('section.card.flush', {}, h('h2.table-title', {}, title), h('div.table', {tabindex: '0', role: 'region', 'aria-label': title}, h('table', {},
  h('thead', {}, h('tr', {}, h('th', {}, h('span.hidden-text', {}, 'Name')), jobs.map((job, i) => h('th', {}, h('span.row', {}, h(`i.swatch.plot-${i + 1}`), jobName(job)))))),
  h('tbody', {}, rows.map(([name, value]) => h('tr', {}, h('th', {scope: 'row'}, name), jobs.map(job => h('td.number.wrap', {}, value(job)))))))));

function differences(jobs) {
  const all = jobs.map(settings), names = new Set(all.flatMap(one => [...one.keys()]));
  const rows = [...names].filter(name => new Set(all.map(one => JSON.stringify(one.get(name) ?? null))).size > 1)
    .map(name => [name, job => settingText(settings(job).get(name))]);
  return rows.length ? table('Settings that differ', jobs, rows) : h('section.card', {}, h('p.soft', {}, 'All settings are the same.'));
}

/* A plot for each name that any of the jobs has measured. */
class Overlay {
  constructor(signal) {
    this.signal = signal;
    this.plots = new Map();
    this.controls = plotControls(() => this.show(this.jobs, this.series));
    this.element = h('div.plots', {});
  }

  show(jobs, series) {
    this.jobs = jobs;
    this.series = series;
    const names = [...new Set(series.flatMap(one => [...lossNames(one), ...metricNames(one)]))];
    for (const name of [...names, 'learning_rate', 'grad_norm'])
      if (series.some(one => one.has(name)))
        this.#fill(name);
  }

  #fill(name) {
    if (!this.plots.has(name)) {
      const title = metricName(name);
      const plot = new Plot({title: title[0].toUpperCase() + title.slice(1), sync: 'compare', log: false}, this.signal);
      this.plots.set(name, plot);
      this.element.append(plot.element);
    }
    const plot = this.plots.get(name), sparse = name.startsWith('valid') || name.startsWith('full_valid'), log = this.controls.log && /loss|norm/.test(name);
    const steps = [...new Set(this.series.flatMap(one => one.steps([name])))].sort((a, b) => a - b);
    if (plot.log !== log)
      plot.setLog(log);
    plot.show(steps, this.series.map((one, i) => ({label: jobName(this.jobs[i]), plot: i + 1, points: sparse,
      values: smooth(one.values(steps, name), sparse ? 0 : this.controls.weight)})));
  }
}

export async function showCompare(root, wanted, signal) {
  const all = await api.list('v1/fine_tuning/jobs', {signal, most: 200, page: 100});
  const ids = [...new Set(wanted)].slice(0, MOST), top = h('div', {}, chooser(ids, all)), tables = h('div.stack', {});
  if (ids.length < 2) {
    replace(root, h('h1', {}, 'Compare'), top, h('section.card.empty', {}, h('h2', {}, ids.length ? 'One more job' : 'Choose two jobs or more'),
      h('p', {}, all.length ? 'Their curves are drawn over each other, with a table of what they differ in.' : 'There are no jobs yet: start two with different settings, and compare them here.'),
      all.length < 2 && h('a.button.primary', {href: '#/new'}, 'New job')));
    return;
  }
  let jobs = await Promise.all(ids.map(id => api.get(jobPath(id), signal)));
  const series = jobs.map(() => new Series()), overlay = new Overlay(signal);
  replace(root, h('div.head', {}, h('h1', {}, 'Compare'), h('div.end', {}, overlay.controls.element)), top, overlay.element, tables);
  const drawTables = () => replace(tables, results(jobs), differences(jobs));
  drawTables();
  jobs.forEach((job, i) => follow(job, events => {
    events.forEach(event => { if (event.type === 'metrics') series[i].add(event.data); });
    overlay.show(jobs, series);
  }, signal));
  every(3000, async () => {
    if (jobs.every(hasEnded))
      return 600000;
    jobs = await Promise.all(jobs.map(job => hasEnded(job) ? job : api.get(jobPath(job.id), signal)));
    drawTables();
    return 3000;
  }, signal);
}

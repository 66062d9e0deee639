/* Jobs beside each other: their curves in one plot, and what they differ in. */
import * as api from './api.js';
import {every, h, replace} from './dom.js';
import {duration, jobName, number} from './format.js';
import {badge, hasEnded, jobLink, jobPath, methodName, result} from './job_parts.js';
import {readSeries} from './live.js';
import {MOST, Overlay} from './overlay.js';
import {card, empty, scrolled} from './parts.js';
import {Series} from './series.js';
import {settings, settingText} from './settings.js';

/* ---- which jobs ---- */

const go = ids => { location.hash = `#/compare/${ids.map(encodeURIComponent).join(',')}`; };

function chosenChip(id, i, chosen, all) {
  const job = all.find(other => other.id === id), name = job ? jobName(job) : id;
  const drop = h('button.icon-button', {
    type: 'button', 'data-key': `drop-${id}`, 'aria-label': `Leave out ${name}`,
    onclick: () => go(chosen.filter(other => other !== id)),
  }, '×');
  return h('span.chip', {}, h(`i.swatch.plot-${i + 1}`), h('a', {href: jobLink(id)}, name), drop);
}

/* A chip for each, and a list to add more from. */
function chooser(chosen, all) {
  const others = all.filter(job => !chosen.includes(job.id)), full = chosen.length >= MOST;
  const add = event => {
    if (event.target.value)
      go([...chosen, event.target.value]);
  };
  const prompt = full ? `${MOST} at most` : others.length ? 'Choose a job…' : 'No other jobs';
  const select = h('select.input', {id: 'add', 'data-key': 'add', disabled: full || !others.length, onchange: add},
    h('option', {value: ''}, prompt), others.map(job => h('option', {value: job.id},
      [jobName(job), job.model, methodName(job), job.status].join(' · '))));
  return card(
    chosen.length > 0 && h('div.chips', {}, chosen.map((id, i) => chosenChip(id, i, chosen, all))),
    h('div.field', {}, h('label', {for: 'add'}, 'Add a job'), select));
}

/* ---- tables ---- */

/* `rows`: [name, what it is of a job]. */
function beside(title, jobs, rows) {
  const head = ['', ...jobs.map((job, i) => h('th', {}, h('span.row', {}, h(`i.swatch.plot-${i + 1}`), jobName(job))))];
  return scrolled(title, head, rows.map(([name, of]) =>
    [h('th', {scope: 'row'}, name), ...jobs.map(job => h('td.number.wrap', {}, of(job)))]));
}

function results(jobs) {
  const measured = job => {
    const best = result(job);
    return best ? `${number(best.value)} (${best.name})` : '–';
  };
  const speed = job => job.progress?.tokens_per_second;
  return beside('Results', jobs, [
    ['State', badge],
    ['Method', methodName],
    ['Result', measured],
    ['At step', job => number(job.progress?.best?.step)],
    ['Training loss', job => number(job.progress?.train_loss)],
    ['Ran for', job => job.started_at ? duration((job.finished_at ?? Date.now() / 1000) - job.started_at) : '–'],
    ['Tokens per second', job => speed(job) ? number(Math.round(speed(job))) : '–'],
  ]);
}

function differences(jobs) {
  const all = jobs.map(settings), names = new Set(all.flatMap(one => [...one.keys()]));
  const differ = name => new Set(all.map(one => JSON.stringify(one.get(name) ?? null))).size > 1;
  const rows = [...names].filter(differ).map(name => [name, job => settingText(settings(job).get(name))]);
  return rows.length ? beside('Settings that differ', jobs, rows) : h('p.card.soft', {}, 'All settings are the same.');
}

/* ---- the view ---- */

function tooFew(ids, all) {
  return empty(ids.length ? 'One more job' : 'Choose two jobs or more',
    h('p', {}, all.length ? 'Their curves are drawn over each other, with a table of what they differ in.' :
      'There are no jobs yet: start two with different settings, and compare them here.'),
    all.length < 2 && h('a.button.primary', {href: '#/new'}, 'New job'));
}

export async function showCompare(root, wanted, signal) {
  const all = await api.list('v1/fine_tuning/jobs', {signal, most: 200, page: 100});
  const ids = [...new Set(wanted)].slice(0, MOST);
  if (ids.length < 2) {
    replace(root, h('h1', {}, 'Compare'), chooser(ids, all), tooFew(ids, all));
    return;
  }
  let jobs = await Promise.all(ids.map(id => api.get(jobPath(id), signal)));
  const series = jobs.map(() => new Series()), from = jobs.map(() => 0);
  const overlay = new Overlay(signal), tables = h('div.stack', {});
  replace(root, h('div.head', {}, h('h1', {}, 'Compare'), h('div.end', {}, overlay.controls.element)),
    chooser(ids, all), overlay.element, tables);
  /* Not by a stream a job: a browser has six connections to a server in all. */
  every(2000, async () => {
    const ended = jobs.every(hasEnded);
    const read = async (job, i) => { from[i] = await readSeries(job.id, series[i], from[i], signal); };
    await Promise.all(jobs.map(read));
    overlay.show(jobs.map(jobName), series);
    replace(tables, results(jobs), differences(jobs));
    jobs = await Promise.all(jobs.map(job => hasEnded(job) ? job : api.get(jobPath(job.id), signal)));
    return ended ? Infinity : 2000;
  }, signal);
}

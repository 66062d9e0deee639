/* One sweep: its jobs in one table, the best first, and their curves over each other. */
import * as api from './api.js';
import {confirmed, every, h, notify, replace} from './dom.js';
import {duration, metricName, number} from './format.js';
import {badge, jobLink} from './job_parts.js';
import {readSeries} from './live.js';
import {MOST, Overlay} from './overlay.js';
import {button, empty, link, scrolled} from './parts.js';
import {Series} from './series.js';
import {settingText} from './settings.js';
import {sweepBadge, sweepName, sweepPath, sweepProgress} from './sweep_parts.js';

/* What a row is called: the values that it has of the sweep's own. */
const label = (row, fields) => fields.map(field => settingText(row.values?.[field])).join(' · ');
const measured = metric => metric === 'train_loss' ? 'training loss' : metricName(`valid_${metric}`);

async function order(method, path, question, action, done) {
  if (!await confirmed(question, action))
    return false;
  try {
    await api[method](path);
    notify(done);
    return true;
  } catch (error) {
    notify(error.message, 'bad');
    return false;
  }
}

function head(sweep, again) {
  const path = sweepPath(sweep.id), over = sweep.status === 'finished';
  const cancel = async () => {
    if (await order('post', `${path}/cancel`, 'Cancel all jobs of this sweep that wait or run?', 'Cancel its jobs',
      'Its jobs are cancelled.'))
      again();
  };
  const drop = async () => {
    if (await order('remove', path, `Delete the sweep ${sweepName(sweep)}, with its ${sweep.job_count} jobs and all ` +
      'that they made? This cannot be undone.', 'Delete the sweep', 'The sweep is deleted.'))
      location.hash = '#/sweeps';
  };
  const table = () => api.download(`${path}/results?format=csv`, `${sweep.id}.csv`)
    .catch(error => notify(error.message, 'bad'));
  return [
    h('div.head', {}, h('h1', {}, sweepName(sweep)), sweepBadge(sweep), h('div.row.end', {},
      button('Download table', table, {'data-key': 'table'}),
      over ? button('Delete', drop, {kind: '.danger', 'data-key': 'delete'}) :
        button('Cancel', cancel, {kind: '.danger', 'data-key': 'cancel'}))),
    h('div.stack', {}, sweepProgress(sweep)),
  ];
}

/* `drawn`: ids of the jobs whose curves are shown, in the order of their colours. */
function comparison({metric, goal, fields, data}, drawn, choose) {
  const right = text => h('th.right', {}, text);
  const titles = [h('th', {}, h('span.hidden-text', {}, 'Curve')), right('#'), ...fields, 'State',
    right(measured(metric)), right('Best'), right('At step'), right('Training loss'), right('Parameters'),
    right('Ran for'), ''];
  const cells = row => {
    const at = drawn.indexOf(row.job_id), name = label(row, fields);
    const pick = h('input', {
      type: 'checkbox', checked: at >= 0, disabled: at < 0 && drawn.length >= MOST, 'data-key': `draw-${row.job_id}`,
      'aria-label': `Draw the curves of ${name}`, onchange: event => choose(row.job_id, event.target.checked),
    });
    return [
      h('td', {}, h('span.row.nowrap', {}, pick, h(`i.swatch${at >= 0 ? `.plot-${at + 1}` : '.none'}`))),
      h('td.right', {}, row.rank ?? '–'),
      ...fields.map(field => h('td.number', {}, settingText(row.values?.[field]))),
      h('td', {}, badge(row)),
      h('td.right', {}, row.rank === 1 ? h('b', {}, number(row.value)) : number(row.value)),
      h('td.right', {}, number(row.best)), h('td.right', {}, number(row.best_step)),
      h('td.right', {}, number(row.train_loss)), h('td.right', {}, number(row.trainable_parameters)),
      h('td.right', {}, duration(row.duration_seconds)),
      h('td.right', {},
        link('Open', jobLink(row.job_id), {'aria-label': `Open the job ${name}`, 'data-key': row.job_id})),
    ];
  };
  return scrolled(`Jobs by ${measured(metric)}, ${goal === 'minimize' ? 'the lowest' : 'the highest'} first`, titles,
    data.map(cells));
}

async function find(root, id, signal) {
  try {
    return await api.get(sweepPath(id), signal);
  } catch (error) {
    if (error.status !== 404)
      throw error;
    replace(root, empty('There is no such sweep', h('p', {}, error.message),
      h('a.button', {href: '#/sweeps'}, 'All sweeps')));
    return null;
  }
}

export async function showSweep(root, id, signal) {
  let sweep = await find(root, id, signal), results = null, drawn = null;
  if (!sweep)
    return;
  const series = new Map(), from = new Map(), overlay = new Overlay(signal);
  const top = h('div.stack', {}), middle = h('div.stack', {});
  const nothing = h('p.card.soft', {}, 'They begin when a job trains.');
  replace(root, top, middle, h('div.head', {}, h('h2', {}, 'Curves'), h('div.end', {}, overlay.controls.element)),
    nothing, overlay.element);

  const draw = () => {
    const rows = drawn.map(job => results.data.find(row => row.job_id === job));
    replace(top, head(sweep, () => load()));
    replace(middle, comparison(results, drawn, choose));
    overlay.show(rows.map(row => label(row, results.fields)), drawn.map(job => series.get(job)));
    nothing.hidden = overlay.plots.size > 0;
  };
  const choose = async (job, on) => {
    drawn = on ? [...drawn, job] : drawn.filter(other => other !== job);
    await read(job);
    draw();
  };
  const read = async job => {
    if (!series.has(job))
      series.set(job, new Series());
    from.set(job, await readSeries(job, series.get(job), from.get(job) ?? 0, signal));
  };
  const load = every(2000, async () => {
    [sweep, results] = await Promise.all([api.get(sweepPath(id), signal), api.get(`${sweepPath(id)}/results`, signal)]);
    const there = new Set(results.data.map(row => row.job_id));
    drawn = (drawn ?? results.data.slice(0, MOST).map(row => row.job_id)).filter(job => there.has(job));
    await Promise.all(drawn.map(read));
    draw();
    return sweep.status === 'finished' ? Infinity : 2000;
  }, signal);
}

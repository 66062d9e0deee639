/* The queue and all jobs, the newest first. */
import * as api from './api.js';
import {every, h, replace} from './dom.js';
import {ago, jobName, number} from './format.js';
import {
  actions, badge, discard, hasEnded, jobLink, methodName, progressBar, progressText, result,
} from './job_parts.js';
import {button, empty, flush, table} from './parts.js';
import {queuePanel} from './queue.js';

const PAGE = 50;
const filters = {
  all: {label: 'All', has: () => true},
  active: {label: 'Active', has: job => !hasEnded(job), none: 'Nothing runs or waits.'},
  finished: {label: 'Finished', has: hasEnded, none: 'No job has ended yet.'},
};

const noJobs = () => empty('No jobs yet',
  h('p', {}, 'A job trains an adapter of a base model on your data.'),
  h('ol', {},
    h('li', {}, 'Upload a file of examples under ', h('a', {href: '#/files'}, 'Files'), '.'),
    h('li', {}, 'See under ', h('a', {href: '#/models'}, 'Models'), ' that a base model is there.'),
    h('li', {}, 'Start a job and watch it learn.')),
  h('a.button.primary', {href: '#/new'}, 'New job'));

export function showJobs(root, signal) {
  let filter = 'all', limit = PAGE, jobs = [], more = false, shown = '';
  const chosen = new Set();
  const compare = h('a.button.small', {hidden: true});
  const drop = button('', async () => {
    if (await discard(jobs.filter(job => chosen.has(job.id))))
      chosen.clear();
    load();
  }, {kind: '.danger', hidden: true});
  const queue = queuePanel(() => load());
  const chips = h('div.chips', {role: 'group', 'aria-label': 'Which jobs'});
  const body = h('div.stack', {}, h('p.soft', {}, 'Loading…'));

  const choose = (job, on) => {
    if (on)
      chosen.add(job.id);
    else
      chosen.delete(job.id);
    tellChosen();
  };
  const tellChosen = () => {
    const picked = jobs.filter(job => chosen.has(job.id));
    drop.hidden = !picked.length || !picked.every(hasEnded);
    drop.textContent = picked.length === 1 ? 'Delete 1 job' : `Delete ${picked.length} jobs`;
    compare.hidden = chosen.size < 2;
    compare.textContent = `Compare ${chosen.size} jobs`;
    compare.href = `#/compare/${[...chosen].map(encodeURIComponent).join(',')}`;
  };

  const row = job => {
    const measured = result(job);
    const pick = h('input', {
      type: 'checkbox', checked: chosen.has(job.id), 'data-key': `pick-${job.id}`,
      'aria-label': `Choose ${jobName(job)} to compare`, onchange: event => choose(job, event.target.checked),
    });
    return [
      h('td.pick', {}, pick),
      h('td.name', {}, h('a.title', {href: jobLink(job.id), 'data-key': job.id}, jobName(job)),
        h('div.soft.small.wrap', {}, [job.model, methodName(job)].filter(Boolean).join(' · '))),
      h('td.state', {}, badge(job)),
      h('td.full.progress', {}, progressBar(job), h('div.small.soft', {}, progressText(job))),
      h('td.right.measure', {},
        measured && [h('b', {}, number(measured.value)), h('div.small.soft', {}, measured.name)]),
      h('td.soft.small.when', {}, ago(job.created_at)),
      h('td.full.orders', {}, h('div.row.end', {}, actions(job, load))),
    ];
  };

  const chip = ([name, {label, has}]) => {
    const choice = () => {
      filter = name;
      draw();
    };
    const props = {type: 'button', 'aria-pressed': String(name === filter), 'data-key': name, onclick: choice};
    return h('button.chip', props, label, ' ', h('span.number', {}, jobs.filter(has).length + (more ? '+' : '')));
  };

  const head = ['', 'Job', 'State', 'Progress', h('th.right', {}, 'Result'), 'Created', ''];
  const draw = () => {
    const {has, none} = filters[filter], listed = jobs.filter(has);
    const older = () => {
      limit += PAGE;
      load();
    };
    replace(chips, Object.entries(filters).map(chip));
    if (jobs.length === 0)
      replace(body, noJobs());
    else
      replace(body, listed.length ? flush(table(head, listed.map(row), '.stacks.jobs')) : h('p.card.soft', {}, none),
        more && h('div.row', {}, button('Older jobs', older, {'data-key': 'more'})));
  };

  const look = async () => {
    jobs = await api.list('v1/fine_tuning/jobs', {signal, most: limit + 1, page: 100});
    const waits = jobs.some(job => job.status === 'queued');
    queue.show(waits ? await api.list('v1/queue', {signal, most: 200, page: 100}) : [], jobs);
    more = jobs.length > limit;
    jobs.length = Math.min(jobs.length, limit);
    [...chosen].filter(id => !jobs.some(job => job.id === id)).forEach(id => chosen.delete(id));
    tellChosen();
    const now = JSON.stringify([jobs, more, Math.floor(Date.now() / 30000)]);
    if (now !== shown)
      draw();
    shown = now;
    return jobs.some(job => !hasEnded(job)) ? 2000 : 8000;
  };

  replace(root, h('div.head', {}, h('h1', {}, 'Jobs'), chips, h('div.row.end', {}, drop, compare)), queue.element,
    body);
  const load = every(2000, look, signal);
}

/* All sweeps, the newest first. */
import * as api from './api.js';
import {every, h, replace} from './dom.js';
import {ago, metricName, number} from './format.js';
import {sweepLink} from './job_parts.js';
import {empty, flush, link, table} from './parts.js';
import {sweepBadge, sweepName, sweepProgress} from './sweep_parts.js';

const MOST = 200;

const none = () => empty('No sweeps yet',
  h('p', {}, 'A sweep trains the same data with what is to be compared: methods, ranks, learning rates, seeds. Its ',
    'jobs stand in the queue like others, and one table ranks them.'),
  h('p', {}, 'From the command line: ', h('code', {}, 'reflect sweeps create --grid r=4,8'), '.'));

function row(sweep) {
  const {best} = sweep;
  return [
    h('td.name', {}, h('a.title', {href: sweepLink(sweep.id), 'data-key': sweep.id}, sweepName(sweep)),
      h('div.soft.small.wrap', {}, sweep.fields.join(', '))),
    h('td.state', {}, sweepBadge(sweep)),
    h('td.full.progress', {}, sweepProgress(sweep)),
    h('td.right.measure', {},
      best && [h('b', {}, number(best.value)), h('div.small.soft', {}, metricName(`valid_${sweep.metric}`))]),
    h('td.soft.small.when', {}, ago(sweep.created_at)),
  ];
}

export function showSweeps(root, signal) {
  const body = h('div.stack', {}, h('p.soft', {}, 'Loading…'));
  const head = ['Sweep', 'State', 'Progress', h('th.right', {}, 'Best'), 'Created'];
  replace(root, h('div.head', {}, h('h1', {}, 'Sweeps'), h('div.end', {}, link('New sweep', '#/new/sweep', {kind: '.primary'}))), body);
  every(4000, async () => {
    const sweeps = await api.list('v1/fine_tuning/sweeps', {signal, most: MOST, page: 20});
    replace(body, sweeps.length ? flush(table(head, sweeps.map(row), '.stacks.sweeps')) : none());
    return sweeps.some(sweep => sweep.status !== 'finished') ? 4000 : 15000;
  }, signal);
}

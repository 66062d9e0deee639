/* The jobs that wait, in the order in which they start, and their order to change: by buttons, by Alt and an arrow key
   anywhere in a job's row, by its priority. */
import * as api from './api.js';
import {h, notify, replace} from './dom.js';
import {duration, jobName, number} from './format.js';
import {jobLink, jobPath, ordinal} from './job_parts.js';
import {table} from './parts.js';

/* What to ask for so that the job stands at that place: jobs stand by their priority, and by `before` among those of
   the same one. Only a job that passes one of another priority takes that one's. */
export function placed(queue, from, to) {
  const others = queue.toSpliced(from, 1), job = queue[from], [above, below] = [others[to - 1], others[to]];
  let {priority} = job;
  if (above && above.priority < priority)
    ({priority} = above);
  if (below && below.priority > priority)
    ({priority} = below);
  return {scheduling: {priority, before: below?.priority === priority ? below.id : null}};
}

/* {element, show(entries of /v1/queue, jobs)}; `jobs` knows more of some of them. `changed` is called when the order is
   another. */
export function queuePanel(changed) {
  const element = h('div', {hidden: true});
  let queue = [];

  const ask = async (entry, change, done) => {
    try {
      const job = await api.patch(jobPath(entry.id), change);
      notify(done(job));
    } catch (error) {
      notify(error.message, 'bad');
    }
    changed();
  };
  const move = (i, to) => {
    if (to < 0 || to >= queue.length || to === i)
      return;
    const place = ({scheduling: {queue_position: at}}) => typeof at === 'number' ? ordinal(at + 1) : 'elsewhere';
    ask(queue[i], placed(queue, i, to), job => `${jobName(job)} is ${place(job)} in the queue.`);
  };
  const prioritise = (entry, input) => {
    input.defaultValue = input.value; /* it is edited no more */
    ask(entry, {scheduling: {priority: Number(input.value)}},
      job => `${jobName(job)} has the priority ${job.scheduling.priority}.`);
  };

  const mover = (i, to, sign, label) => h('button.icon-button', {
    type: 'button', 'data-key': `${sign}-${queue[i].id}`, title: label,
    'aria-label': `Move ${jobName(queue[i])} ${label}`,
    'aria-disabled': to < 0 || to >= queue.length || to === i ? 'true' : null, onclick: () => move(i, to),
  }, sign);

  const row = (entry, i) => {
    const wait = entry.expected_start ? entry.expected_start - Date.now() / 1000 : 0;
    const priority = h('input.input.priority', {
      type: 'number', step: '1', value: String(entry.priority), 'data-key': `priority-${entry.id}`,
      'aria-label': `Priority of ${jobName(entry)}`, onchange: event => prioritise(entry, event.target),
    });
    return [
      h('td.number', {}, ordinal(i + 1)),
      h('td.name', {}, h('a.title', {href: jobLink(entry.id), 'data-key': `queued-${entry.id}`}, jobName(entry)),
        h('div.soft.small.wrap', {}, entry.model)),
      h('td.soft.small', {}, wait > 5 ? `starts in about ${duration(wait)}` : 'starts when there is a place'),
      h('td', {}, h('label.check.small', {}, h('span.soft.narrow', {}, 'Priority'), priority)),
      h('td.full', {}, h('div.row.end', {}, mover(i, 0, '⤒', 'to the front'), mover(i, i - 1, '↑', 'up'),
        mover(i, i + 1, '↓', 'down'))),
    ];
  };

  const key = event => {
    const step = {ArrowUp: -1, ArrowDown: 1}[event.key], line = event.target.closest('tbody tr');
    if (!step || !event.altKey || !line)
      return;
    event.preventDefault();
    const i = [...line.parentNode.children].indexOf(line);
    move(i, i + step);
  };

  return {
    element,
    show(entries, jobs) {
      const more = new Map(jobs.map(job => [job.id, job]));
      queue = entries.filter(entry => entry.status === 'queued')
        .map(entry => ({...entry, sweep: more.get(entry.id)?.sweep}));
      element.hidden = queue.length < 2;
      const edited = element.querySelector('.priority:focus');
      if (element.hidden || (edited && edited.value !== edited.defaultValue))
        return;
      const listed = table(['', 'Job', 'Start', 'Priority', ''], queue.map(row), '.stacks.queue');
      listed.addEventListener('keydown', key);
      replace(element, h('section.card.flush.queue-list', {}, h('div.head.table-title', {}, h('h2', {}, 'Queue'),
        h('span.soft.small', {}, `${number(queue.length)} wait.`,
          h('span.keys', {}, ' Alt with ↑ or ↓ in a row moves its job.'))), listed));
    },
  };
}

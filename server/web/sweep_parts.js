/* What the list of sweeps and a sweep's page show of one. */
import {h} from './dom.js';
import {counted, number, shortId} from './format.js';

export const sweepPath = id => `v1/fine_tuning/sweeps/${encodeURIComponent(id)}`;
export const sweepName = sweep => sweep.name || shortId(sweep.id);

export const sweepBadge = ({status}) => h(`span.badge.${status === 'finished' ? 'succeeded' : status}`, {}, status);

/* How many of its jobs have ended, and how. */
export function sweepProgress({job_count: all, job_counts: counts}) {
  const ended = counts.succeeded + counts.failed + counts.cancelled;
  const said = ['running', 'queued', 'paused', 'succeeded', 'failed', 'cancelled'].filter(state => counts[state])
    .map(state => `${number(counts[state])} ${state}`).join(', ');
  return [h('progress', {value: ended, max: all, 'aria-label': `${ended} of ${all} jobs have ended`}),
    h('div.small.soft', {}, `${counted(all, 'job')}: ${said}`)];
}

/* What a job tells while it runs. */
import * as api from './api.js';
import {every} from './dom.js';
import {jobPath} from './job_parts.js';

/* Calls onEvents with new events, the oldest first, until the signal ends it. */
export function follow(job, onEvents, signal) {
  const seen = new Set();
  every(1500, async () => {
    const events = await api.list(`${jobPath(job.id)}/events`, {signal, most: seen.size ? 200 : 2000});
    const fresh = events.filter(event => !seen.has(event.id)).reverse();
    fresh.forEach(event => seen.add(event.id));
    if (fresh.length)
      onEvents(fresh);
  }, signal);
}

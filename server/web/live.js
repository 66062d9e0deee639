/* What a job tells while it runs: its curves so far, and then each thing as it happens. */
import * as api from './api.js';
import {every} from './dom.js';
import {hasEnded, jobPath} from './job_parts.js';

const AGAIN_MS = 1500;

/* Adds what was measured from that step on. Answers the step to go on from. */
export async function readSeries(id, series, from, signal) {
  const events = await api.list(`${jobPath(id)}/events`, {signal, most: from ? 200 : 20000});
  events.filter(event => event.type === 'metrics').reverse().forEach(event => series.add(event.data));
  return 1;
}

/* Calls heard(name, data) for what happens after the event with that id, in its order: "status" with the whole job, and
   "metrics" or "log" with an event. */
export function follow(id, after, heard, signal) {
  const number = event => Number(event.id.split('-')[1]);
  let last = after ? Number(after.split('-')[1]) : 0;
  every(AGAIN_MS, async () => {
    const job = await api.get(jobPath(id), signal);
    const events = await api.list(`${jobPath(id)}/events`, {signal, most: 200});
    for (const event of events.filter(one => number(one) > last).reverse()) {
      last = number(event);
      heard(event.type === 'metrics' ? 'metrics' : 'log', event);
    }
    heard('status', job);
    return hasEnded(job) ? Infinity : AGAIN_MS;
  }, signal);
}

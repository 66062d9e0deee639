/* What a job tells while it runs: its curves so far, and then each thing as it happens. */
import * as api from './api.js';
import {jobPath} from './job_parts.js';

const POINTS = 2000, AGAIN_MS = 3000;

/* Adds what was measured from that step on. Answers the step to go on from. */
export async function readSeries(id, series, from, signal) {
  for (;;) {
    const answer = await api.get(`${jobPath(id)}/metrics?max_points=${POINTS}&from_step=${from}`, signal);
    for (const {name, steps, values} of answer.series)
      steps.forEach((step, i) => series.add({step, [name]: values[i]}));
    if (answer.last_step === null)
      return from;
    if (!answer.has_more)
      return answer.last_step; /* again, since more may be measured at this step */
    from = answer.last_step + 1;
  }
}

/* Telemetry by module of the steps from that one on, added to `known` ({steps, modules}). Answers what is known now. */
export async function readTelemetry(id, known, signal) {
  const from = known.steps.length ? known.steps.at(-1) + 1 : 0;
  const {steps, modules, has_more: more} = await api.get(`${jobPath(id)}/telemetry?from_step=${from}`, signal);
  if (!steps.length)
    return known;
  const joined = modules.map((module, i) => {
    const {angle = [], defect = []} = known.modules[i] ?? {};
    return {name: module.name, angle: [...angle, ...module.angle], defect: [...defect, ...module.defect]};
  });
  const now = {steps: [...known.steps, ...steps], modules: joined};
  return more ? readTelemetry(id, now, signal) : now;
}

/* Calls heard(name, data) for what happens after the event with that id, in its order: "status" with the whole job,
   "progress", and "metrics", "checkpoint" or "log" with an event. A stream that breaks off goes on after what it told;
   while nobody looks at the page there is none, since a browser has few connections to a server for all its tabs. */
export function follow(id, after, heard, signal) {
  let last = after, ended = false, connection = null;
  const connect = async () => {
    if (connection || ended || signal.aborted || document.hidden)
      return;
    const mine = connection = new AbortController();
    try {
      await api.stream(`${jobPath(id)}/events?stream=true`, last, mine.signal, (name, data, eventId) => {
        last = eventId ?? last;
        ended ||= name === 'end';
        if (name !== 'end')
          heard(name, data);
      });
    } catch (error) {
      if (error.status === 401 || error.status === 404)
        ended = true;
    }
    if (connection === mine)
      connection = null;
    if (!mine.signal.aborted)
      setTimeout(connect, AGAIN_MS);
  };
  const disconnect = () => {
    connection?.abort();
    connection = null;
  };
  document.addEventListener('visibilitychange', () => document.hidden ? disconnect() : connect(), {signal});
  signal.addEventListener('abort', disconnect);
  connect();
}

/* What several views show of a job: its state, how far it is, what may be done with it. */
import * as api from './api.js';
import {confirmed, h, notify} from './dom.js';
import {duration, jobName, metricName, number} from './format.js';
import {button as make} from './parts.js';

const ended = new Set(['succeeded', 'failed', 'cancelled']);
export const hasEnded = job => ended.has(job.status);
export const jobPath = id => `v1/fine_tuning/jobs/${encodeURIComponent(id)}`;
export const jobLink = id => `#/jobs/${encodeURIComponent(id)}`;
export const sweepLink = id => `#/sweeps/${encodeURIComponent(id)}`;

const words = {validating_files: 'checking files'};

export function badge(job) {
  const state = job.pausing ? 'pausing' : job.status;
  return h(`span.badge.${state}`, {}, words[state] ?? state);
}

/* "HRA r=8" */
export function methodName(job) {
  const adapter = job.adapter ?? {};
  const size = ['r', 'oft_block_size', 'boft_block_size'].find(name => adapter[name]);
  const sized = size && `${size === 'r' ? 'r' : 'block'}=${adapter[size]}`;
  return [adapter.peft_type, adapter.apply_GS && 'GS', sized].filter(Boolean).join(' ');
}

export const ordinal = n => `${n}${n % 100 >= 11 && n % 100 <= 13 ? 'th' : ['th', 'st', 'nd', 'rd'][n % 10] ?? 'th'}`;

const lacks = {memory: 'waits for memory', cores: 'waits for cores', disk: 'waits for room on the disk'};

/* "2nd in the queue · starts in about 5 min" */
function queueText({scheduling: {queue_position: position, expected_start: start}, waiting_for: what}) {
  const place = typeof position === 'number' ? `${ordinal(position + 1)} in the queue` : 'waits for a place';
  const seconds = start ? start - Date.now() / 1000 : 0;
  const when = seconds > 5 ? `starts in about ${duration(seconds)}` : null;
  return [place, lacks[what], when].filter(Boolean).join(' · ');
}

/* One line on how far it is. */
export function progressText(job) {
  const progress = job.progress;
  if (job.status === 'queued')
    return queueText(job);
  if (job.status === 'failed')
    return job.error?.message ?? 'failed';
  if (!progress)
    return {running: 'starting', validating_files: 'the data are read'}[job.status] ?? '';
  const {step, total_steps: all, phase} = progress, steps = all ? `step ${number(step)} of ${number(all)}` : phase;
  if (job.status !== 'running')
    return steps;
  const left = progress.seconds_remaining > 0 ? `${duration(progress.seconds_remaining)} left` : all && phase;
  return [steps, left].filter(Boolean).join(' · ');
}

export function progressBar(job) {
  if (!job.progress?.total_steps || job.status === 'queued' || job.status === 'failed')
    return null;
  return h('progress', {value: job.progress.step ?? 0, max: job.progress.total_steps, 'aria-label': progressText(job)});
}

/* The number to judge it by: its best evaluation, else its loss. */
export function result(job) {
  const best = job.progress?.best ?? job.progress?.last;
  const metric = `valid_${job.evaluation?.metric ?? 'loss'}`;
  const name = best && (metric in best ? metric : Object.keys(best).find(key => key !== 'step'));
  if (name)
    return {name: metricName(name), value: best[name]};
  if (typeof job.progress?.train_loss === 'number')
    return {name: 'training loss', value: job.progress.train_loss};
  return null;
}

/* Deletes jobs that have ended, with what they made, after a question. True: they are gone. */
export async function discard(jobs) {
  const [what, whose] = jobs.length === 1 ? [`the job ${jobName(jobs[0])}`, 'its'] : [`${jobs.length} jobs`, 'their'];
  const question = `Delete ${what}, with ${whose} adapter, checkpoints, curves and log? This cannot be undone.`;
  if (!await confirmed(question, jobs.length === 1 ? 'Delete the job' : 'Delete the jobs'))
    return false;
  try {
    for (const job of jobs)
      await api.remove(jobPath(job.id));
    notify(jobs.length === 1 ? 'The job is deleted.' : 'The jobs are deleted.');
    return true;
  } catch (error) {
    notify(error.message, 'bad');
    return false;
  }
}

/* Buttons for what its state allows. `changed` is called with what became of the job. */
export function actions(job, changed) {
  const order = (what, done, sure) => async () => {
    if (sure && !await confirmed(...sure))
      return;
    try {
      changed(await api.post(`${jobPath(job.id)}/${what}`));
      notify(done);
    } catch (error) {
      notify(error.message, 'bad');
    }
  };
  const button = (label, what, done, {sure, kind = ''} = {}) =>
    make(label, order(what, done, sure), {kind, 'data-key': `${what}-${job.id}`});
  const running = job.status === 'running';
  return [
    running && !job.pausing && button('Checkpoint', 'checkpoint', 'A checkpoint is made after the step that runs.'),
    (job.status === 'paused' || job.pausing) && button('Resume', 'resume', 'The job goes on.'),
    (running || job.status === 'queued') && !job.pausing &&
      button('Pause', 'pause', 'The job pauses after the step that runs.'),
    !hasEnded(job) && button('Cancel', 'cancel', 'The job is cancelled.',
      {sure: ['Cancel this job? What it has learnt so far is not kept.', 'Cancel the job'], kind: '.danger'}),
  ].filter(Boolean);
}

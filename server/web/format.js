/* Numbers, times and names as people read them. */

export function number(value, digits = 4) {
  if (value === null || value === undefined || value === '')
    return '–';
  if (typeof value !== 'number')
    return String(value);
  if (!Number.isFinite(value))
    return String(value);
  if (Number.isInteger(value))
    return value.toLocaleString('en');
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e6))
    return value.toExponential(2);
  return value.toLocaleString('en', {maximumSignificantDigits: size >= 1000 ? 5 : digits});
}

export const counted = (count, noun) => `${number(count)} ${noun}${count === 1 ? '' : 's'}`;

export function bytes(value) {
  if (typeof value !== 'number')
    return '–';
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit ? value.toFixed(value < 10 ? 1 : 0) : value} ${units[unit]}`;
}

export function duration(seconds) {
  if (typeof seconds !== 'number' || !Number.isFinite(seconds))
    return '–';
  const s = Math.max(0, Math.round(seconds));
  if (s < 60)
    return `${s} s`;
  if (s < 3600)
    return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400)
    return `${Math.floor(s / 3600)} h ${Math.floor(s % 3600 / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor(s % 86400 / 3600)} h`;
}

export function ago(unix) {
  if (!unix)
    return '–';
  const s = Date.now() / 1000 - unix;
  return s < 10 ? 'just now' : s < 60 ? `${Math.round(s)} s ago` : s < 3600 ? `${Math.round(s / 60)} min ago` :
    s < 86400 ? `${Math.round(s / 3600)} h ago` : date(unix);
}

export const date = unix =>
  unix ? new Date(unix * 1000).toLocaleString('en-GB', {dateStyle: 'medium', timeStyle: 'short'}) : '–';
export const time = unix => new Date(unix * 1000).toLocaleTimeString('en-GB');

/* What a person calls the job; one of a sweep by what it differs in. */
const varied = job => Object.entries(job.sweep?.values ?? {})
  .map(([name, value]) => `${name.split('.').at(-1)}=${value}`).join(', ');
export const jobName = job => job.display_name || job.suffix || varied(job) || shortId(job.id);
export const shortId = id => id.length > 16 ? `${id.slice(0, id.indexOf('-') + 1)}…${id.slice(-6)}` : id;

/* "valid_mean_token_accuracy" -> "validation mean token accuracy" */
export const metricName = name =>
  name.replace(/^full_valid/, 'full validation').replace(/^valid_/, 'validation ').replace(/^train_/, 'training ')
    .replace(/^eval_/, 'evaluation ').replaceAll('_', ' ').replace(/^grad\b/, 'gradient');

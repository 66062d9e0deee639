/* What a job was given, as pairs of a dotted name and a value. */

/* What became of the job, and what is said twice. */
const others = new Set([
  'id', 'object', 'created_at', 'organization_id', 'status', 'result_files', 'error', 'fine_tuned_model', 'started_at',
  'finished_at', 'estimated_finish', 'expected_start', 'integrations', 'trained_tokens', 'restarts', 'device',
  'progress', 'attempts', 'pausing', 'waiting_for', 'hyperparameters', 'estimate', 'actual', 'cloned_from', 'sweep',
  'warnings', 'scheduling.queue_position', 'scheduling.expected_start',
]);

/* A hyperparameter by its name alone. */
export const shortPath = path => path.replace(/^method\.\w+\.hyperparameters\./, '');

export function settings(job) {
  const out = new Map();
  const walk = (object, prefix) => {
    for (const [name, value] of Object.entries(object)) {
      const path = prefix + name;
      if (others.has(path))
        continue;
      if (value !== null && typeof value === 'object' && !Array.isArray(value))
        walk(value, `${path}.`);
      else
        out.set(shortPath(path), value);
    }
  };
  walk(job, '');
  return out;
}

export function settingText(value) {
  if (value === null || value === undefined)
    return '–';
  return Array.isArray(value) ? value.join(', ') || 'none' : String(value);
}

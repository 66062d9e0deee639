/* What a job was given, as pairs of a dotted name and a value. */

const notSettings = new Set(['id', 'object', 'created_at', 'organization_id', 'status', 'result_files', 'error', 'fine_tuned_model', 'started_at',
  'finished_at', 'estimated_finish', 'integrations', 'trained_tokens', 'restarts', 'device', 'progress', 'attempts', 'pausing', 'hyperparameters',
  'queue_position', 'expected_start', 'estimate', 'warnings']);

export function settings(job) {
  const out = new Map();
  const walk = (value, path) => {
    if (value !== null && typeof value === 'object' && !Array.isArray(value))
      for (const [name, member] of Object.entries(value))
        walk(member, path ? `${path}.${name}` : name);
    else
      out.set(path.replace('method.supervised.hyperparameters.', '').replace('scheduling.queue_position', ''), value);
  };
  for (const [name, value] of Object.entries(job))
    if (!notSettings.has(name))
      walk(value, name);
  out.delete('');
  return out;
}

export const settingText = value => value === null || value === undefined ? '–' : Array.isArray(value) ? value.join(', ') || 'none' : String(value);

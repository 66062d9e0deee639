/* What was measured at which step, and the curves of it. */

/* Debiased exponential moving average; weight 0 leaves the values as they are. */
export function smooth(values, weight) {
  if (weight <= 0)
    return values;
  let sum = 0, count = 0;
  return values.map(value => {
    if (value === null || value === undefined)
      return value;
    count++;
    sum = sum * weight + value * (1 - weight);
    return sum / (1 - weight ** count);
  });
}

export class Series {
  #points = new Map();
  #names = new Set();

  /* {step, name: number, ...}; of a step that is told again the newer values count. */
  add(point) {
    if (typeof point?.step !== 'number')
      return;
    const had = this.#points.get(point.step) ?? {};
    for (const [name, value] of Object.entries(point))
      if (name !== 'step' && typeof value === 'number') {
        had[name] = value;
        this.#names.add(name);
      }
    this.#points.set(point.step, had);
  }

  get names() {
    return [...this.#names];
  }

  has(name) {
    return this.#names.has(name);
  }

  /* The steps at which any of the names has a value. */
  steps(names) {
    const measured = ([, point]) => names.some(name => point[name] !== undefined);
    return [...this.#points].filter(measured).map(([step]) => step).sort((a, b) => a - b);
  }

  values(steps, name) {
    return steps.map(step => this.#points.get(step)?.[name] ?? null);
  }
}

/* Measured now and then, on the validation file. */
export const isEvaluation = name => /^(full_)?valid_/.test(name);
/* Smoothing says something of what each batch makes jump. */
export const isNoisy = name => !isEvaluation(name) && /loss|norm|per_second/.test(name);
export const metricNames = series => series.names.filter(name => isEvaluation(name) && !/loss$/.test(name));
export const lossNames = series => series.names.filter(name => /loss$/.test(name)).sort();

/* The curves of one job: a plot for the losses, one for what evaluations measure, and one for each thing that tells how
   the training does. Which there are follows from what was measured. */
import {h} from './dom.js';
import {metricName} from './format.js';
import {Plot} from './plot.js';
import {isEvaluation, isNoisy, lossNames, metricNames, smooth} from './series.js';

const kept = name => Number(sessionStorage.getItem(`reflectd.${name}`));
const keep = (name, value) => sessionStorage.setItem(`reflectd.${name}`, String(Number(value)));

/* Smoothing and the logarithmic scale, for all plots of a view. `changed` is called with {weight, log}. */
export function plotControls(changed) {
  const weight = h('input',
    {type: 'range', id: 'smoothing', min: '0', max: '0.98', step: '0.02', value: String(kept('smoothing'))});
  const log = h('input', {type: 'checkbox', checked: kept('log') > 0});
  const tell = () => {
    keep('smoothing', weight.value);
    keep('log', log.checked);
    changed();
  };
  weight.addEventListener('input', tell);
  log.addEventListener('change', tell);
  return {
    element: h('div.row', {},
      h('label.check.small', {}, 'Smoothing ', weight), h('label.check.small', {}, log, 'Log scale')),
    get weight() { return Number(weight.value); },
    get log() { return log.checked; },
  };
}

/* What is drawn beside losses and metrics, where it was measured: title, names (a test), in logarithms too? */
const others = [
  {title: 'Learning rate', has: name => name === 'learning_rate'},
  {title: 'Gradient norm', has: name => name === 'grad_norm', log: true},
  {title: 'Tokens per second', has: name => name === 'tokens_per_second'},
  {title: 'Rotation angle', has: name => /angle|rotation/.test(name)},
  {title: 'Orthogonality defect', has: name => /orth|defect/.test(name), log: true},
];

export class Curves {
  constructor(signal) {
    this.signal = signal;
    this.plots = new Map();
    this.controls = plotControls(() => this.#redraw());
    this.element = h('div.plots', {});
  }

  show(series) {
    this.series = series;
    const losses = lossNames(series), metrics = metricNames(series);
    this.#plot('Loss', losses, {log: true, wide: true});
    if (metrics.length)
      this.#plot('Evaluation', metrics, {});
    for (const {title, has, log} of others) {
      const names = series.names.filter(has);
      if (names.length)
        this.#plot(title, names, {log});
    }
  }

  #redraw() {
    for (const [title, {plot, log}] of this.plots) {
      plot.setLog(log && this.controls.log);
      this.#fill(title);
    }
  }

  #plot(title, names, {log = false, wide = false}) {
    if (!this.plots.has(title)) {
      const plot = new Plot({title, sync: 'job', wide, log: log && this.controls.log}, this.signal);
      this.plots.set(title, {plot, names, log});
      this.element.append(plot.element);
    }
    this.plots.get(title).names = names;
    this.#fill(title);
  }

  #fill(title) {
    const {plot, names} = this.plots.get(title), steps = this.series.steps(names), curves = [];
    names.slice(0, 6).forEach((name, i) => {
      const values = this.series.values(steps, name), sparse = isEvaluation(name);
      const label = metricName(name), weight = isNoisy(name) ? this.controls.weight : 0;
      if (weight > 0)
        curves.push({label: `${label} as measured`, plot: i + 1, values, faint: true, quiet: true});
      curves.push({label, plot: i + 1, values: smooth(values, weight), points: sparse});
    });
    plot.show(steps, curves);
  }
}

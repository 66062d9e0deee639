/* The curves of several jobs over each other: a plot for each name that any of them has measured. */
import {plotControls} from './curves.js';
import {h} from './dom.js';
import {metricName} from './format.js';
import {Plot} from './plot.js';
import {isEvaluation, isNoisy, lossNames, metricNames, smooth} from './series.js';

/* As many as there are colours. */
export const MOST = 6;

export class Overlay {
  constructor(signal) {
    this.signal = signal;
    this.plots = new Map();
    this.controls = plotControls(() => this.show(this.labels, this.series));
    this.element = h('div.plots', {});
  }

  /* `labels` and `series`: one a job. */
  show(labels, series) {
    this.labels = labels;
    this.series = series;
    const measured = series.flatMap(one => [...lossNames(one), ...metricNames(one)]);
    for (const name of new Set([...this.plots.keys(), ...measured, 'learning_rate', 'grad_norm']))
      if (this.plots.has(name) || series.some(one => one.has(name)))
        this.#fill(name);
  }

  #plot(name) {
    if (!this.plots.has(name)) {
      const title = metricName(name);
      const plot = new Plot({title: title[0].toUpperCase() + title.slice(1), sync: 'compare'}, this.signal);
      this.plots.set(name, plot);
      this.element.append(plot.element);
    }
    return this.plots.get(name);
  }

  #fill(name) {
    const plot = this.#plot(name), points = isEvaluation(name), weight = isNoisy(name) ? this.controls.weight : 0;
    const steps = [...new Set(this.series.flatMap(one => one.steps([name])))].sort((a, b) => a - b);
    plot.setLog(this.controls.log && /loss|norm/.test(name));
    plot.show(steps, this.series.map((one, i) =>
      ({label: this.labels[i], plot: i + 1, points, values: smooth(one.values(steps, name), weight)})));
  }
}

/* A plot over steps, by uPlot: curves with a legend that shows the values where the pointer or the keyboard is. */
import {h, replace} from './dom.js';
import {number} from './format.js';

const HEIGHT = 210;

/* uPlot draws on a canvas, which knows no variables of CSS: the colours as they are now. */
export function colour(name) {
  const probe = document.body.appendChild(h('i', {}));
  probe.style.color = `var(--${name})`;
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

/* Between two steps there is nothing. */
const whole = Array.from({length: 10}, (_, i) => [1, 2, 5].map(n => n * 10 ** i)).flat();
const ticksText = (chart, ticks) => ticks.map(tick => tick === null ? '' : number(tick));
const faded = rgb => rgb.replace(/^rgb\((.*)\)$/, 'rgba($1, .38)');

export class Plot {
  /* `sync`: plots with the same name show the same step. */
  constructor({title, sync = null, log = false, wide = false}, signal) {
    this.log = log;
    this.sync = sync;
    this.height = wide ? 260 : HEIGHT;
    this.curves = [];
    this.steps = [];
    this.title = title;
    this.legend = h('div.legend', {'aria-live': 'off'});
    this.canvas = h('div.canvas',
      {tabindex: '0', role: 'img', onkeydown: event => this.#key(event), onblur: () => this.#point(null)});
    this.element = h(`figure.plot.card${wide ? '.wide' : ''}`, {},
      h('figcaption', {}, h('h2', {}, title), this.legend), this.canvas);
    this.observer = new ResizeObserver(() => this.#resize());
    this.observer.observe(this.canvas);
    addEventListener('themechange', () => this.#draw(), {signal});
    signal.addEventListener('abort', () => {
      this.observer.disconnect();
      this.chart?.destroy();
    });
  }

  /* curves: [{label, plot: 1 to 6, values (one a step, null: none), faint, points, quiet}]; those that are `quiet` have
     no legend. */
  show(steps, curves) {
    const same = this.chart && curves.length === this.curves.length &&
      curves.every((curve, i) => ['label', 'plot', 'faint', 'points'].every(key => curve[key] === this.curves[i][key]));
    this.steps = steps;
    this.curves = curves;
    this.#name();
    if (!same)
      this.#draw();
    else
      this.chart.setData([steps, ...curves.map(curve => curve.values)]);
    this.#values(this.chart?.cursor.idx ?? null);
  }

  setLog(log) {
    if (log === this.log)
      return;
    this.log = log;
    this.#draw();
  }

  #name() {
    const told = this.curves.filter(curve => !curve.quiet).map(curve => {
      const last = this.#last(curve);
      const value = last === null ? 'no value' : `${number(curve.values[last])} at step ${this.steps[last]}`;
      return `${curve.label} ${value}`;
    });
    this.canvas.setAttribute('aria-label', `${this.title}: ${told.join(', ')}. Arrow keys read the steps.`);
  }

  #draw() {
    this.chart?.destroy();
    this.chart = null;
    this.canvas.replaceChildren();
    if (this.steps.length === 0 || this.canvas.clientWidth === 0) {
      if (this.steps.length === 0)
        this.canvas.append(h('div.nothing', {}, 'Nothing was measured yet'));
      return;
    }
    const line = colour('line'), text = colour('soft'), font = `12px ${getComputedStyle(document.body).fontFamily}`;
    const axis = {stroke: text, font, grid: {stroke: line, width: 1}, ticks: {show: false}};
    const options = {
      width: this.canvas.clientWidth,
      height: this.height,
      padding: [10, 18, 0, 0],
      legend: {show: false},
      cursor: {
        y: false,
        focus: {prox: -1},
        points: {size: 7},
        ...(this.sync ? {sync: {key: this.sync, setSeries: false}} : {}),
      },
      scales: {x: {time: false}, y: {distr: this.log ? 3 : 1}},
      axes: [{...axis, space: 60, size: 26, gap: 4, incrs: whole}, {...axis, space: 34, size: 58, values: ticksText}],
      series: [{}, ...this.curves.map(curve => this.#series(curve))],
      hooks: {setCursor: [chart => this.#values(chart.cursor.idx)]},
    };
    this.chart = new window.uPlot(options, this.#data(), this.canvas);
    this.chart.over.addEventListener('pointermove', event => {
      if (event.pointerType !== 'mouse')
        this.chart.setCursor({left: event.offsetX, top: event.offsetY});
    });
  }

  #data() {
    return [this.steps, ...this.curves.map(curve => curve.values)];
  }

  #series(curve) {
    const base = colour(`plot-${curve.plot}`), stroke = curve.faint ? faded(base) : base;
    return {
      label: curve.label,
      stroke,
      width: curve.faint ? 1 : 2,
      spanGaps: true,
      points: {show: Boolean(curve.points) || this.steps.length < 2, size: 7, fill: stroke},
    };
  }

  #resize() {
    if (!this.chart)
      this.#draw();
    else if (this.canvas.clientWidth && this.canvas.clientWidth !== this.chart.width)
      this.chart.setSize({width: this.canvas.clientWidth, height: this.height});
  }

  #last(curve) {
    for (let i = curve.values.length - 1; i >= 0; i--)
      if (curve.values[i] !== null && curve.values[i] !== undefined)
        return i;
    return null;
  }

  /* The value at that step, or the last before it. */
  #values(index) {
    const shown = this.curves.filter(curve => !curve.quiet), pointed = typeof index === 'number';
    const items = shown.map(curve => {
      let at = index ?? this.#last(curve);
      while (at > 0 && (curve.values[at] === null || curve.values[at] === undefined))
        at--;
      const label = curve.label !== this.title.toLowerCase() && curve.label;
      return h('span', {}, h(`i.swatch.plot-${curve.plot}`), label, ' ',
        h('b', {}, at === null ? '–' : number(curve.values[at])));
    });
    replace(this.legend, pointed && h('span', {}, `step ${number(this.steps[index])}`), items);
  }

  #point(index) {
    if (!this.chart)
      return;
    const left = index === null ? -10 : this.chart.valToPos(this.steps[index], 'x');
    this.chart.setCursor({left, top: index === null ? -10 : 10});
  }

  #key(event) {
    const move = {ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity}[event.key];
    if (move === undefined || !this.chart)
      return;
    event.preventDefault();
    const now = this.chart.cursor.idx ?? (move < 0 ? this.steps.length : -1);
    this.legend.setAttribute('aria-live', 'polite');
    this.#point(Math.max(0, Math.min(this.steps.length - 1, now + move)));
  }
}

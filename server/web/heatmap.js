/* A heat map of what each adapted module tells, over steps: a row a module, a column a step. The pointer or the arrow
   keys read a cell. */
import {h, replace} from './dom.js';
import {number} from './format.js';
import {colour} from './plot.js';

const ROW = {most: 16, least: 5}, HEIGHT = 560, FONT = 11, AXIS = 24, GAP = 8, STOPS = 5;
const quantities = {
  angle: {label: 'Rotation angle', unit: 'rad',
    hint: 'How far each module is turned from the base model; 0 is not at all.'},
  defect: {label: 'Orthogonality defect', unit: '',
    hint: 'How far what each module\'s map is made of is from orthogonal.'},
};

/* "rgb(1, 2, 3)" -> [1, 2, 3] */
const parts = rgb => rgb.match(/[\d.]+/g).slice(0, 3).map(Number);

/* A colour for each of 0 to 1, between the stops of the style sheet. */
function scale() {
  const stops = Array.from({length: STOPS}, (_, i) => parts(colour(`heat-${i + 1}`)));
  return share => {
    const at = Math.max(0, Math.min(1, share)) * (STOPS - 1), low = Math.min(Math.floor(at), STOPS - 2);
    const mixed = stops[low].map((from, i) => Math.round(from + (stops[low + 1][i] - from) * (at - low)));
    return `rgb(${mixed.join(' ')})`;
  };
}

/* What has room of a module's name: the number of its layer and the end, which is what names differ in. */
function fitting(name, context, width) {
  const layer = /(?:^|\.)(\d+)\./.exec(name)?.[1] ?? '';
  let text = name;
  for (let from = 1; from < name.length && context.measureText(text).width > width; from++)
    text = `${layer}…${name.slice(from)}`;
  return text;
}

export class HeatMap {
  constructor(signal) {
    this.quantity = 'angle';
    this.cell = null;
    this.data = {steps: [], modules: []};
    this.legend = h('div.legend', {'aria-live': 'off'});
    this.range = h('div.heat-range.small', {});
    this.chips = h('div.chips', {role: 'group', 'aria-label': 'What is shown of the modules'});
    this.hint = h('p.soft.small', {});
    this.canvas = h('canvas.heat', {
      tabindex: '0', role: 'img', onkeydown: event => this.#key(event), onblur: () => this.#point(null),
      onpointermove: event => this.#pointed(event), onpointerleave: () => this.#point(null),
    });
    this.element = h('figure.plot.card.heat-map', {hidden: true},
      h('figcaption', {}, h('h2', {}, 'Telemetry by module'), this.legend),
      h('div.head', {}, this.chips, this.range), this.hint, this.canvas);
    this.observer = new ResizeObserver(() => this.#draw());
    this.observer.observe(this.element);
    addEventListener('themechange', () => this.#draw(), {signal});
    signal.addEventListener('abort', () => this.observer.disconnect());
    this.#choose('angle');
  }

  /* {steps, modules: [{name, angle, defect}]}, a value a step; null: none. Without modules nothing is shown. */
  show(data) {
    this.data = data;
    this.element.hidden = !data.modules.length;
    this.#draw();
    this.#tell();
  }

  #choose(name) {
    this.quantity = name;
    const chip = ([key, {label}]) => h('button.chip',
      {type: 'button', 'aria-pressed': String(key === name), 'data-key': key, onclick: () => this.#choose(key)}, label);
    replace(this.chips, Object.entries(quantities).map(chip));
    replace(this.hint, quantities[name].hint);
    this.#draw();
    this.#tell();
  }

  #values(module) {
    return module[this.quantity];
  }

  #bounds() {
    const all = this.data.modules.flatMap(module => this.#values(module)).filter(value => value !== null);
    return all.length ? [all.reduce((a, b) => Math.min(a, b)), all.reduce((a, b) => Math.max(a, b))] : [0, 0];
  }

  /* Where the cells are, in CSS pixels. */
  #layout() {
    const {steps, modules} = this.data, width = this.canvas.clientWidth;
    const row = Math.max(ROW.least, Math.min(ROW.most, Math.floor(HEIGHT / modules.length)));
    const left = Math.round(Math.min(260, width * .36));
    return {width, left, row, column: (width - left) / steps.length, height: row * modules.length + AXIS};
  }

  #draw() {
    const {steps, modules} = this.data;
    if (this.element.hidden || !this.canvas.clientWidth || !steps.length)
      return;
    const at = this.layout = this.#layout(), ratio = devicePixelRatio || 1, [low, high] = this.#bounds();
    const context = this.canvas.getContext('2d'), of = scale(), height = Math.round(at.height);
    if (this.canvas.width !== Math.round(at.width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      this.canvas.width = Math.round(at.width * ratio);
      this.canvas.height = Math.round(height * ratio);
      this.canvas.style.height = `${height}px`;
    }
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, at.width, height);
    modules.forEach((module, i) => this.#values(module).forEach((value, k) => {
      const x = Math.floor(at.left + k * at.column), next = Math.floor(at.left + (k + 1) * at.column);
      context.fillStyle = value === null ? colour('sunken') : of(high > low ? (value - low) / (high - low) : 0);
      context.fillRect(x, i * at.row, next - x, at.row - (at.row > 8 ? 1 : 0));
    }));
    this.#names(context, at);
    this.#axis(context, at);
    this.#outline(context, at);
    const unit = quantities[this.quantity].unit;
    replace(this.range, h('span.number', {}, number(low, 3)), h('i.heat-scale', {}),
      h('span.number', {}, `${number(high, 3)} ${unit}`));
  }

  /* Of thin rows every so many. */
  #names(context, at) {
    const every = Math.ceil((FONT + 1) / at.row);
    context.font = `${FONT}px ${getComputedStyle(document.body).fontFamily}`;
    context.fillStyle = colour('soft');
    context.textAlign = 'right';
    context.textBaseline = 'middle';
    this.data.modules.forEach(({name}, i) => {
      if (i % every)
        return;
      context.fillText(fitting(name, context, at.left - GAP), at.left - GAP, (i + .5) * at.row);
    });
  }

  #axis(context, at) {
    const {steps} = this.data, widest = context.measureText(number(steps.at(-1))).width;
    const every = Math.ceil((widest + 2 * GAP) / at.column);
    context.textAlign = 'center';
    for (let k = 0; k < steps.length; k += every)
      context.fillText(number(steps[k]), Math.min(at.width - widest / 2, at.left + (k + .5) * at.column),
        at.height - AXIS / 2 + 2);
  }

  #outline(context, at) {
    if (!this.cell)
      return;
    const [i, k] = this.cell;
    context.strokeStyle = colour('text');
    context.lineWidth = 2;
    context.strokeRect(at.left + k * at.column, i * at.row, Math.max(2, at.column - 1), Math.max(2, at.row - 1));
  }

  /* What the cell says, or which modules turn most at the newest step. */
  #tell() {
    const {steps, modules} = this.data, {label, unit} = quantities[this.quantity];
    if (!modules.length)
      return;
    const last = steps.length - 1;
    if (this.cell) {
      const [i, k] = this.cell, value = this.#values(modules[i])[k];
      replace(this.legend, h('span.wrap', {}, modules[i].name), h('span', {}, `step ${number(steps[k])}`),
        h('b', {}, value === null ? 'no value' : `${number(value)} ${unit}`));
    } else {
      const span = `steps ${number(steps[0])} to ${number(steps[last])}`;
      replace(this.legend, h('span', {}, `${number(modules.length)} modules, ${span}`));
    }
    const most = modules.reduce((a, b) => (this.#values(b)[last] ?? -1) > (this.#values(a)[last] ?? -1) ? b : a);
    this.canvas.setAttribute('aria-label', `${label} of ${modules.length} modules over steps: at step ${steps[last]} ` +
      `the most is ${number(this.#values(most)[last])} of ${most.name}. Arrow keys read modules and steps.`);
  }

  #point(cell) {
    if (String(cell) === String(this.cell))
      return;
    this.cell = cell;
    this.#draw();
    this.#tell();
  }

  #pointed(event) {
    const {steps, modules} = this.data, at = this.layout;
    if (!at)
      return;
    const i = Math.floor(event.offsetY / at.row), k = Math.floor((event.offsetX - at.left) / at.column);
    this.#point(i < modules.length && k >= 0 && k < steps.length ? [i, k] : null);
  }

  #key(event) {
    const {steps, modules} = this.data, last = steps.length - 1, [i, k] = this.cell ?? [-1, last];
    const moves = {
      ArrowUp: [i - 1, k], ArrowDown: [i + 1, k], ArrowLeft: [i, k - 1], ArrowRight: [i, k + 1],
      PageUp: [i - 10, k], PageDown: [i + 10, k], Home: [i, 0], End: [i, last],
    };
    const to = moves[event.key];
    if (!to)
      return;
    event.preventDefault();
    this.legend.setAttribute('aria-live', 'polite');
    this.#point([Math.max(0, Math.min(modules.length - 1, to[0])), Math.max(0, Math.min(last, to[1]))]);
  }
}

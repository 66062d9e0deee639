/* What the jobs of a sweep differ in: methods, and values of fields, each with each. */
import {append, h, replace} from './dom.js';
import {body, field} from './form.js';
import {sectionTitle} from './job_form.js';
import {button, card} from './parts.js';
import {shortPath} from './settings.js';

const ASIDE = ['suffix', 'from_checkpoint', 'evaluation.metric']; /* which are no matter of comparing */

function groupOf(path) {
  const section = path.slice(0, Math.max(0, path.lastIndexOf('.')));
  return path.includes('.hyperparameters.') ? 'Training' : section ? sectionTitle(section) : 'The job';
}
/* Of one value, which people know by its text. */
const varies = ({path, member}) => !ASIDE.includes(path) && !member.labels &&
  ['string', 'integer', 'number', 'boolean'].includes([member.type].flat()[0]);

/* Methods to compare: a box for each, a field in all. */
function methodsField(names, changed) {
  const said = h('p.fault', {role: 'alert', hidden: true});
  const fault = text => {
    said.textContent = text;
    said.hidden = !text;
  };
  const boxes = names.map(name => h('input', {type: 'checkbox', value: name, onchange() {
    fault('');
    changed();
  }}));
  const element = h('fieldset.field', {}, h('legend.label', {}, 'Methods'),
    h('div.row', {}, boxes.map(box => h('label.check', {}, box, box.value))),
    h('p.hint', {}, 'Each is trained at the size at which it has as many parameters as the adapter below.'), said);
  const chosen = () => boxes.filter(box => box.checked).map(box => box.value);
  return {
    path: 'methods', element, input: boxes[0], fault,
    get value() { return chosen().length ? chosen() : undefined; },
  };
}

/* A field that differs, and its values. */
class Row {
  constructor(at, changed, remove) {
    this.changed = changed;
    this.select = h('select', {id: `vary-${at}`, onchange: () => {
      this.draw();
      changed();
    }});
    this.host = h('div', {});
    const pick = h('div.field', {}, h('label', {for: this.select.id}, 'Field'), this.select);
    this.element = h('div.vary', {}, pick, this.host, button('Remove', remove, {'aria-label': 'Remove this field'}));
  }

  get key() {
    return this.select.value;
  }

  /* `taken`: keys of the other rows. */
  offer(fields, taken) {
    const had = this.key, groups = new Map();
    this.fields = new Map(fields.map(one => [shortPath(one.path), one.member]));
    for (const {path, member} of fields) {
      const key = shortPath(path), group = groupOf(path);
      groups.set(group, groups.get(group) ?? h('optgroup', {label: group}));
      append(groups.get(group), [h('option', {value: key, disabled: taken.includes(key)},
        member.title ?? sectionTitle(member.name))]);
    }
    replace(this.select, h('option', {value: ''}, 'Choose…'), [...groups.values()]);
    this.select.value = this.fields.has(had) ? had : '';
    if (this.key !== this.drawn)
      this.draw();
  }

  draw() {
    const member = this.fields.get(this.key), had = this.values?.input.value ?? '';
    const choices = member?.enum ?? (member?.type === 'boolean' ? [true, false] : []);
    this.values = field(`grid.${this.key}`, {
      ...member, name: 'values', title: 'Values', type: 'array', of: member, enum: undefined, default: null, auto: false,
      description: choices.length ? `Of ${choices.join(', ')}` : member ? 'With commas between them' : '',
    }, this.changed);
    this.values.input.value = this.drawn === undefined ? had : '';
    this.values.input.disabled = !member;
    this.drawn = this.key;
    replace(this.host, this.values.element);
  }
}

export class SweepForm {
  constructor(can, changed) {
    const member = name => can.members.find(one => one.name === name);
    this.changed = changed;
    this.most = can.jobs_max;
    this.own = ['name', 'metric'].map(name => field(name, member(name), changed));
    this.methods = methodsField(can.methods, changed);
    this.rows = [];
    this.made = 0;
    this.list = h('div.stack', {});
    this.more = button('Vary another field', () => {
      this.add().select.focus();
      changed();
    });
    this.add();
  }

  add() {
    const row = new Row(this.made++, this.changed, () => {
      this.rows = this.rows.filter(other => other !== row);
      row.element.remove();
      this.more.focus();
      this.changed();
    });
    this.rows.push(row);
    this.list.append(row.element);
    return row;
  }

  /* `fields`: those that the job has now. */
  settle(fields) {
    for (const row of this.rows)
      row.offer(fields.filter(varies), this.rows.filter(other => other !== row).map(other => other.key));
  }

  get chosen() {
    return this.rows.filter(row => row.key && row.values.value);
  }

  get fields() {
    return [...this.own, this.methods, ...this.chosen.map(row => row.values)];
  }

  /* What is sent: of a job's body. */
  body(job) {
    const grid = Object.fromEntries(this.chosen.map(row => [row.key, row.values.value]));
    return {...body([...this.own, this.methods]), job, ...this.chosen.length ? {grid} : {}};
  }

  card() {
    return card(h('h2', {}, 'What differs'),
      h('p.soft.small', {}, `Each value is trained with each of the others: ${this.most} jobs at most.`),
      this.methods.element, this.list, h('div', {}, this.more), h('div.fields', {}, this.own.map(one => one.element)));
  }
}

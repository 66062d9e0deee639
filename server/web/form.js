/* Form fields made from what the server says that a member of a job takes (GET /v1/capabilities): its type, bounds,
   choices, default and words. A field that is left as it is says nothing, and the server's default holds. */
import {h} from './dom.js';

const titles = {
  n_epochs: 'Epochs', r: 'Rank (r)', apply_GS: 'Gram-Schmidt (apply_GS)', lora_alpha: 'LoRA alpha',
  lr_scheduler_type: 'Learning rate schedule', max_seq_length: 'Longest sequence', rpo_alpha: 'RPO alpha',
};
export const title = name => titles[name] ?? (name[0].toUpperCase() + name.slice(1)).replaceAll('_', ' ');

const typesOf = member => [member.type].flat();
const same = (a, b) => JSON.stringify(a ?? null) === JSON.stringify(b ?? null);

/* ---- texts and values ---- */

/* What is no number stays text: the server says what is wrong with it. */
const readNumber = text => Number.isNaN(Number(text)) ? text : Number(text);
const isNumeric = member => ['integer', 'number'].some(type => typesOf(member).includes(type));

/* One value of a member. */
function readOne(text, member) {
  const choices = member.enum ?? (typesOf(member).includes('boolean') ? [true, false] : []);
  return choices.find(choice => String(choice) === text) ?? (isNumeric(member) ? readNumber(text) : text);
}

/* "a, b" -> ["a", "b"], or what such items are read as (`of`: a member); what may also be one text, and is no list of
   plain names, stays one. */
function readList(text, member) {
  if (typesOf(member).includes('string') && (text === 'all-linear' || /[\\*()[\]|^$+?]/.test(text)))
    return text;
  const items = text.split(',').map(item => item.trim()).filter(Boolean);
  return items.map(item => readOne(item, member.of ?? {type: member.items}));
}

/* "a=1, b=2" -> {a: 1, b: 2} */
function readMap(text, member) {
  const pair = item => {
    const at = item.lastIndexOf('='), value = item.slice(at + 1).trim();
    return at < 1 ? [item, ''] : [item.slice(0, at).trim(), member.values ? Number(value) : value];
  };
  return Object.fromEntries(text.split(',').map(item => item.trim()).filter(Boolean).map(pair));
}

function textOf(value) {
  if (value === null || value === undefined)
    return '';
  if (Array.isArray(value))
    return value.join(', ');
  return typeof value === 'object' ? Object.entries(value).map(pair => pair.join('=')).join(', ') : String(value);
}

function bounds(member) {
  const above = member.exclusiveMinimum !== undefined, low = member.minimum ?? member.exclusiveMinimum;
  if (low === undefined)
    return '';
  if (member.maximum !== undefined && member.maximum < 1e9)
    return `${above ? 'more than ' : ''}${low} to ${member.maximum}`;
  return low === 0 ? '' : `${above ? 'more than' : 'at least'} ${low}`;
}

/* ---- a field ---- */

/* Each answers {input, get (undefined: as it is), set}. */
function choiceInput(member, props) {
  const choices = member.enum.map(String), initial = member.required ? '' : textOf(member.default);
  const option = (choice, i) => {
    const label = member.labels?.[i] ?? choice, usual = choice === initial;
    return h('option', {value: choice, selected: usual}, usual ? `${label} (default)` : label);
  };
  const input = h('select', {...props, onchange: props.oninput},
    member.required && h('option', {value: ''}, 'Choose…'), choices.map(option));
  return {
    input,
    get: () => input.value === initial ? undefined : member.enum[choices.indexOf(input.value)],
    set: value => { input.value = textOf(value ?? member.default); },
  };
}

function checkInput(member, props) {
  const initial = member.default === true, input = h('input', {...props, type: 'checkbox', checked: initial});
  return {
    input,
    get: () => input.checked === initial ? undefined : input.checked,
    set: value => { input.checked = value ?? initial; },
  };
}

function placeholder(member, types) {
  if (member.auto)
    return 'auto';
  const usual = types.includes('array') ? 'a, b' : types.includes('object') ? 'name=value' : 'none';
  return textOf(member.default) || (member.required ? '' : usual);
}

function textInput(member, props) {
  const types = typesOf(member), numeric = isNumeric(member);
  const read = numeric ? readNumber : types.includes('array') ? readList : types.includes('object') ? readMap : String;
  const input = h('input', {
    ...props, type: 'text', autocomplete: 'off', spellcheck: 'false', required: member.required,
    inputmode: numeric ? 'decimal' : null, list: member.suggest ?? null, placeholder: placeholder(member, types),
  });
  return {
    input,
    get() {
      const text = input.value.trim(), value = read(text, member);
      return text === '' || same(value, member.default) ? undefined : value;
    },
    set: value => { input.value = same(value, member.default) ? '' : textOf(value); },
  };
}

/* {path, member, element, input, value, set(value), fault(text)} */
export function field(path, member, changed) {
  const id = `field-${path}`, ticked = typesOf(member).includes('boolean') && !member.enum;
  const said = h('p.fault', {id: `${id}-fault`, role: 'alert', hidden: true});
  const fault = text => {
    said.textContent = text;
    said.hidden = !text;
    input.setAttribute('aria-invalid', String(Boolean(text)));
  };
  const oninput = () => {
    fault('');
    changed();
  };
  const make = member.enum ? choiceInput : ticked ? checkInput : textInput;
  const {input, get, set} = make(member, {id, 'aria-describedby': `${id}-hint ${id}-fault`, oninput});
  const words = [member.description, bounds(member), member.unit && `in ${member.unit}`].filter(Boolean).join(' · ');
  const label = member.title ?? title(member.name), hint = h('p.hint', {id: `${id}-hint`}, words);
  const element = h('div.field', {},
    ticked ? h('label.check', {for: id}, input, label) : [h('label', {for: id}, label), input], hint, said);
  return {path, member, element, input, get value() { return get(); }, set, fault};
}

/* The fields of a table of members: those named in `first` (all, where it is left out) are shown, the others are behind
   a line that opens them. */
export function fieldGroup(prefix, members, changed, {first = null, more = 'More'} = {}) {
  const fields = members.map(member => field(prefix ? `${prefix}.${member.name}` : member.name, member, changed));
  const leads = i => !first || first.includes(members[i].name);
  const rank = one => first ? first.indexOf(members[fields.indexOf(one)].name) : 0;
  const front = fields.filter((one, i) => leads(i)).sort((a, b) => rank(a) - rank(b)).map(one => one.element);
  const rest = fields.filter((one, i) => !leads(i)).map(one => one.element);
  const element = h('div.stack', {},
    front.length > 0 && h('div.fields', {}, front),
    rest.length > 0 && h('details', {}, h('summary', {}, more), h('div.fields', {}, rest)));
  return {fields, element};
}

/* ---- all of them ---- */

/* {a: {b: value}} of the fields that say something. */
export function body(fields) {
  const out = {};
  for (const {path, value} of fields) {
    const names = path.split('.');
    let at = out;
    for (const name of value === undefined ? [] : names.slice(0, -1))
      at = at[name] ??= {};
    if (value !== undefined)
      at[names.at(-1)] = value;
  }
  return out;
}

export const valueAt = (object, path) => path.split('.').reduce((at, name) => at?.[name], object);

/* "adapter.r", "r", "adapter.r[0]" and "adapter.r.x" are about the field adapter.r. */
const isAbout = (param, path) =>
  param === path || path.endsWith(`.${param}`) || param.startsWith(`${path}.`) || param.startsWith(`${path}[`);

/* Shows each fault at the field that it names, and takes the keyboard to the first; answers those that name none. */
export function showFaults(fields, faults, focus) {
  const left = [];
  let first = null;
  fields.forEach(one => one.fault(''));
  for (const fault of faults) {
    const at = fault.param && (fields.find(one => one.path === fault.param) ??
      fields.find(one => isAbout(fault.param, one.path)));
    if (at)
      at.fault(fault.message);
    else
      left.push(fault);
    first ??= at || null;
  }
  if (focus && first) {
    first.element.closest('details')?.setAttribute('open', '');
    first.input.focus();
  }
  return left;
}

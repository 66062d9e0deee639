/* Form fields made from what the server says that a member of a job takes (GET /v1/capabilities): its type, bounds,
   choices, default and words. A field that is left as it is says nothing, and the server's default holds. */
import {h} from './dom.js';

const titles = {n_epochs: 'Epochs', r: 'Rank (r)', apply_GS: 'Gram-Schmidt (apply_GS)', lora_alpha: 'LoRA alpha', lr_scheduler_type: 'Learning rate schedule',
  suffix: 'Name', max_seq_length: 'Longest sequence'};
export const title = name => titles[name] ?? (name[0].toUpperCase() + name.slice(1)).replaceAll('_', ' ');

const types = member => [member.type].flat();
const same = (a, b) => JSON.stringify(a ?? null) === JSON.stringify(b ?? null);

/* "a, b" -> ["a", "b"]; what may also be one text, and has no comma or is none of plain names, stays one. */
function readList(text, member) {
  const one = text.trim();
  if (types(member).includes('string') && (one === 'all-linear' || /[\\*()[\]|^$+?]/.test(one)))
    return one;
  const items = one.split(',').map(item => item.trim()).filter(Boolean);
  return member.items === 'integer' ? items.map(Number) : items;
}

/* "a=1, b=2" -> {a: 1, b: 2} */
function readMap(text, member) {
  const numbers = Boolean(member.values);
  return Object.fromEntries(text.split(',').map(pair => pair.trim()).filter(Boolean).map(pair => {
    const at = pair.lastIndexOf('='), value = pair.slice(at + 1).trim();
    return at < 1 ? [pair, ''] : [pair.slice(0, at).trim(), numbers ? Number(value) : value];
  }));
}

const shown = value => value === null || value === undefined ? '' : Array.isArray(value) ? value.join(', ') :
  typeof value === 'object' ? Object.entries(value).map(([name, item]) => `${name}=${item}`).join(', ') : String(value);

function boundsText(member) {
  const low = member.minimum ?? member.exclusiveMinimum, high = member.maximum, above = member.exclusiveMinimum !== undefined;
  if (low !== undefined && high !== undefined && Math.abs(high) < 1e9)
    return `${above ? 'more than ' : ''}${low} to ${high}`;
  return low !== undefined && low !== 0 ? `${above ? 'more than' : 'at least'} ${low}` : '';
}

/* A field: {element, name, get value() (undefined: as it is), set(value), fault(text)}. */
export function field(path, member, changed) {
  const id = `field-${path}`, kinds = types(member), hint = `${id}-hint`;
  const fault = h('p.fault', {id: `${id}-fault`, role: 'alert', hidden: true});
  const common = {id, 'aria-describedby': `${hint} ${id}-fault`, oninput: () => {
    tell('');
    changed();
  }};
  const tell = text => {
    fault.textContent = text;
    fault.hidden = !text;
    input.setAttribute('aria-invalid', String(Boolean(text)));
  };
  let input, get, set;
  if (member.enum) {
    const choices = member.enum.map(String), initial = member.required ? '' : shown(member.default);
    input = h('select', {...common, onchange: common.oninput}, member.required && h('option', {value: ''}, 'Choose…'),
      choices.map((choice, i) => h('option', {value: choice, selected: choice === initial}, choice === initial ? `${member.labels?.[i] ?? choice} (default)` : member.labels?.[i] ?? choice)));
    get = () => input.value === initial ? undefined : member.enum[choices.indexOf(input.value)];
    set = value => { input.value = shown(value ?? member.default); };
  } else if (kinds.includes('boolean')) {
    input = h('input', {...common, type: 'checkbox', checked: member.default === true});
    get = () => input.checked === (member.default === true) ? undefined : input.checked;
    set = value => { input.checked = (value ?? member.default) === true; };
  } else {
    const numeric = kinds.includes('integer') || kinds.includes('number');
    input = h('input', {...common, type: 'text', inputmode: numeric ? 'decimal' : null, list: member.suggest ?? null, autocomplete: 'off', spellcheck: 'false', required: member.required,
      placeholder: member.auto ? 'auto' : shown(member.default) || (kinds.includes('array') ? 'a, b' : kinds.includes('object') ? 'name=value' : member.required ? '' : 'none')});
    get = () => {
      const text = input.value.trim();
      if (text === '')
        return undefined;
      const value = numeric ? (Number.isNaN(Number(text)) ? text : Number(text)) : kinds.includes('array') ? readList(text, member) :
        kinds.includes('object') ? readMap(text, member) : text;
      return same(value, member.default) ? undefined : value;
    };
    set = value => { input.value = same(value, member.default) ? '' : shown(value); };
  }
  const words = [member.description, boundsText(member), member.unit && `in ${member.unit}`].filter(Boolean).join(' · ');
  const label = member.title ?? title(member.name);
  const element = kinds.includes('boolean') && !member.enum ?
    h('div.field', {}, h('label.check', {for: id}, input, label), h('p.hint', {id: hint}, words), fault) :
    h('div.field', {}, h('label', {for: id}, label), input, h('p.hint', {id: hint}, words), fault);
  return {path, element, get value() { return get(); }, set, fault: tell, input};
}

/* Fields of a table of members, of which `first` are shown and the others are behind a line that opens them. */
export function fieldGroup(prefix, members, changed, {first = null, more = 'More'} = {}) {
  const fields = members.map(member => field(prefix ? `${prefix}.${member.name}` : member.name, member, changed));
  const names = members.map(member => member.name), leading = first ? first.filter(name => names.includes(name)) : names;
  const front = leading.map(name => fields[names.indexOf(name)].element);
  const rest = fields.filter((one, i) => !leading.includes(names[i])).map(one => one.element);
  const element = h('div.stack', {}, front.length > 0 && h('div.fields', {}, front), rest.length > 0 && h('details', {}, h('summary', {}, more), h('div.fields', {}, rest)));
  return {fields, element};
}

/* {a: {b: value}} of the fields that say something. */
export function body(fields) {
  const out = {};
  for (const {path, value} of fields) {
    if (value === undefined)
      continue;
    const names = path.split('.');
    let at = out;
    for (const name of names.slice(0, -1))
      at = at[name] ??= {};
    at[names.at(-1)] = value;
  }
  return out;
}

export const valueAt = (object, path) => path.split('.').reduce((at, name) => at?.[name], object);

/* Shows each fault at the field that it names; answers those that name none. */
export function showFaults(fields, faults) {
  const left = [];
  let first = null;
  fields.forEach(one => one.fault(''));
  for (const fault of faults) {
    const param = fault.param ?? '';
    const at = fields.find(one => one.path === param) ?? fields.find(one => param && (one.path.endsWith(`.${param}`) || param.startsWith(`${one.path}.`) || param.startsWith(`${one.path}[`)));
    if (at) {
      at.fault(fault.message);
      at.element.closest('details')?.setAttribute('open', '');
      first ??= at;
    } else {
      left.push(fault);
    }
  }
  first?.input.focus();
  return left;
}

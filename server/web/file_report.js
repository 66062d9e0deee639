/* What a closer look at a file finds: labels, lengths, texts that come again, lines that no job can use. */
import * as api from './api.js';
import {h, replace} from './dom.js';
import {bytes, number} from './format.js';
import {card, facts} from './parts.js';

const FOUND_MAX = 100;

function bars(title, note, pairs) {
  const most = Math.max(1, ...pairs.map(([, count]) => count));
  const bar = ([name, count]) => h('div.bar', {}, h('span.wrap', {}, name),
    h('progress', {max: most, value: count, 'aria-label': `${name}: ${count}`}), h('span.number', {}, number(count)));
  return card(h('h2', {}, title), note && h('p.soft.small', {}, note), h('div.bars', {}, pairs.map(bar)));
}

const place = ({line, column}) =>
  [line && `line ${number(line)}`, column && `column ${number(column)}`].filter(Boolean).join(', ');

function faults(title, kind, list, count) {
  if (!list?.length)
    return null;
  const fault = one => h(`div.callout.${kind}`, {},
    place(one) && h('strong', {}, place(one)), h('span', {}, one.message));
  return card(h('h2', {}, `${title} · ${number(count)}`), list.slice(0, FOUND_MAX).map(fault));
}

function again(title, note, places) {
  if (!places?.count)
    return null;
  const pair = ({line, other_line: other}) =>
    h('li', {}, h('span', {}, `line ${number(line)}`), h('span', {}, `as line ${number(other)}`));
  return card(h('h2', {}, `${title} · ${number(places.count)}`), h('p.soft.small', {}, note),
    h('ul.events.small', {}, places.first.slice(0, FOUND_MAX).map(pair)));
}

function lengths(tokens) {
  const {longer, max_seq_length: most} = tokens;
  const cut = longer && `${number(longer)} have more than ${number(most)} and are cut. `;
  const note = `${cut || ''}Half have up to ${number(tokens.p50)} tokens, 95 % up to ${number(tokens.p95)}, ` +
    `the longest ${number(tokens.max)}; ${number(tokens.total)} in all.`;
  return bars('Tokens of an example', note,
    tokens.histogram.map(({from, to, count}) => [to - from > 1 ? `${from} to ${to - 1}` : `${from}`, count]));
}

function draw(report) {
  const labels = (report.label_counts ?? []).slice(0, FOUND_MAX).map(({label, count}) => [label, count]);
  const texts = report.text_bytes;
  return [
    card(facts([
      ['Format', report.format],
      ['Kind', report.kind],
      ['Lines', report.lines && number(report.lines)],
      ['Examples', number(report.examples)],
      ['Size', bytes(report.bytes)],
      ['Columns', report.columns?.join(', ')],
      ['Labels', report.label_count > 0 && number(report.label_count)],
      ['Length of texts', texts && `${number(texts.min)} to ${number(texts.max)} bytes`],
    ])),
    faults('Lines that cannot be used', 'bad', report.errors, report.error_count),
    faults('Warnings', 'warn', report.warnings, report.warning_count),
    again('The same text with another label', 'A model cannot learn both.', report.conflicts),
    again('In both files', 'What is measured on a text that was learnt says little.', report.overlap),
    again('Texts that come again', 'They count as often as they are there.', report.duplicates),
    report.tokens && lengths(report.tokens),
    report.tokens_error && h('div.callout.warn', {}, report.tokens_error),
    labels.length > 0 && bars('Labels', null, labels),
  ];
}

function choice(name, label, options, changed) {
  const id = `look-${name}`;
  const select = h('select', {id, onchange: changed}, h('option', {value: ''}, '–'),
    options.map(([value, text]) => h('option', {value}, text)));
  return {name, select, element: h('div.field', {}, h('label', {for: id}, label), select)};
}

/* The report of a file, and what it is asked with: a model, the column of the label, a file to compare with. */
export async function fileReport(file, signal) {
  const [models, files] = await Promise.all([
    api.list('v1/models', {signal}), api.list('v1/files?purpose=fine-tune', {signal, most: 500}),
  ]);
  const columns = file.validation?.columns ?? [], found = h('div.stack', {'aria-live': 'polite'});
  let last = '';
  const look = async () => {
    const query = new URLSearchParams(choices.filter(one => one.select.value).map(one => [one.name, one.select.value]));
    const path = `v1/files/${encodeURIComponent(file.id)}/validation?${query}`;
    last = path;
    replace(found, h('p.soft', {}, 'The file is read…'));
    let shown;
    try {
      shown = draw(await api.get(path, signal));
    } catch (error) {
      if (error.name === 'AbortError')
        return;
      shown = h('div.callout.bad', {}, error.message);
    }
    if (last === path)
      replace(found, shown);
  };
  const others = files.filter(one => one.id !== file.id && one.status === 'processed');
  const bases = models.filter(one => one.usable && one.owned_by !== 'user');
  const named = one => `${one.filename} · ${one.id.slice(-6)}`;
  const choices = [
    choice('label', 'Column of the label', columns.map(name => [name, name]), look),
    choice('model', 'Tokens of the model', bases.map(one => [one.id, one.id]), look),
    choice('against', 'Compared with', others.map(one => [one.id, named(one)]), look),
  ];
  if (columns.includes('label'))
    choices[0].select.value = 'label';
  look();
  return [card(h('div.fields', {}, choices.map(one => one.element))), found];
}

/* The page of the API: openapi.json for people. */
import {append, h} from './dom.js';

const called = reference => reference.split('/').at(-1);

/* "integer 1..256", "one of a, b", "File", "list of File or null" */
function kind(schema) {
  if (schema.$ref)
    return h('a', {href: '#' + called(schema.$ref)}, called(schema.$ref));
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices)
    return choices.flatMap((choice, i) => i ? [' or ', kind(choice)] : [kind(choice)]);
  if ('const' in schema)
    return h('code', null, JSON.stringify(schema.const));
  if (schema.enum)
    return ['one of ', schema.enum.map((value, i) => [i ? ', ' : '', h('code', null, JSON.stringify(value))])];
  const types = [schema.type ?? 'anything'].flat();
  const low = schema.minimum ?? schema.exclusiveMinimum, high = schema.maximum;
  return [types.join(' or '), schema.items ? [' of ', kind(schema.items)] : null,
    low === undefined && high === undefined ? null : ` ${schema.exclusiveMinimum === undefined ? '' : 'above '}${low ?? ''}..${high ?? ''}`,
    schema.pattern ? [' like ', h('code', null, schema.pattern)] : null];
}

/* The members of an object, those of objects in it as path.name. */
function rows(schema, path = '') {
  const required = schema.required ?? [];
  return Object.entries(schema.properties ?? {}).flatMap(([name, member]) => [
    h('tr', null, h('td', null, h('code', null, path + name), required.includes(name) && !path ? ' (required)' : null),
      h('td', null, kind(member), 'default' in member && member.default !== null ? [', default ', h('code', null, JSON.stringify(member.default))] : null),
      h('td', null, member.description ?? '')),
    ...rows(member, path + name + '.'),
    ...(member.oneOf ?? []).flatMap(one => rows(one, path + name + '.'))]);
}

function table(schema) {
  return h('table.members', null, h('thead', null, h('tr', null, ['Member', 'Takes', 'Meaning'].map(text => h('th', {scope: 'col'}, text)))),
    h('tbody', null, rows(schema)));
}

function parameters(list) {
  return table({required: list.filter(one => one.required).map(one => one.name), properties: Object.fromEntries(list.map(one =>
    [one.name, {...one.schema, description: [`In the ${one.in}.`, one.description].filter(Boolean).join(' ')}]))});
}

function body(title, content) {
  return Object.entries(content ?? {}).map(([type, {schema}]) => [h('h3', null, `${title}, ${type}`),
    schema.properties ? table(schema) : h('p', null, kind(schema))]);
}

function operation(path, verb, one) {
  const needs = one.security.flatMap(way => Object.values(way).flat());
  const failures = Object.keys(one.responses).filter(code => !['200', 'default'].includes(code));
  return h('details.operation', {id: one.operationId},
    h('summary', null, h('span.verb', null, verb.toUpperCase()), h('code', null, path), ' ', one.summary),
    h('p', null, needs.length ? `Needs a key with the scope ${needs.join(', ')}, where the server has keys.` : 'Needs no key.'),
    one.parameters.length ? [h('h3', null, 'Parameters'), parameters(one.parameters)] : null,
    body('Body', one.requestBody?.content), body('Answer', one.responses['200'].content),
    h('h3', null, 'Failures'), h('p', null, failures.join(', '), ': ', h('a', {href: '#Error'}, 'Error')));
}

function show(api) {
  const operations = Object.entries(api.paths).flatMap(([path, verbs]) =>
    Object.entries(verbs).map(([verb, one]) => operation(path, verb, one)));
  const schemas = Object.entries(api.components.schemas).map(([name, schema]) =>
    h('details.schema', {id: name}, h('summary', null, h('code', null, name)),
      schema.properties ? table(schema) : h('p', null, kind(schema))));
  append(document.getElementById('main'), [h('p', null, `reflectd ${api.info.version}`), h('h2', null, 'Operations'), operations,
    h('h2', null, 'Schemas'), schemas]);
}

/* What a link leads to is open. */
function open() {
  const target = document.getElementById(location.hash.slice(1));
  if (target instanceof HTMLDetailsElement)
    target.open = true;
  target?.scrollIntoView();
}

try {
  const answer = await fetch('openapi.json');
  if (!answer.ok)
    throw new Error(`openapi.json: ${answer.status}`);
  show(await answer.json());
  addEventListener('hashchange', open);
  open();
} catch (error) {
  append(document.getElementById('main'), [h('p', {role: 'alert'}, `openapi.json cannot be shown: ${error.message}`)]);
}

/* A form for a job, made from what the server can do, with an estimate of what the job will take beside it. */
import * as api from './api.js';
import {h, notify, replace} from './dom.js';
import {estimatePanel} from './estimate.js';
import {bytes, number} from './format.js';
import {body, field, fieldGroup, showFaults, title, valueAt} from './form.js';
import {jobLink, jobPath} from './job_parts.js';
import {uploader} from './uploader.js';

const HYPER = 'method.supervised.hyperparameters';
const leading = {
  [HYPER]: ['n_epochs', 'batch_size', 'learning_rate', 'max_seq_length'],
  adapter: ['r', 'lora_alpha', 'oft_block_size', 'boft_block_size', 'target_modules'],
};
const plainColumns = ['text', 'label'];
const sectionTitles = {dataset: 'Other columns, chat template', embedding: 'Embeddings', evaluation: 'Evaluation', checkpointing: 'Checkpoints', early_stopping: 'Early stopping',
  scheduling: 'Scheduling'};

const fileLabel = file => `${file.filename} · ${file.validation?.examples ? `${number(file.validation.examples)} examples` : bytes(file.bytes)} · ${file.id.slice(-6)}`;

/* The choice of a file of examples. */
function fileField(name, files, required, changed) {
  const good = files.filter(file => file.status === 'processed' && file.validation?.examples);
  return field(name, {name, type: 'string', required, default: '', enum: required ? good.map(file => file.id) : ['', ...good.map(file => file.id)],
    labels: required ? good.map(fileLabel) : ['none', ...good.map(fileLabel)],
    description: required ? 'What it learns from.' : 'What it is measured by while it learns.'}, changed);
}

function nothingToTrain(can) {
  return h('section.card.empty', {}, h('h2', {}, 'There is no base model that can be trained'),
    h('p', {}, can.models.length ? 'The server cannot use those that are there; under Models it says why.' : 'Put one into the folder that the daemon was started with (--models).'),
    h('a.button', {href: '#/models'}, 'Models'));
}

export async function showNew(root, query, signal) {
  const [can, files, from] = await Promise.all([api.get('v1/capabilities', signal), api.list('v1/files?purpose=fine-tune', {signal, most: 1000}),
    query.get('from') ? api.get(jobPath(query.get('from')), signal) : null]);
  const models = can.models.filter(model => model.usable !== false);
  if (!models.length) {
    replace(root, h('h1', {}, 'New job'), nothingToTrain(can));
    return;
  }
  const section = path => can.job.find(one => one.path === path)?.members ?? [];
  const top = section(''), member = name => top.find(one => one.name === name);
  const estimate = estimatePanel(signal);
  const changed = () => {
    drawTask();
    drawColumns();
    estimate.ask(document_());
  };

  /* ---- the fields ---- */
  const model = field('model', {...member('model'), name: 'model', type: 'string', required: true, enum: models.map(one => one.id), description: 'The base model, which stays as it is.'}, changed);
  let training = fileField('training_file', files, true, changed), validation = fileField('validation_file', files, false, changed);
  const fileFields = h('div.fields', {});
  const drawFiles = () => replace(fileFields, model.element, training.element, validation.element);
  const taskHost = h('div.field', {}), groups = [];
  let task = null, taskModel = null;
  const drawTask = () => {
    const chosen = models.find(one => one.id === model.input.value);
    if (chosen === taskModel && task)
      return;
    taskModel = chosen;
    const before = task?.value, names = ['auto', ...(chosen?.tasks ?? can.tasks.map(one => one.name))];
    task = field('task', {...member('task'), enum: names, default: 'auto'}, changed);
    task.set(names.includes(before) ? before : 'auto');
    replace(taskHost, task.element);
  };
  const name = field('suffix', {...member('suffix'), title: 'Name'}, changed);
  const method = field('adapter.peft_type', {name: 'peft_type', title: 'Adapter', type: 'string', enum: can.methods.map(one => one.peft_type), default: 'HRA',
    labels: can.methods.map(one => one.name && one.name.toUpperCase() !== one.peft_type ? `${one.peft_type} (${one.name})` : one.peft_type), description: 'How the model is adapted.'}, () => {
    drawMethod();
    changed();
  });
  const methodHost = h('div', {});
  let adapter = null;
  const drawMethod = () => {
    const chosen = can.methods.find(one => one.peft_type === method.input.value);
    adapter = fieldGroup('adapter', chosen.members.filter(one => one.name !== 'peft_type'), changed, {first: leading.adapter, more: `More of ${chosen.peft_type}`});
    adapter.element.querySelector('.fields').prepend(method.element);
    replace(methodHost, adapter.element);
  };
  const hyper = fieldGroup(HYPER, section(HYPER), changed, {first: leading[HYPER], more: 'More of the training'});
  const suggestions = h('datalist', {id: 'columns'});
  const columns = fieldGroup('dataset', section('dataset').filter(one => plainColumns.includes(one.name)).map(one => ({...one, suggest: 'columns'})), changed);
  const plain = h('div', {}, columns.element, suggestions);
  for (const {path, members} of can.job)
    if (path && path !== HYPER)
      groups.push({path, ...fieldGroup(path, path === 'dataset' ? members.filter(one => !plainColumns.includes(one.name)) : members, changed)});
  const done = new Set(['model', 'training_file', 'validation_file', 'task', 'suffix']);
  const others = fieldGroup('', top.filter(one => !done.has(one.name)), changed);
  const all = () => [model, training, validation, task, name, method, ...adapter.fields, ...hyper.fields, ...columns.fields, ...groups.flatMap(one => one.fields), ...others.fields];
  const document_ = () => {
    const out = body(all());
    if (out.method)
      out.method.type = 'supervised';
    if (out.adapter)
      out.adapter.peft_type ??= method.input.value;
    return out;
  };

  /* Which columns have the text and the label is asked of tables alone; other data say it themselves. */
  const drawColumns = () => {
    const names = files.find(file => file.id === training.input.value)?.validation?.columns ?? [];
    plain.hidden = names.length === 0;
    replace(suggestions, names.map(one => h('option', {value: one})));
  };

  /* ---- what is known before ---- */
  const fill = job => {
    model.set(job.model);
    drawTask();
    method.set(job.adapter?.peft_type);
    drawMethod();
    for (const one of all())
      if (one !== model && one !== method && valueAt(job, one.path) !== undefined)
        one.set(valueAt(job, one.path));
  };
  drawMethod();
  if (from)
    fill(from);
  else if (models.length === 1)
    model.set(models[0].id);
  if (query.get('model'))
    model.set(query.get('model'));
  if (query.get('file'))
    training.set(query.get('file'));
  drawTask();
  drawFiles();

  /* ---- the form ---- */
  const faults = h('div', {'aria-live': 'assertive'});
  const uploaded = file => {
    if (file.status !== 'processed')
      return;
    files.unshift(file);
    const had = [training.input.value, validation.input.value];
    training = fileField('training_file', files, true, changed);
    validation = fileField('validation_file', files, false, changed);
    training.set(had[0] || file.id);
    validation.set(had[1]);
    drawFiles();
    changed();
  };
  const submit = async event => {
    event.preventDefault();
    button.disabled = true;
    try {
      const job = await api.post('v1/fine_tuning/jobs', document_());
      notify('The job is accepted.');
      location.hash = jobLink(job.id);
    } catch (error) {
      const left = showFaults(all(), error.details ?? [error]);
      replace(faults, left.length ? h('div.callout.bad', {}, left.map(one => h('span', {}, one.param ? `${one.param}: ${one.message}` : one.message))) : null);
    } finally {
      button.disabled = false;
    }
  };
  const button = h('button.button.primary', {}, 'Start the job');
  replace(root, h('h1', {}, from ? 'Run again with changes' : 'New job'),
    h('form.two', {onsubmit: submit, novalidate: true},
      h('div.stack', {},
        h('section.card.stack', {}, h('h2', {}, 'Model and data'), fileFields,
          h('details', {open: files.every(file => file.status !== 'processed')}, h('summary', {}, 'Upload a file'), uploader(uploaded, signal)),
          plain, h('div.fields', {}, taskHost, name.element)),
        h('section.card.stack', {}, h('h2', {}, 'Method'), methodHost),
        h('section.card.stack', {}, h('h2', {}, 'Training'), hyper.element),
        h('section.card.stack', {}, h('h2', {}, 'Everything else'), h('p.soft.small', {}, 'All of it has a default that will do.'),
          groups.map(({path, element}) => h('details', {}, h('summary', {}, sectionTitles[path] ?? title(path)), element)),
          h('details', {}, h('summary', {}, 'Seed, exports, notes'), others.element))),
      h('aside.stack.side', {}, h('section.card.stack', {}, h('h2', {}, 'Estimate'), estimate.element, faults, button))));
  changed();
}

/* A form for a job, made from what the server can do, with an estimate of what the job will take beside it. */
import * as api from './api.js';
import {h, notify, replace} from './dom.js';
import {estimatePanel} from './estimate.js';
import {bytes, number} from './format.js';
import {body, field, fieldGroup, showFaults, title, valueAt} from './form.js';
import {jobLink, jobPath} from './job_parts.js';
import {card, empty} from './parts.js';
import {uploader} from './uploader.js';
import {trains} from './view_files.js';

const HYPER = 'method.supervised.hyperparameters';
/* What is shown at once; the other members are behind a line. */
const leading = {
  [HYPER]: ['n_epochs', 'batch_size', 'learning_rate', 'max_seq_length'],
  adapter: ['r', 'lora_alpha', 'oft_block_size', 'boft_block_size', 'target_modules'],
  dataset: ['text', 'label'],
};
const ownFields = ['model', 'training_file', 'validation_file', 'task', 'suffix'];
const sectionTitles = {
  dataset: 'Other columns, chat template', embedding: 'Embeddings', evaluation: 'Evaluation',
  'evaluation.generate': 'Evaluation by answers',
  checkpointing: 'Checkpoints', early_stopping: 'Early stopping', scheduling: 'Scheduling',
};

function fileField(name, files, required, changed) {
  const good = files.filter(trains), description = required ? 'What it learns from.' : 'What it is measured by.';
  const label = file => `${file.filename} · ${number(file.validation.examples)} examples, ${bytes(file.bytes)}`;
  const none = required ? [] : ['none'];
  return field(name, {
    name, description, required, type: 'string', default: '',
    enum: [...none.map(() => ''), ...good.map(file => file.id)], labels: [...none, ...good.map(label)],
  }, changed);
}

/* All fields of a job, and which of them there are: that depends on the model, the method and the files. */
class JobForm {
  constructor(can, files, changed) {
    this.can = can;
    this.files = files;
    this.changed = () => {
      this.settle();
      changed();
    };
    this.models = can.models.filter(model => model.usable !== false);
    const top = this.section('');
    this.member = name => top.find(one => one.name === name);
    this.hosts = {files: h('div.fields', {}), task: h('div', {}), method: h('div', {})};
    this.lists = {columns: h('datalist', {id: 'columns'}), modules: h('datalist', {id: 'modules'})};
    this.model = field('model', {...this.member('model'), enum: this.models.map(one => one.id),
      description: 'The base model, which stays as it is.'}, this.changed);
    this.suffix = field('suffix', this.member('suffix'), this.changed);
    this.method = field('adapter.peft_type', {
      name: 'peft_type', title: 'Adapter', type: 'string', enum: can.methods.map(one => one.peft_type), default: 'HRA',
      description: 'How the model is adapted.',
    }, () => {
      this.drawMethod();
      this.changed();
    });
    this.groups = Object.fromEntries(can.job.filter(one => one.path && one.path !== HYPER && one.path !== 'dataset')
      .map(one => [one.path, fieldGroup(one.path, one.members, this.changed)]));
    this.hyper = fieldGroup(HYPER, this.section(HYPER), this.changed,
      {first: leading[HYPER], more: 'More of the training'});
    const isPlain = one => leading.dataset.includes(one.name), columns = this.section('dataset');
    const plain = columns.filter(isPlain).map(one => ({...one, suggest: 'columns'}));
    this.plain = fieldGroup('dataset', plain, this.changed);
    this.groups.dataset = fieldGroup('dataset', columns.filter(one => !isPlain(one)), this.changed);
    this.rest = fieldGroup('', top.filter(one => !ownFields.includes(one.name)), this.changed);
    this.drawFiles();
    this.drawMethod();
    this.settle();
  }

  section(path) {
    return this.can.job.find(one => one.path === path)?.members ?? [];
  }

  get fields() {
    const groups = [this.adapter, this.hyper, this.plain, ...Object.values(this.groups), this.rest];
    const own = [this.model, this.training, this.validation, this.task, this.suffix, this.method];
    return [...own, ...groups.flatMap(group => group.fields)];
  }

  /* What is sent. */
  get job() {
    const out = body(this.fields);
    if (out.method)
      out.method.type = 'supervised';
    if (out.adapter)
      out.adapter.peft_type ??= this.method.input.value;
    return out;
  }

  /* As that job, whose file may be gone. */
  fill(job) {
    this.model.set(job.model);
    this.method.set(job.adapter?.peft_type);
    this.drawMethod();
    this.settle();
    for (const one of this.fields)
      if (one !== this.model && one !== this.method && valueAt(job, one.path) !== undefined)
        one.set(valueAt(job, one.path));
  }

  drawFiles() {
    const had = [this.training?.input.value, this.validation?.input.value];
    this.training = fileField('training_file', this.files, true, this.changed);
    this.validation = fileField('validation_file', this.files, false, this.changed);
    this.training.set(had[0] ?? '');
    this.validation.set(had[1] ?? '');
    replace(this.hosts.files, this.model.element, this.training.element, this.validation.element);
  }

  drawMethod() {
    const chosen = this.can.methods.find(one => one.peft_type === this.method.input.value);
    const members = chosen.members.map(one => one.name === 'target_modules' ? {...one, suggest: 'modules'} : one);
    this.adapter = fieldGroup('adapter', members, this.changed,
      {first: leading.adapter, more: `More of ${chosen.peft_type}`});
    this.adapter.element.querySelector('.fields').prepend(this.method.element);
    replace(this.hosts.method, this.adapter.element);
  }

  /* The tasks of a model, its modules, the columns of a file. */
  settle() {
    const model = this.models.find(one => one.id === this.model.input.value);
    if (!this.task || model !== this.taskModel) {
      const had = this.task?.value, all = model?.tasks ?? this.can.tasks.map(one => one.name);
      const names = [ 'auto', ...all.filter(one => one !== 'preference') ]; /* which needs a method.type of its own */
      this.task = field('task', {...this.member('task'), enum: names}, this.changed);
      this.task.set(names.includes(had) ? had : 'auto');
      this.taskModel = model;
      replace(this.hosts.task, this.task.element);
    }
    const able = model?.capabilities, target = this.adapter.fields.find(one => one.path === 'adapter.target_modules');
    if (target)
      target.input.placeholder = able?.default_target_modules?.join(', ') ?? 'the usual ones';
    const columns = this.files.find(file => file.id === this.training.input.value)?.validation?.columns ?? [];
    this.plain.element.hidden = columns.length === 0;
    const options = names => names.map(name => h('option', {value: name}));
    replace(this.lists.columns, options(columns));
    replace(this.lists.modules, options(['all-linear', ...able?.target_modules ?? []]));
  }

  cards(upload) {
    const {files, task, method} = this.hosts;
    const behind = (name, element) => h('details', {}, h('summary', {}, name), element);
    return [
      card(h('h2', {}, 'Model and data'), files, upload, this.plain.element,
        h('div.fields', {}, task, this.suffix.element), Object.values(this.lists)),
      card(h('h2', {}, 'Method'), method),
      card(h('h2', {}, 'Training'), this.hyper.element),
      card(h('h2', {}, 'Everything else'), h('p.soft.small', {}, 'All of it has a default that will do.'),
        Object.entries(this.groups).map(([path, group]) => behind(sectionTitles[path] ?? title(path), group.element)),
        behind('Seed, exports, notes', this.rest.element)),
    ];
  }
}

function noModel(can) {
  return empty('There is no base model that can be trained',
    h('p', {}, can.models.length ? 'The server cannot use those that are there; under Models it says why.' :
      'Put one into the folder that the daemon was started with (--models).'),
    h('a.button', {href: '#/models'}, 'Models'));
}

/* `query`: model, file or from (a job) to begin with. */
export async function showNew(root, query, signal) {
  const like = query.get('from');
  const [can, files, from] = await Promise.all([
    api.get('v1/capabilities', signal), api.list('v1/files?purpose=fine-tune', {signal, most: 1000}),
    like && api.get(jobPath(like), signal),
  ]);
  if (!can.models.some(model => model.usable !== false)) {
    replace(root, h('h1', {}, 'New job'), noModel(can));
    return;
  }
  const faults = h('div', {'aria-live': 'assertive'});
  const tell = (found, focus) => {
    const left = showFaults(form.fields, found, focus);
    const line = ({param, message}) => h('span', {}, param ? `${param}: ${message}` : message);
    replace(faults, left.length > 0 && h('div.callout.bad', {}, left.map(line)));
  };
  const estimate = estimatePanel(found => tell(found, false), signal);
  const form = new JobForm(can, files, () => estimate.ask(form.job));
  const uploaded = file => {
    if (!trains(file))
      return;
    files.unshift(file);
    form.drawFiles();
    form.training.set(form.training.input.value || file.id);
    form.changed();
  };
  const submit = async event => {
    event.preventDefault();
    start.disabled = true;
    try {
      const job = await api.post('v1/fine_tuning/jobs', form.job);
      notify('The job is accepted.');
      location.hash = jobLink(job.id);
    } catch (error) {
      start.disabled = false;
      tell(error.details ?? [error], true);
    }
  };
  const start = h('button.button.primary', {}, 'Start the job');
  if (from)
    form.fill(from);
  else if (form.models.length === 1 || query.get('model'))
    form.model.set(query.get('model') ?? form.models[0].id);
  if (query.get('file'))
    form.training.set(query.get('file'));
  const upload = h('details', {open: !files.some(trains)},
    h('summary', {}, 'Upload a file'), uploader(uploaded, signal));
  replace(root, h('h1', {}, from ? 'Run again with changes' : 'New job'),
    h('form.two', {onsubmit: submit, novalidate: true},
      h('div.stack', {}, form.cards(upload)),
      h('aside.stack.side', {}, card(h('h2', {}, 'Estimate'), estimate.element, faults, start))));
  form.changed();
}

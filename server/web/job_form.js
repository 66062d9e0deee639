/* The fields of a job, made from what the server can do, and which of them there are for a model, a method and files. */
import {h, replace} from './dom.js';
import {bytes, counted} from './format.js';
import {body, field, fieldGroup, title, valueAt} from './form.js';
import {card} from './parts.js';
import {learnsPictures} from './pictures.js';
import {trains} from './view_files.js';

const HYPER = 'method.supervised.hyperparameters'; /* where the server lists those that all objectives have */
/* What is shown at once; the other members are behind a line. */
const leading = {
  hyper: ['n_epochs', 'batch_size', 'learning_rate', 'max_seq_length'],
  adapter: ['r', 'lora_alpha', 'oft_block_size', 'boft_block_size', 'target_modules'],
  dataset: ['text', 'label'],
  image: ['instance_prompt', 'with_prior_preservation', 'class_prompt', 'conditioning', 'resolution',
    'validation_prompts'],
};
const ownFields = ['model', 'training_file', 'validation_file', 'task', 'suffix'];
/* What a section of the form is called, by the path of its fields. */
const sectionTitles = {
  dataset: 'Other columns, chat template', embedding: 'Embeddings', evaluation: 'Evaluation',
  'evaluation.generate': 'Evaluation by answers',
  checkpointing: 'Checkpoints', early_stopping: 'Early stopping', scheduling: 'Scheduling',
};

function fileField(name, files, required, changed) {
  const good = files.filter(trains), description = required ? 'What it learns from.' : 'What it is measured by.';
  const label = file => `${file.filename} · ${counted(file.validation.examples, 'example')}, ${bytes(file.bytes)}`;
  const none = required ? [] : ['none'];
  return field(name, {
    name, description, required, type: 'string', default: '',
    enum: [...none.map(() => ''), ...good.map(file => file.id)], labels: [...none, ...good.map(label)],
  }, changed);
}

export const sectionTitle = path => sectionTitles[path] ?? title(path);

export class JobForm {
  constructor(can, files, changed) {
    this.can = can;
    this.files = files;
    this.changed = () => {
      this.settle();
      changed();
    };
    this.models = can.models.filter(model => model.usable !== false && model.tasks?.length !== 0);
    const top = this.section('');
    this.member = name => top.find(one => one.name === name);
    this.hosts = {files: h('div.fields', {})};
    for (const name of ['task', 'objective', 'hyper', 'method'])
      this.hosts[name] = h('div', {});
    this.needs = h('p.soft.small', {'aria-live': 'polite'});
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
    const apart = ['', HYPER, 'dataset', 'image'];
    this.groups = Object.fromEntries(can.job.filter(one => !apart.includes(one.path))
      .map(one => [one.path, fieldGroup(one.path, one.members, this.changed)]));
    this.image = fieldGroup('image', this.section('image'), this.changed,
      {first: leading.image, more: 'More of the pictures'});
    this.pictures = card(h('h2', {}, 'Pictures'), this.image.element);
    const isPlain = one => leading.dataset.includes(one.name), columns = this.section('dataset');
    const plain = columns.filter(isPlain).map(one => ({...one, suggest: 'columns'}));
    this.plain = fieldGroup('dataset', plain, this.changed);
    this.groups.dataset = fieldGroup('dataset', columns.filter(one => !isPlain(one)), this.changed);
    this.rest = fieldGroup('', top.filter(one => !ownFields.includes(one.name)), this.changed);
    this.drawFiles();
    this.drawMethod();
    this.drawModel();
    this.settle();
  }

  section(path) {
    return this.can.job.find(one => one.path === path)?.members ?? [];
  }

  get fields() {
    const groups = [this.adapter, this.hyper, ...Object.values(this.groups), this.rest];
    const own = [this.model, this.training, this.validation, this.objective, this.suffix, this.method];
    const supervised = this.supervised ? [this.task, ...this.plain.fields] : [];
    const pictures = this.pictures.hidden ? [] : this.image.fields;
    return [...own, ...supervised, ...pictures, ...groups.flatMap(group => group.fields)];
  }

  get supervised() {
    return this.objective.input.value === 'supervised';
  }

  /* What is sent. */
  get job() {
    const out = body(this.fields);
    if (out.method)
      out.method.type = this.objective.input.value;
    if (out.adapter)
      out.adapter.peft_type ??= this.method.input.value;
    return out;
  }

  /* As that job, whose file may be gone. */
  fill(job) {
    this.model.set(job.model);
    this.drawModel();
    this.objective.set(job.method?.type);
    this.method.set(job.adapter?.peft_type);
    this.drawMethod();
    this.settle();
    const set = [this.model, this.objective, this.method];
    for (const one of this.fields)
      if (!set.includes(one) && valueAt(job, one.path) !== undefined)
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

  /* What a model can learn, and by which objectives. */
  drawModel() {
    const chosen = this.models.find(one => one.id === this.model.input.value);
    const all = chosen?.tasks ?? this.can.tasks.map(one => one.name);
    const tasks = all.filter(one => one !== 'preference'); /* which the objective says */
    const objectives = this.can.objectives.map(one => one.name)
      .filter(name => name === 'supervised' || all.includes('preference'));
    const draw = (name, path, member) => {
      const had = this[name]?.input.value;
      this[name] = field(path, member, this.changed);
      if (member.enum.includes(had))
        this[name].set(had);
      replace(this.hosts[name], this[name].element);
    };
    const task = this.member('task'), pictures = learnsPictures(tasks, this.can.tasks);
    /* Pictures do not say what is learnt of them. */
    draw('task', 'task', pictures ? {...task, required: true, enum: tasks} : {...task, enum: ['auto', ...tasks]});
    this.pictures.hidden = !pictures;
    draw('objective', 'method.type', {name: 'type', title: 'Training method', type: 'string', enum: objectives,
      default: 'supervised', description: 'By examples (supervised), or by which answers are preferred.'});
    this.drawn = chosen;
  }

  /* The hyperparameters of the objective; what was said of those that others have too stays. */
  drawHyper({name, needs, members}) {
    const had = this.hyper?.fields ?? [];
    this.hyper = fieldGroup(`method.${name}.hyperparameters`, [...members, ...this.section(HYPER)], this.changed,
      {first: [...members.map(one => one.name), ...leading.hyper], more: 'More of the training'});
    for (const one of this.hyper.fields) {
      const before = had.find(other => other.member.name === one.member.name)?.value;
      if (before !== undefined)
        one.set(before);
    }
    replace(this.hosts.hyper, this.hyper.element);
    this.needs.textContent = `${name} learns from ${needs}.`;
    this.needs.hidden = name === 'supervised';
    this.hosts.task.hidden = name !== 'supervised';
    this.hyperOf = name;
  }

  /* What follows from what is chosen: objectives and tasks of a model, hyperparameters of an objective, names of its
     modules, columns of a file. */
  settle() {
    const model = this.models.find(one => one.id === this.model.input.value);
    if (model !== this.drawn)
      this.drawModel();
    if (this.hyperOf !== this.objective.input.value)
      this.drawHyper(this.can.objectives.find(one => one.name === this.objective.input.value));
    const able = model?.capabilities, target = this.adapter.fields.find(one => one.path === 'adapter.target_modules');
    if (target)
      target.input.placeholder = able?.default_target_modules?.join(', ') ?? 'the usual ones';
    const columns = this.files.find(file => file.id === this.training.input.value)?.validation?.columns ?? [];
    this.plain.element.hidden = columns.length === 0 || !this.supervised || !this.pictures.hidden;
    const options = names => names.map(name => h('option', {value: name}));
    replace(this.lists.columns, options(columns));
    replace(this.lists.modules, options(['all-linear', ...able?.target_modules ?? []]));
  }

  /* `vary`: of a sweep, what its jobs differ in. */
  cards(upload, vary) {
    const {files, task, objective, method, hyper} = this.hosts;
    const behind = (name, element) => h('details', {}, h('summary', {}, name), element);
    return [
      card(h('h2', {}, 'Model and data'), files, upload, this.plain.element,
        h('div.fields', {}, objective, task, this.suffix.element), this.needs, Object.values(this.lists)),
      this.pictures,
      vary,
      card(h('h2', {}, 'Adapter'), method),
      card(h('h2', {}, 'Training'), hyper),
      card(h('h2', {}, 'Everything else'), h('p.soft.small', {}, 'All of it has a default that will do.'),
        Object.entries(this.groups).map(([path, group]) => behind(sectionTitle(path), group.element)),
        behind('Seed, exports, notes', this.rest.element)),
    ];
  }
}

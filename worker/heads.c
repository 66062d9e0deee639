#include "worker/heads.h"

#include "worker/peft/peft.h"

struct settling {
  struct dataset *training, *validation;
  const struct task *task;
  struct report *report;
  struct arena arena;
};

static struct classes classes_of(const struct dataset *d) {
  return (struct classes){.count = d->num_labels, .names = d->label_names, .numbered = d->numbered};
}

/* Class i becomes row[i]; the rows are named `names`. */
static enum status renumber(struct dataset *d, const size_t *row, const struct classes *head, const char *const *names,
                            struct error *err) {
  const char **own = arena_array(&d->arena, head->count, sizeof *own);
  if (!own)
    return error_no_memory(err, "the names of classes");
  for (size_t i = 0; i < head->count; i++)
    if (!(own[i] = arena_string(&d->arena, names[i])))
      return error_no_memory(err, "the names of classes");
  for (size_t i = 0; i < d->count; i++) {
    struct example *e = &d->examples[i];
    if (!d->lists && !d->words)
      e->label = (uint32_t)row[e->label];
    for (size_t k = 0; k < e->mark_count; k++)
      d->marks[e->first_mark + k] = (uint32_t)row[d->marks[e->first_mark + k]];
  }
  d->num_labels = head->count;
  d->label_names = own;
  return STATUS_OK;
}

/* The rows' names: the data's own spelling; where they are numbers or have no such class, the head's. */
static enum status take_order(struct settling *s, const size_t *row, const struct classes *head, struct error *err) {
  struct classes data = classes_of(s->training);
  const char **names = arena_array(&s->arena, head->count, sizeof *names);
  if (!names)
    return error_no_memory(err, "the names of classes");
  for (size_t i = 0; i < head->count; i++)
    if (!(names[i] = head->names ? head->names[i] : arena_format(&s->arena, "LABEL_%zu", i)))
      return error_no_memory(err, "the names of classes");
  for (size_t i = 0; i < data.count && !data.numbered; i++)
    names[row[i]] = data.names[i];
  enum status status = renumber(s->training, row, head, names, err);
  return status || !s->validation->count ? status : renumber(s->validation, row, head, names, err);
}

/* Says what does not follow from equal names. `whose`: "the base's", "the adapter's". */
static void report_fit(struct settling *s, enum classes_fit fit, bool folded, const struct classes *head,
                       const char *whose) {
  struct classes data = classes_of(s->training);
  AUTO(str_done) struct str theirs, ours;
  str_init(&theirs, 300);
  str_init(&ours, 300);
  classes_list(&theirs, head);
  classes_list(&ours, &data);
  if (folded)
    report_message(s->report, LOG_WARN,
                   "%s classes %s are taken as the training file's %s, which are written in another case", whose,
                   theirs.text, ours.text);
  if (data.numbered && head->names)
    report_message(s->report, LOG_INFO, "the training file's labels 0 to %zu are %s %s", data.count - 1, whose,
                   theirs.text);
  if (fit == CLASSES_UNNAMED)
    report_message(s->report, LOG_WARN, "%s head names none of its %zu outputs: they are taken, in their order, as %s",
                   whose, head->count, ours.text);
  if (fit == CLASSES_PART)
    report_message(s->report, LOG_WARN,
                   "the training file has the classes %s, %s head %s: the others have no example to learn from",
                   ours.text, whose, theirs.text);
}

/* What classes are learnt for. */
static enum job_output wanted(const struct settling *s) {
  return s->training->words ? OUTPUT_TAGS : s->training->lists ? OUTPUT_LABELS : OUTPUT_CLASS;
}

static enum status other_classes(struct settling *s, const struct peft_head *start, struct error *err) {
  const struct classes *head = &start->classes;
  struct classes data = classes_of(s->training);
  bool numbers = s->training->label_kind == LABEL_FLOAT;
  AUTO(str_done) struct str theirs, ours;
  str_init(&theirs, 300);
  str_init(&ours, 300);
  classes_list(&theirs, head);
  classes_list(&ours, &data);
  bool other = !numbers && head->count > 1 && start->output != wanted(s);
  return error_set(
      err, STATUS_INVALID_VALUE, "from_checkpoint",
      "from_checkpoint: the training file has %s%s, but the adapter that the job starts from has %s%s%s%s; each "
      "of the file's classes must be one of the adapter's",
      numbers ? "numbers" : "the classes ", numbers ? "" : ours.text,
      head->count == 0   ? "no head, as a language model's"
      : head->count == 1 ? "one output for numbers"
                         : "the classes ",
      head->count < 2 ? "" : theirs.text, other ? " for " : "", other ? job_output_of(start->output)->words : "");
}

/* The one output of a regression keeps the name it has. */
static enum status take_number(struct settling *s, const struct classes *head, struct error *err) {
  static const size_t row[] = {0};
  return head->names ? renumber(s->training, row, head, head->names, err) : STATUS_OK;
}

static enum status settle_with_adapter(struct settling *s, struct error *err) {
  struct peft_head start;
  struct classes head, data = classes_of(s->training);
  bool numbers = s->training->label_kind == LABEL_FLOAT, folded;
  enum status status = peft_read_head(&start, s->task->start, &s->arena, err);
  size_t *row = arena_array(&s->arena, data.count, sizeof *row);
  if (status)
    return error_prefix(err, "from_checkpoint");
  if (!row)
    return error_no_memory(err, "the names of classes");
  head = start.classes;
  bool one = start.output == OUTPUT_NUMBER || start.output == OUTPUT_RELEVANCE; /* both are one logit */
  if (numbers != one || (!one && start.output != wanted(s)))
    return other_classes(s, &start, err);
  if (numbers)
    return take_number(s, &head, err);
  enum classes_fit fit = classes_fit(row, &folded, &head, &data);
  if (fit == CLASSES_OTHER)
    return other_classes(s, &start, err);
  report_fit(s, fit, folded, &head, "the adapter's");
  return take_order(s, row, &head, err);
}

static void report_fresh(struct settling *s, const struct base_head *base) {
  struct classes data = classes_of(s->training);
  bool numbers = s->training->label_kind == LABEL_FLOAT;
  AUTO(str_done) struct str theirs, ours;
  str_init(&theirs, 300);
  str_init(&ours, 300);
  classes_list(&theirs, &base->classes);
  classes_list(&ours, &data);
  if (base->architecture)
    report_message(s->report, LOG_WARN, "the base's head is that of a %s: a new one starts at random",
                   base->architecture);
  else
    report_message(s->report, LOG_WARN,
                   "the base's head has %s%s, the training file %s%s: a new head starts at random in its place",
                   base->classes.count == 1 ? "one output" : "the classes ",
                   base->classes.count == 1 ? "" : theirs.text, numbers ? "numbers" : "the classes ",
                   numbers ? "" : ours.text);
}

static enum status settle_with_base(bool *fresh, struct settling *s, struct error *err) {
  struct base_head base;
  struct classes data = classes_of(s->training);
  bool numbers = s->training->label_kind == LABEL_FLOAT, folded;
  enum status status = model_base_head(&base, s->task->model_dir, wanted(s), &s->arena, err);
  size_t *row = arena_array(&s->arena, data.count, sizeof *row);
  if (status || base.classes.count == 0)
    return status;
  if (!row)
    return error_no_memory(err, "the names of classes");
  enum classes_fit fit = CLASSES_OTHER;
  if (!base.architecture && numbers == (base.classes.count == 1))
    fit = numbers ? CLASSES_SAME : classes_fit(row, &folded, &base.classes, &data);
  *fresh = fit == CLASSES_OTHER || fit == CLASSES_PART;
  if (*fresh) {
    report_fresh(s, &base);
    return STATUS_OK;
  }
  if (numbers)
    return take_number(s, &base.classes, err);
  report_fit(s, fit, folded, &base.classes, "the base's");
  if (base.multi_label && !s->training->lists)
    report_message(
        s->report, LOG_WARN,
        "the base judged each class by itself (multi_label_classification); the job learns one class a text");
  if (!base.multi_label && s->training->lists)
    report_message(s->report, LOG_WARN, "the base judged one class a text; the job learns each class by itself");
  return take_order(s, row, &base.classes, err);
}

enum status heads_settle(bool *fresh, struct dataset *training, struct dataset *validation, const struct task *task,
                         struct report *report, struct error *err) {
  struct settling s = {.training = training, .validation = validation, .task = task, .report = report};
  arena_init(&s.arena, (size_t)64 << 20);
  *fresh = false;
  enum status status = task->start ? settle_with_adapter(&s, err) : settle_with_base(fresh, &s, err);
  arena_done(&s.arena);
  return status;
}

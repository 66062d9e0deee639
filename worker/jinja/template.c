#include "worker/jinja/template.h"

/* A copy with \n for every kind of line end, and without the last of them, as Jinja reads it. */
static bool normalize(struct jinja_template *t, const char *text, size_t length) {
  char *out = arena_alloc(&t->arena, length + 1);
  size_t used = 0;
  if (!out)
    return false;
  for (size_t i = 0; i < length; i++) {
    bool pair = text[i] == '\r' && i + 1 < length && text[i + 1] == '\n';
    if (!pair)
      out[used++] = text[i] == '\r' ? '\n' : text[i];
  }
  if (used && out[used - 1] == '\n')
    used--;
  out[used] = '\0';
  t->source = (struct jinja_source){out, used};
  return true;
}

enum status jinja_template_parse(struct jinja_template *out, const char *source, size_t length, struct error *err) {
  *out = (struct jinja_template){0};
  if (length > JINJA_SOURCE_MAX)
    return error_set(err, STATUS_UNSUPPORTED_VALUE, NULL, "the template has %zu bytes; at most %d are supported",
                     length, JINJA_SOURCE_MAX);
  arena_init(&out->arena, JINJA_TREE_BYTES_MAX);
  enum status status = normalize(out, source, length) ? jinja_parse(&out->tree, &out->arena, &out->source, err)
                                                      : error_no_memory(err, "the template");
  if (status)
    jinja_template_done(out);
  return status;
}

void jinja_template_done(struct jinja_template *t) {
  arena_done(&t->arena);
  *t = (struct jinja_template){0};
}

struct jinja_scope *jinja_run_init(struct jinja_run *run, const struct jinja_template *t, struct error *err) {
  *run = (struct jinja_run){.source = &t->source, .err = err};
  run->out = &run->whole;
  arena_init(&run->arena, JINJA_MEMORY_MAX);
  struct jinja_scope *context = jinja_scope_new(run, NULL);
  run->scope = context ? jinja_scope_new(run, context) : NULL;
  return run->scope ? context : NULL;
}

void jinja_run_done(struct jinja_run *run) {
  arena_done(&run->arena);
}

bool jinja_template_render(struct jinja_run *run, struct jinja_string *out, const struct jinja_template *t) {
  if (!jinja_execute(run, &t->tree.body))
    return false;
  *out = jinja_built(&run->whole);
  return true;
}

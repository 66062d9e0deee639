/* Statements, variables, and the budget of a run. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "worker/jinja/run.h"

/* --- the budget ----------------------------------------------------------------------------------- */

bool jinja_fail(struct jinja_run *run, enum status status, const char *format, ...) {
  char text[sizeof run->err->text];
  va_list args;
  if (run->status)
    return false;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  run->status = jinja_fault(run->source, run->at, status, run->err, "%s", text);
  return false;
}

bool jinja_spend(struct jinja_run *run, size_t steps) {
  if (steps > JINJA_STEPS_MAX - run->steps)
    return jinja_unsupported(run, "the template takes more than %d steps", JINJA_STEPS_MAX);
  run->steps += steps;
  return true;
}

bool jinja_spend_bytes(struct jinja_run *run, size_t bytes) {
  return jinja_spend(run, bytes / 32);
}

void *jinja_alloc(struct jinja_run *run, size_t count, size_t bytes_each) {
  void *memory = arena_array(&run->arena, count, bytes_each);
  if (!memory)
    jinja_unsupported(run, "the template needs more than %d MiB", JINJA_MEMORY_MAX >> 20);
  return memory;
}

bool jinja_enter(struct jinja_run *run) {
  if (run->nested >= JINJA_NESTED_MAX)
    return jinja_unsupported(run, "more than %d lists or dicts in one another", JINJA_NESTED_MAX);
  run->nested++;
  return true;
}

void jinja_leave(struct jinja_run *run) {
  run->nested--;
}

/* --- variables ------------------------------------------------------------------------------------ */

static struct jinja_variable *find_variable(const struct jinja_scope *scope, const struct jinja_string *name) {
  for (size_t i = 0; i < scope->count; i++)
    if (jinja_same(&scope->variables[i].name, name))
      return &scope->variables[i];
  return NULL;
}

struct jinja_scope *jinja_scope_new(struct jinja_run *run, struct jinja_scope *parent) {
  struct jinja_scope *scope = jinja_alloc(run, 1, sizeof *scope);
  if (scope)
    scope->parent = parent;
  return scope;
}

bool jinja_lookup(struct jinja_run *run, struct jinja_value *out, const struct jinja_scope *scope,
                  const struct jinja_string *name) {
  for (; scope; scope = scope->parent) {
    const struct jinja_variable *variable = find_variable(scope, name);
    if (!jinja_spend(run, scope->count / 8))
      return false;
    if (variable) {
      *out = variable->value;
      return true;
    }
  }
  const struct jinja_builtin *function = jinja_find_function(name);
  *out = (struct jinja_value){.kind = VALUE_FUNCTION, .function = function};
  if (function)
    return true;
  char *hint =
      arena_format(&run->arena, "'%.*s' is undefined", name->length > 80 ? 80 : (int)name->length, name->bytes);
  *out = (struct jinja_value){.kind = VALUE_UNDEFINED, .hint = hint};
  return hint || jinja_unsupported(run, "the template needs more than %d MiB", JINJA_MEMORY_MAX >> 20);
}

bool jinja_assign(struct jinja_run *run, struct jinja_scope *scope, const struct jinja_string *name,
                  struct jinja_value value) {
  struct jinja_variable *variable = find_variable(scope, name);
  if (!jinja_spend(run, scope->count / 8))
    return false;
  if (variable) {
    variable->value = value;
    return true;
  }
  if (scope->count == scope->size) {
    size_t size = scope->size ? scope->size * 2 : 8;
    struct jinja_variable *variables = jinja_alloc(run, size, sizeof *variables);
    if (!variables)
      return false;
    if (scope->count)
      memcpy(variables, scope->variables, scope->count * sizeof *variables);
    scope->variables = variables;
    scope->size = size;
  }
  scope->variables[scope->count++] = (struct jinja_variable){*name, value};
  return true;
}

static bool assign_member(struct jinja_run *run, const struct jinja_node *target, struct jinja_value value) {
  struct jinja_value object;
  if (!jinja_lookup(run, &object, run->scope, &target->name))
    return false;
  run->at = target->at;
  if (object.kind != VALUE_NAMESPACE)
    return jinja_wrong(run, "cannot assign attribute on non-namespace object");
  if (target->value.text->bytes[0] == '_')
    return jinja_wrong(run, "names of a namespace do not begin with an underscore");
  return jinja_dict_set(run, object.dict, target->value, value);
}

static bool assign_to(struct jinja_run *run, const struct jinja_node *target, struct jinja_value value) {
  const struct jinja_list *items;
  if (target->kind == NODE_NAME)
    return jinja_assign(run, run->scope, &target->name, value);
  if (target->kind == NODE_NS_REF)
    return assign_member(run, target, value);
  run->at = target->at;
  if (!jinja_items(run, &items, &value))
    return false;
  if (items->count != target->items.count)
    return jinja_wrong(run, items->count > target->items.count ? "too many values to unpack (expected %zu)"
                                                               : "not enough values to unpack (expected %zu)",
                       target->items.count);
  for (size_t i = 0; i < items->count; i++)
    if (!assign_to(run, target->items.items[i], items->items[i]))
      return false;
  return true;
}

/* --- statements ----------------------------------------------------------------------------------- */

enum flow { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE, FLOW_FAILED };

static enum flow execute(struct jinja_run *run, const struct jinja_node_list *body);

static enum flow flow_of(bool ok) {
  return ok ? FLOW_ON : FLOW_FAILED;
}

bool jinja_execute(struct jinja_run *run, const struct jinja_node_list *body) {
  enum flow flow = execute(run, body);
  CHECK(flow == FLOW_ON || flow == FLOW_FAILED); /* the parser saw to it */
  return flow == FLOW_ON;
}

bool jinja_capture(struct jinja_run *run, struct jinja_string *out, const struct jinja_node_list *body,
                   struct jinja_scope *scope) {
  struct jinja_builder b = {0}, *outer_out = run->out;
  struct jinja_scope *outer_scope = run->scope;
  run->out = &b;
  run->scope = scope;
  bool ok = scope && jinja_execute(run, body);
  run->out = outer_out;
  run->scope = outer_scope;
  *out = jinja_built(&b);
  return ok;
}

static enum flow execute_if(struct jinja_run *run, const struct jinja_node *node) {
  struct jinja_value condition;
  for (;;) {
    if (!jinja_eval(run, &condition, node->a))
      return FLOW_FAILED;
    if (jinja_truth(&condition))
      return execute(run, &node->body);
    bool is_elif = node->other.count == 1 && node->other.items[0]->kind == NODE_IF;
    if (!is_elif)
      return execute(run, &node->other);
    node = node->other.items[0];
  }
}

/* What follows in the run's text belongs to an item of that origin. */
static bool begin_span(struct jinja_run *run, uint32_t origin) {
  run->loop_origin = origin;
  if (run->out != &run->whole)
    return true;
  if (run->span_count == run->span_size) {
    size_t size = run->span_size ? run->span_size * 2 : 32;
    struct jinja_loop_span *spans = jinja_alloc(run, size, sizeof *spans);
    if (!spans)
      return false;
    if (run->span_count)
      memcpy(spans, run->spans, run->span_count * sizeof *spans);
    run->spans = spans;
    run->span_size = size;
  }
  run->spans[run->span_count++] = (struct jinja_loop_span){run->whole.length, origin};
  return true;
}

/* The body of a loop for one item, which may have an origin. */
static enum flow execute_item(struct jinja_run *run, const struct jinja_node_list *body,
                              const struct jinja_value *item) {
  uint32_t outer = run->loop_origin, origin = item->kind == VALUE_DICT ? item->dict->origin : 0;
  if (!origin)
    return execute(run, body);
  enum flow flow = begin_span(run, origin) ? execute(run, body) : FLOW_FAILED;
  return begin_span(run, outer) ? flow : FLOW_FAILED;
}

/* The items of the loop that its filter lets pass; where the body has no `loop` this is done one by
   one instead, as Jinja does: a body may change what the filter looks at. */
static bool passes(struct jinja_run *run, bool *out, const struct jinja_node *node, struct jinja_scope *scope,
                   struct jinja_value item) {
  struct jinja_value condition;
  struct jinja_scope *outer = run->scope;
  *out = true;
  scope->count = 0;
  run->scope = scope;
  bool ok = assign_to(run, node->a, item);
  if (ok && node->c) {
    ok = jinja_eval(run, &condition, node->c);
    *out = ok && jinja_truth(&condition);
  }
  run->scope = outer;
  return ok;
}

static bool filtered(struct jinja_run *run, const struct jinja_list **items, const struct jinja_node *node,
                     struct jinja_scope *scope) {
  struct jinja_list *list = jinja_list_new(run, 4);
  for (size_t i = 0; list && i < (*items)->count; i++) {
    bool pass;
    if (!passes(run, &pass, node, scope, (*items)->items[i]) ||
        (pass && !jinja_list_add(run, list, (*items)->items[i])))
      return false;
  }
  *items = list;
  return list != NULL;
}

static enum flow execute_for(struct jinja_run *run, const struct jinja_node *node) {
  static const struct jinja_string loop_name = {.bytes = "loop", .length = 4};
  struct jinja_value source;
  const struct jinja_list *items;
  if (!jinja_eval(run, &source, node->b))
    return FLOW_FAILED;
  run->at = node->b->at;
  struct jinja_scope *outer = run->scope, *scope = jinja_scope_new(run, outer);
  if (!scope || !jinja_items(run, &items, &source))
    return FLOW_FAILED;
  if (node->c && node->flag && !filtered(run, &items, node, scope))
    return FLOW_FAILED;
  struct jinja_loop *loop = jinja_alloc(run, 1, sizeof *loop);
  if (!loop)
    return FLOW_FAILED;
  loop->items = items;
  enum flow flow = FLOW_ON;
  bool empty = true;
  for (size_t i = 0; i < items->count && flow != FLOW_BREAK; i++) {
    bool pass;
    loop->index = i;
    if (!jinja_spend(run, 1) || !passes(run, &pass, node, scope, items->items[i]))
      return FLOW_FAILED;
    if (!pass)
      continue;
    empty = false;
    run->scope = scope;
    if (node->flag && !jinja_assign(run, scope, &loop_name, (struct jinja_value){.kind = VALUE_LOOP, .loop = loop}))
      return FLOW_FAILED;
    flow = execute_item(run, &node->body, &items->items[i]);
    run->scope = outer;
    if (flow == FLOW_FAILED)
      return FLOW_FAILED;
  }
  return empty ? execute(run, &node->other) : FLOW_ON;
}

/* The filters of a block run over its text, which the innermost filter takes as its input. */
static bool filter_text(struct jinja_run *run, struct jinja_value *out, const struct jinja_node *filters,
                        struct jinja_string text) {
  static const struct jinja_string block_text = JINJA_BLOCK_TEXT;
  struct jinja_scope *outer = run->scope, *scope = jinja_scope_new(run, outer);
  struct jinja_value value;
  if (!scope || !jinja_string_value(run, &value, text) || !jinja_assign(run, scope, &block_text, value))
    return false;
  run->scope = scope;
  bool ok = jinja_eval(run, out, filters);
  run->scope = outer;
  return ok;
}

static bool execute_set_block(struct jinja_run *run, const struct jinja_node *node) {
  struct jinja_string text;
  struct jinja_value value;
  if (!jinja_capture(run, &text, &node->body, jinja_scope_new(run, run->scope)))
    return false;
  if (node->b ? !filter_text(run, &value, node->b, text) : !jinja_string_value(run, &value, text))
    return false;
  return assign_to(run, node->a, value);
}

static bool execute_filter_block(struct jinja_run *run, const struct jinja_node *node) {
  struct jinja_string text;
  struct jinja_value value;
  return jinja_capture(run, &text, &node->body, jinja_scope_new(run, run->scope)) &&
         filter_text(run, &value, node->b, text) && jinja_print(run, run->out, &value);
}

static bool execute_macro(struct jinja_run *run, const struct jinja_node *node) {
  struct jinja_macro *macro = jinja_alloc(run, 1, sizeof *macro);
  if (!macro)
    return false;
  *macro = (struct jinja_macro){.node = node, .scope = run->scope};
  return jinja_assign(run, run->scope, &node->name, (struct jinja_value){.kind = VALUE_MACRO, .macro = macro});
}

static enum flow execute_with(struct jinja_run *run, const struct jinja_node *node) {
  struct jinja_scope *outer = run->scope, *scope = jinja_scope_new(run, outer);
  if (!scope)
    return FLOW_FAILED;
  for (size_t i = 0; i < node->items.count; i++) {
    const struct jinja_node *set = node->items.items[i];
    struct jinja_value value;
    if (!jinja_eval(run, &value, set->b))
      return FLOW_FAILED;
    run->scope = scope;
    bool ok = assign_to(run, set->a, value);
    run->scope = outer;
    if (!ok)
      return FLOW_FAILED;
  }
  run->scope = scope;
  enum flow flow = execute(run, &node->body);
  run->scope = outer;
  return flow;
}

static bool execute_generation(struct jinja_run *run, const struct jinja_node *node) {
  struct jinja_string text;
  if (!jinja_capture(run, &text, &node->body, jinja_scope_new(run, run->scope)))
    return false;
  uint32_t *origins = jinja_alloc(run, text.length, sizeof *origins);
  for (size_t i = 0; origins && i < text.length; i++)
    origins[i] = jinja_origin(&text, i) | JINJA_GENERATED;
  text.origins = origins;
  return origins && jinja_add(run, run->out, &text);
}

static enum flow execute_any(struct jinja_run *run, const struct jinja_node *node) {
  struct jinja_value value;
  switch (node->kind) {
  case NODE_TEMPLATE_DATA: return flow_of(jinja_add(run, run->out, node->value.text));
  case NODE_OUTPUT:
    if (!jinja_eval(run, &value, node->a))
      return FLOW_FAILED;
    run->at = node->a->at;
    return flow_of(jinja_print(run, run->out, &value));
  case NODE_IF: return execute_if(run, node);
  case NODE_FOR: return execute_for(run, node);
  case NODE_ASSIGN: return flow_of(jinja_eval(run, &value, node->b) && assign_to(run, node->a, value));
  case NODE_ASSIGN_BLOCK: return flow_of(execute_set_block(run, node));
  case NODE_FILTER_BLOCK: return flow_of(execute_filter_block(run, node));
  case NODE_MACRO: return flow_of(execute_macro(run, node));
  case NODE_WITH: return execute_with(run, node);
  case NODE_GENERATION: return flow_of(execute_generation(run, node));
  case NODE_BREAK: return FLOW_BREAK;
  case NODE_CONTINUE: return FLOW_CONTINUE;
  case NODE_CONST:
  case NODE_NAME:
  case NODE_LIST:
  case NODE_TUPLE:
  case NODE_DICT:
  case NODE_GETATTR:
  case NODE_GETITEM:
  case NODE_SLICE:
  case NODE_CALL:
  case NODE_FILTER:
  case NODE_TEST:
  case NODE_NOT:
  case NODE_NEG:
  case NODE_POS:
  case NODE_AND:
  case NODE_OR:
  case NODE_BIN_EXPR:
  case NODE_CONCAT:
  case NODE_COMPARE:
  case NODE_OPERAND:
  case NODE_COND_EXPR:
  case NODE_NS_REF: break;
  }
  CHECK(!"a statement");
}

static enum flow execute(struct jinja_run *run, const struct jinja_node_list *body) {
  enum flow flow = FLOW_ON;
  if (body->count)
    run->at = body->items[0]->at;
  if (run->depth >= JINJA_DEPTH_MAX) {
    jinja_unsupported(run, "more than %d nested expressions, blocks and macros", JINJA_DEPTH_MAX);
    return FLOW_FAILED;
  }
  run->depth++;
  for (size_t i = 0; i < body->count && flow == FLOW_ON; i++) {
    run->at = body->items[i]->at;
    flow = jinja_spend(run, 1) ? execute_any(run, body->items[i]) : FLOW_FAILED;
  }
  run->depth--;
  return flow;
}

/* Expressions. */
#include <string.h>

#include "worker/jinja/run.h"

static bool eval_name(struct jinja_run *run, struct jinja_value *out, const struct jinja_node *node) {
  static const char *const missing[] = {"cycler", "joiner", "lipsum", NULL};
  if (!jinja_lookup(run, out, run->scope, &node->name))
    return false;
  for (size_t i = 0; out->kind == VALUE_UNDEFINED && missing[i]; i++)
    if (jinja_is(&node->name, missing[i]))
      return jinja_unsupported(run, "the function \"%s\" is not supported", missing[i]);
  return true;
}

static bool eval_items(struct jinja_run *run, struct jinja_value *out, const struct jinja_node *node) {
  struct jinja_list *list = jinja_list_new(run, node->items.count);
  for (size_t i = 0; list && i < node->items.count; i++) {
    struct jinja_value item;
    if (!jinja_eval(run, &item, node->items.items[i]) || !jinja_list_add(run, list, item))
      return false;
  }
  *out = (struct jinja_value){.kind = node->kind == NODE_LIST ? VALUE_LIST : VALUE_TUPLE, .list = list};
  return list != NULL;
}

static bool eval_dict(struct jinja_run *run, struct jinja_value *out, const struct jinja_node *node) {
  struct jinja_dict *dict = jinja_dict_new(run, node->items.count / 2);
  for (size_t i = 0; dict && i < node->items.count; i += 2) {
    struct jinja_value key, value;
    if (!jinja_eval(run, &key, node->items.items[i]) || !jinja_eval(run, &value, node->items.items[i + 1]) ||
        !jinja_dict_set(run, dict, key, value))
      return false;
  }
  *out = (struct jinja_value){.kind = VALUE_DICT, .dict = dict};
  return dict != NULL;
}

static bool eval_item(struct jinja_run *run, struct jinja_value *out, const struct jinja_node *node) {
  struct jinja_value object, key, bounds[3] = {jinja_none(), jinja_none(), jinja_none()};
  if (!jinja_eval(run, &object, node->a))
    return false;
  if (node->b->kind != NODE_SLICE) {
    if (!jinja_eval(run, &key, node->b))
      return false;
    run->at = node->at;
    return jinja_item(run, out, &object, &key);
  }
  const struct jinja_node *parts[3] = {node->b->a, node->b->b, node->b->c};
  for (int i = 0; i < 3; i++)
    if (parts[i] && !jinja_eval(run, &bounds[i], parts[i]))
      return false;
  run->at = node->at;
  return jinja_slice(run, out, &object, bounds);
}

static bool eval_arguments(struct jinja_run *run, struct jinja_arguments *out, const struct jinja_node *node) {
  *out = (struct jinja_arguments){.count = node->items.count, .named_count = node->named_count};
  if (out->count && !(out->items = jinja_alloc(run, out->count, sizeof *out->items)))
    return false;
  if (out->named_count && !(out->named = jinja_alloc(run, out->named_count, sizeof *out->named)))
    return false;
  for (size_t i = 0; i < out->count; i++)
    if (!jinja_eval(run, &out->items[i], node->items.items[i]))
      return false;
  for (size_t i = 0; i < out->named_count; i++) {
    out->named[i].name = node->named[i].name;
    if (!jinja_eval(run, &out->named[i].value, node->named[i].value))
      return false;
  }
  return true;
}

/* What is called, or filtered; the first filter of a block takes the block's text. */
static bool eval_input(struct jinja_run *run, struct jinja_value *out, const struct jinja_node *node) {
  static const struct jinja_string block_text = JINJA_BLOCK_TEXT;
  return node->a ? jinja_eval(run, out, node->a) : jinja_lookup(run, out, run->scope, &block_text);
}

static bool eval_call(struct jinja_run *run, struct jinja_value *out, const struct jinja_node *node) {
  struct jinja_arguments arguments;
  struct jinja_value input;
  if (!eval_input(run, &input, node) || !eval_arguments(run, &arguments, node))
    return false;
  run->at = node->at;
  if (node->kind == NODE_CALL)
    return jinja_call(run, out, &input, &arguments);
  return jinja_call_builtin(run, out, node->builtin, &input, &arguments);
}

static bool eval_sign(struct jinja_run *run, struct jinja_value *out, const struct jinja_node *node) {
  struct jinja_value v;
  if (!jinja_eval(run, &v, node->a))
    return false;
  run->at = node->at;
  if (v.kind == VALUE_UNDEFINED)
    return jinja_wrong(run, "%s", v.hint);
  if (!jinja_is_number(&v))
    return jinja_wrong(run, "bad operand type for unary %c: '%s'", node->kind == NODE_NEG ? '-' : '+', jinja_type(&v));
  if (v.kind == VALUE_BOOL)
    v = jinja_int(v.boolean);
  if (node->kind == NODE_NEG && v.kind == VALUE_INT && v.integer == INT64_MIN)
    return jinja_unsupported(run, "integers beyond 64 bits are not supported");
  if (node->kind == NODE_NEG)
    v = v.kind == VALUE_INT ? jinja_int(-v.integer) : jinja_float(-v.real);
  *out = v;
  return true;
}

static bool eval_logic(struct jinja_run *run, struct jinja_value *out, const struct jinja_node *node) {
  if (!jinja_eval(run, out, node->a))
    return false;
  return jinja_truth(out) == (node->kind == NODE_OR) || jinja_eval(run, out, node->b);
}

static bool eval_binary(struct jinja_run *run, struct jinja_value *out, const struct jinja_node *node) {
  struct jinja_value a, b;
  if (!jinja_eval(run, &a, node->a) || !jinja_eval(run, &b, node->b))
    return false;
  run->at = node->at;
  return jinja_binary(run, out, node->op, &a, &b);
}

static bool eval_join(struct jinja_run *run, struct jinja_value *out, const struct jinja_node *node) {
  struct jinja_builder b = {0};
  for (size_t i = 0; i < node->items.count; i++) {
    struct jinja_value v;
    if (!jinja_eval(run, &v, node->items.items[i]))
      return false;
    run->at = node->items.items[i]->at;
    if (!jinja_print(run, &b, &v))
      return false;
  }
  return jinja_string_value(run, out, jinja_built(&b));
}

static bool eval_compare(struct jinja_run *run, struct jinja_value *out, const struct jinja_node *node) {
  struct jinja_value left, right;
  bool holds = true;
  if (!jinja_eval(run, &left, node->a))
    return false;
  for (size_t i = 0; holds && i < node->items.count; i++) {
    const struct jinja_node *operand = node->items.items[i];
    if (!jinja_eval(run, &right, operand->a))
      return false;
    run->at = operand->at;
    if (!jinja_compare(run, &holds, operand->op, &left, &right))
      return false;
    left = right;
  }
  *out = jinja_bool(holds);
  return true;
}

static bool eval_choice(struct jinja_run *run, struct jinja_value *out, const struct jinja_node *node) {
  struct jinja_value condition;
  if (!jinja_eval(run, &condition, node->a))
    return false;
  if (jinja_truth(&condition))
    return jinja_eval(run, out, node->b);
  if (node->c)
    return jinja_eval(run, out, node->c);
  *out = (struct jinja_value){.hint = "the inline if has no else and its condition is false"};
  return true;
}

static bool eval_any(struct jinja_run *run, struct jinja_value *out, const struct jinja_node *node) {
  struct jinja_value v;
  switch (node->kind) {
  case NODE_CONST: *out = node->value; return true;
  case NODE_NAME: return eval_name(run, out, node);
  case NODE_LIST:
  case NODE_TUPLE: return eval_items(run, out, node);
  case NODE_DICT: return eval_dict(run, out, node);
  case NODE_GETATTR:
    if (!jinja_eval(run, &v, node->a))
      return false;
    run->at = node->at;
    return jinja_attribute(run, out, &v, &node->name);
  case NODE_GETITEM: return eval_item(run, out, node);
  case NODE_CALL:
  case NODE_FILTER:
  case NODE_TEST: return eval_call(run, out, node);
  case NODE_NOT:
    if (!jinja_eval(run, &v, node->a))
      return false;
    *out = jinja_bool(!jinja_truth(&v));
    return true;
  case NODE_NEG:
  case NODE_POS: return eval_sign(run, out, node);
  case NODE_AND:
  case NODE_OR: return eval_logic(run, out, node);
  case NODE_BIN_EXPR: return eval_binary(run, out, node);
  case NODE_CONCAT: return eval_join(run, out, node);
  case NODE_COMPARE: return eval_compare(run, out, node);
  case NODE_COND_EXPR: return eval_choice(run, out, node);
  case NODE_SLICE:
  case NODE_OPERAND:
  case NODE_TEMPLATE_DATA:
  case NODE_OUTPUT:
  case NODE_IF:
  case NODE_FOR:
  case NODE_ASSIGN:
  case NODE_ASSIGN_BLOCK:
  case NODE_FILTER_BLOCK:
  case NODE_MACRO:
  case NODE_WITH:
  case NODE_GENERATION:
  case NODE_BREAK:
  case NODE_CONTINUE:
  case NODE_NS_REF: break;
  }
  CHECK(!"an expression");
}

bool jinja_eval(struct jinja_run *run, struct jinja_value *out, const struct jinja_node *node) {
  run->at = node->at;
  if (run->depth >= JINJA_DEPTH_MAX)
    return jinja_unsupported(run, "more than %d nested expressions, blocks and macros", JINJA_DEPTH_MAX);
  if (!jinja_spend(run, 1))
    return false;
  run->depth++;
  bool ok = eval_any(run, out, node);
  run->depth--;
  return ok;
}

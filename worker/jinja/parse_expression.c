/* Expressions of a template, with Jinja's grammar: or, and, not, comparisons, + -, ~, * / // %, **,
   signs, then what follows a value: attributes, items, calls, filters and tests. */
#include <string.h>

#include "worker/jinja/run.h"
#include "worker/jinja/syntax.h"

enum { EXPRESSION_DEPTH_MAX = 100 };

static struct jinja_node *parse_unary(struct jinja_parser *p, bool with_filters);
static struct jinja_node *parse_primary(struct jinja_parser *p, bool with_namespace);

static struct jinja_node *wrap(struct jinja_parser *p, enum jinja_node_kind kind, size_t at, struct jinja_node *a,
                               struct jinja_node *b) {
  struct jinja_node *node = a && b ? jinja_parse_node(p, kind, at) : NULL;
  if (!node)
    return NULL;
  node->a = a;
  node->b = b;
  return jinja_parse_close(p, node);
}

static struct jinja_node *wrap_one(struct jinja_parser *p, enum jinja_node_kind kind, size_t at, struct jinja_node *a) {
  struct jinja_node *node = a ? jinja_parse_node(p, kind, at) : NULL;
  if (!node)
    return NULL;
  node->a = a;
  return jinja_parse_close(p, node);
}

static struct jinja_node *constant(struct jinja_parser *p, size_t at, struct jinja_value value) {
  struct jinja_node *node = jinja_parse_node(p, NODE_CONST, at);
  if (!node)
    return NULL;
  node->value = value;
  return jinja_parse_close(p, node);
}

static struct jinja_node *constant_text(struct jinja_parser *p, size_t at, struct jinja_string text) {
  struct jinja_string *copy = arena_alloc(p->arena, sizeof *copy);
  if (!copy)
    return jinja_parse_fail(p, at, STATUS_UNSUPPORTED_VALUE, "the template is too large");
  *copy = text;
  return constant(p, at, (struct jinja_value){.kind = VALUE_STRING, .text = copy});
}

/* Strings side by side are one. */
static struct jinja_node *strings(struct jinja_parser *p) {
  const struct jinja_token *first = p->token;
  size_t length = 0, at = 0;
  while (p->token->kind == TOKEN_STRING)
    length += p->token++->text.length;
  if (p->token == first + 1)
    return constant_text(p, first->at, first->text);
  char *bytes = arena_alloc(p->arena, length);
  if (!bytes)
    return jinja_parse_fail(p, first->at, STATUS_UNSUPPORTED_VALUE, "the template is too large");
  for (const struct jinja_token *t = first; t < p->token; t++) {
    if (t->text.length)
      memcpy(bytes + at, t->text.bytes, t->text.length);
    at += t->text.length;
  }
  return constant_text(p, first->at, (struct jinja_string){.bytes = bytes, .length = length});
}

/* expression, expression, ... up to `close`; a final comma is fine. */
static struct jinja_node *sequence(struct jinja_parser *p, enum jinja_node_kind kind, int close, bool pairs) {
  struct jinja_node *node = jinja_parse_node(p, kind, p->token->at);
  size_t size = 0;
  if (!node)
    return NULL;
  p->token++;
  while (!jinja_parse_is_op(p, close)) {
    if (node->items.count && !jinja_parse_expect_op(p, ','))
      return NULL;
    if (jinja_parse_is_op(p, close))
      break;
    if (!jinja_parse_push(p, &node->items, &size, jinja_parse_expression(p, true)))
      return NULL;
    if (pairs && (!jinja_parse_expect_op(p, ':') ||
                  !jinja_parse_push(p, &node->items, &size, jinja_parse_expression(p, true))))
      return NULL;
  }
  p->token++;
  return jinja_parse_close(p, node);
}

static struct jinja_node *name_or_constant(struct jinja_parser *p, bool with_namespace) {
  const struct jinja_token *t = p->token++;
  if (jinja_is(&t->text, "true") || jinja_is(&t->text, "True"))
    return constant(p, t->at, jinja_bool(true));
  if (jinja_is(&t->text, "false") || jinja_is(&t->text, "False"))
    return constant(p, t->at, jinja_bool(false));
  if (jinja_is(&t->text, "none") || jinja_is(&t->text, "None"))
    return constant(p, t->at, jinja_none());
  bool member = with_namespace && jinja_parse_is_op(p, '.');
  struct jinja_node *node = jinja_parse_node(p, member ? NODE_NS_REF : NODE_NAME, t->at);
  if (!node)
    return NULL;
  node->name = t->text;
  if (member) {
    p->token++;
    if (p->token->kind != TOKEN_NAME)
      return jinja_parse_unexpected(p, "a name");
    struct jinja_node *key = constant_text(p, p->token->at, p->token->text);
    p->token++;
    if (!key)
      return NULL;
    node->value = key->value;
    return jinja_parse_close(p, node);
  }
  p->loop_used |= jinja_is(&t->text, "loop");
  if (p->macro_depth && (jinja_is(&t->text, "varargs") || jinja_is(&t->text, "kwargs") || jinja_is(&t->text, "caller")))
    return jinja_parse_fail(p, t->at, STATUS_UNSUPPORTED_VALUE, "\"%.*s\" in a macro is not supported",
                            (int)t->text.length, t->text.bytes);
  return jinja_parse_close(p, node);
}

static struct jinja_node *parse_primary(struct jinja_parser *p, bool with_namespace) {
  const struct jinja_token *t = p->token;
  switch (t->kind) {
  case TOKEN_NAME: return name_or_constant(p, with_namespace);
  case TOKEN_STRING: return strings(p);
  case TOKEN_INT: p->token++; return constant(p, t->at, jinja_int(t->integer));
  case TOKEN_FLOAT: p->token++; return constant(p, t->at, jinja_float(t->real));
  case TOKEN_OPERATOR:
    if (t->op == '(') {
      p->token++;
      struct jinja_node *node = jinja_parse_tuple(p, true, true);
      return node && jinja_parse_expect_op(p, ')') ? node : NULL;
    }
    if (t->op == '[')
      return sequence(p, NODE_LIST, ']', false);
    if (t->op == '{')
      return sequence(p, NODE_DICT, '}', true);
    break;
  case TOKEN_END:
  case TOKEN_DATA:
  case TOKEN_VARIABLE_BEGIN:
  case TOKEN_VARIABLE_END:
  case TOKEN_BLOCK_BEGIN:
  case TOKEN_BLOCK_END: break;
  }
  return jinja_parse_unexpected(p, "an expression");
}

/* --- after a value -------------------------------------------------------------------------------- */

static bool named_argument(struct jinja_parser *p, struct jinja_node *call, size_t *size) {
  if (call->named_count == *size) {
    size_t bigger = *size ? *size * 2 : 4;
    struct jinja_keyword *named = arena_array(p->arena, bigger, sizeof *named);
    if (!named)
      return jinja_parse_fail(p, call->at, STATUS_UNSUPPORTED_VALUE, "the template is too large") != NULL;
    if (call->named_count)
      memcpy(named, call->named, call->named_count * sizeof *named);
    call->named = named;
    *size = bigger;
  }
  struct jinja_keyword *keyword = &call->named[call->named_count];
  keyword->name = p->token->text;
  for (size_t i = 0; i < call->named_count; i++)
    if (jinja_same(&call->named[i].name, &keyword->name))
      return jinja_parse_fail(p, p->token->at, STATUS_INVALID_VALUE, "the argument \"%.*s\" is given twice",
                              keyword->name.length > 40 ? 40 : (int)keyword->name.length, keyword->name.bytes) != NULL;
  p->token += 2;
  keyword->value = jinja_parse_expression(p, true);
  call->named_count++;
  return keyword->value != NULL;
}

static bool arguments(struct jinja_parser *p, struct jinja_node *call) {
  size_t size = 0, named_size = 0;
  p->token++;
  while (!jinja_parse_is_op(p, ')')) {
    if ((call->items.count || call->named_count) && !jinja_parse_expect_op(p, ','))
      return false;
    if (jinja_parse_is_op(p, ')'))
      break;
    if (jinja_parse_is_op(p, '*') || jinja_parse_is_op(p, OP_POWER))
      return jinja_parse_fail(p, p->token->at, STATUS_UNSUPPORTED_VALUE, "* and ** arguments are not supported") !=
             NULL;
    bool named = p->token->kind == TOKEN_NAME && p->token[1].kind == TOKEN_OPERATOR && p->token[1].op == '=';
    if (!named && call->named_count)
      return jinja_parse_fail(p, p->token->at, STATUS_INVALID_VALUE, "an argument without name follows one with") !=
             NULL;
    if (named ? !named_argument(p, call, &named_size)
              : !jinja_parse_push(p, &call->items, &size, jinja_parse_expression(p, true)))
      return false;
  }
  p->token++;
  return true;
}

static struct jinja_node *parse_call(struct jinja_parser *p, struct jinja_node *callee) {
  struct jinja_node *node = jinja_parse_node(p, NODE_CALL, p->token->at);
  if (!node || !arguments(p, node))
    return NULL;
  node->a = callee;
  return jinja_parse_close(p, node);
}

/* a:b:c of a slice; each may be absent. */
static struct jinja_node *subscript(struct jinja_parser *p) {
  size_t at = p->token->at;
  struct jinja_node *part[3] = {NULL};
  if (!jinja_parse_is_op(p, ':') && !(part[0] = jinja_parse_expression(p, true)))
    return NULL;
  if (!jinja_parse_is_op(p, ':'))
    return part[0];
  for (int i = 1; i < 3 && jinja_parse_skip_op(p, ':'); i++) {
    bool absent = jinja_parse_is_op(p, ':') || jinja_parse_is_op(p, ']') || jinja_parse_is_op(p, ',');
    if (!absent && !(part[i] = jinja_parse_expression(p, true)))
      return NULL;
  }
  struct jinja_node *node = jinja_parse_node(p, NODE_SLICE, at);
  if (!node)
    return NULL;
  node->a = part[0];
  node->b = part[1];
  node->c = part[2];
  return jinja_parse_close(p, node);
}

static struct jinja_node *parse_item(struct jinja_parser *p, struct jinja_node *object) {
  size_t at = p->token->at;
  bool dot = jinja_parse_is_op(p, '.');
  p->token++;
  if (!dot) {
    struct jinja_node *key = subscript(p);
    if (key && jinja_parse_is_op(p, ','))
      return jinja_parse_fail(p, p->token->at, STATUS_UNSUPPORTED_VALUE,
                              "an item by more than one index is not supported");
    return key && jinja_parse_expect_op(p, ']') ? wrap(p, NODE_GETITEM, at, object, key) : NULL;
  }
  const struct jinja_token *t = p->token;
  if (t->kind == TOKEN_INT) {
    p->token++;
    return wrap(p, NODE_GETITEM, at, object, constant(p, t->at, jinja_int(t->integer)));
  }
  if (t->kind != TOKEN_NAME)
    return jinja_parse_unexpected(p, "a name or number");
  p->token++;
  struct jinja_node *node = wrap_one(p, NODE_GETATTR, t->at, object);
  if (node)
    node->name = t->text;
  return node;
}

static struct jinja_node *postfix(struct jinja_parser *p, struct jinja_node *node) {
  while (node) {
    if (jinja_parse_is_op(p, '.') || jinja_parse_is_op(p, '['))
      node = parse_item(p, node);
    else if (jinja_parse_is_op(p, '('))
      node = parse_call(p, node);
    else
      break;
  }
  return node;
}

/* The name of a filter or test, which may have dots. */
static bool builtin_name(struct jinja_parser *p, struct jinja_string *out, const char *wanted) {
  if (p->token->kind != TOKEN_NAME)
    return jinja_parse_unexpected(p, wanted) != NULL;
  *out = p->token++->text;
  while (jinja_parse_is_op(p, '.') && p->token[1].kind == TOKEN_NAME) {
    out->length = p->token[1].at + p->token[1].text.length - (size_t)(out->bytes - p->source->text);
    p->token += 2;
  }
  return true;
}

static struct jinja_node *unknown_builtin(struct jinja_parser *p, size_t at, const char *what,
                                          const struct jinja_string *name) {
  return jinja_parse_fail(p, at, STATUS_UNSUPPORTED_VALUE, "the %s \"%.*s\" is not supported", what,
                          name->length > 60 ? 60 : (int)name->length, name->bytes);
}

struct jinja_node *jinja_parse_filters(struct jinja_parser *p, struct jinja_node *input, bool inline_first) {
  struct jinja_node *node = input;
  while (inline_first || jinja_parse_is_op(p, '|')) {
    p->token += !inline_first;
    struct jinja_node *filter = jinja_parse_node(p, NODE_FILTER, p->token->at);
    if (!filter || !builtin_name(p, &filter->name, "the name of a filter"))
      return NULL;
    filter->builtin = jinja_find_filter(&filter->name);
    if (!filter->builtin)
      return unknown_builtin(p, filter->at, "filter", &filter->name);
    if (jinja_parse_is_op(p, '(') && !arguments(p, filter))
      return NULL;
    filter->a = node;
    node = jinja_parse_close(p, filter);
    if (!node)
      return NULL;
    inline_first = false;
  }
  return node;
}

/* Is the token a first argument without parentheses, as in `is divisibleby 3`? */
static bool is_bare_argument(const struct jinja_parser *p) {
  switch (p->token->kind) {
  case TOKEN_NAME:
    return !jinja_parse_is_name(p, "else") && !jinja_parse_is_name(p, "or") && !jinja_parse_is_name(p, "and");
  case TOKEN_STRING:
  case TOKEN_INT:
  case TOKEN_FLOAT: return true;
  case TOKEN_OPERATOR: return p->token->op == '[' || p->token->op == '{';
  case TOKEN_END:
  case TOKEN_DATA:
  case TOKEN_VARIABLE_BEGIN:
  case TOKEN_VARIABLE_END:
  case TOKEN_BLOCK_BEGIN:
  case TOKEN_BLOCK_END: return false;
  }
  CHECK(!"a kind of token");
}

static struct jinja_node *parse_test(struct jinja_parser *p, struct jinja_node *input) {
  p->token++;
  bool negated = jinja_parse_skip_name(p, "not");
  size_t size = 0;
  struct jinja_node *test = jinja_parse_node(p, NODE_TEST, p->token->at);
  if (!test || !builtin_name(p, &test->name, "the name of a test"))
    return NULL;
  test->builtin = jinja_find_test(&test->name);
  if (!test->builtin)
    return unknown_builtin(p, test->at, "test", &test->name);
  if (jinja_parse_is_op(p, '(')) {
    if (!arguments(p, test))
      return NULL;
  } else if (is_bare_argument(p)) {
    if (jinja_parse_is_name(p, "is"))
      return jinja_parse_fail(p, p->token->at, STATUS_INVALID_VALUE, "tests with is cannot be chained");
    struct jinja_node *argument = parse_primary(p, false);
    if (!jinja_parse_push(p, &test->items, &size, argument ? postfix(p, argument) : NULL))
      return NULL;
  }
  test->a = input;
  test = jinja_parse_close(p, test);
  return test && negated ? wrap_one(p, NODE_NOT, test->at, test) : test;
}

static struct jinja_node *filters_and_tests(struct jinja_parser *p, struct jinja_node *node) {
  while (node) {
    if (jinja_parse_is_op(p, '|'))
      node = jinja_parse_filters(p, node, false);
    else if (jinja_parse_is_name(p, "is"))
      node = parse_test(p, node);
    else if (jinja_parse_is_op(p, '('))
      node = parse_call(p, node);
    else
      break;
  }
  return node;
}

/* --- operators ------------------------------------------------------------------------------------ */

static struct jinja_node *parse_unary(struct jinja_parser *p, bool with_filters) {
  size_t at = p->token->at;
  struct jinja_node *node;
  if (++p->depth > EXPRESSION_DEPTH_MAX)
    return jinja_parse_fail(p, at, STATUS_UNSUPPORTED_VALUE, "more than %d nested expressions", EXPRESSION_DEPTH_MAX);
  if (jinja_parse_skip_op(p, '-'))
    node = wrap_one(p, NODE_NEG, at, parse_unary(p, false));
  else if (jinja_parse_skip_op(p, '+'))
    node = wrap_one(p, NODE_POS, at, parse_unary(p, false));
  else
    node = parse_primary(p, false);
  node = postfix(p, node);
  if (with_filters)
    node = filters_and_tests(p, node);
  p->depth--;
  return node;
}

/* The binary operators of + - (level 0), * / // % (2), ** (3); ~ (1) makes one node of all its parts. */
static struct jinja_node *parse_math(struct jinja_parser *p, int level) {
  static const int operators[4][5] = {{'+', '-'}, {'~'}, {'*', '/', OP_FLOOR, '%'}, {OP_POWER}};
  struct jinja_node *left = level == 3 ? parse_unary(p, true) : parse_math(p, level + 1), *join = NULL;
  size_t size = 0;
  while (left) {
    const int *op = operators[level];
    while (*op && !jinja_parse_is_op(p, *op))
      op++;
    if (!*op)
      break;
    size_t at = p->token++->at;
    struct jinja_node *right = level == 3 ? parse_unary(p, true) : parse_math(p, level + 1);
    if (level != 1) {
      left = wrap(p, NODE_BIN_EXPR, at, left, right);
      if (left)
        left->op = *op;
      continue;
    }
    if (!join && (!(join = jinja_parse_node(p, NODE_CONCAT, at)) || !jinja_parse_push(p, &join->items, &size, left)))
      return NULL;
    if (!jinja_parse_push(p, &join->items, &size, right))
      return NULL;
  }
  return left && join ? jinja_parse_close(p, join) : left;
}

/* The comparison that begins here, or 0; its token or tokens are skipped. */
static int comparison(struct jinja_parser *p) {
  static const int operators[] = {OP_EQ, OP_NE, '<', '>', OP_LE, OP_GE};
  for (size_t i = 0; i < COUNT_OF(operators); i++)
    if (jinja_parse_skip_op(p, operators[i]))
      return operators[i];
  if (jinja_parse_skip_name(p, "in"))
    return OP_IN;
  if (!jinja_parse_is_name(p, "not") || p->token[1].kind != TOKEN_NAME || !jinja_is(&p->token[1].text, "in"))
    return 0;
  p->token += 2;
  return OP_NOT_IN;
}

static struct jinja_node *parse_compare(struct jinja_parser *p) {
  struct jinja_node *left = parse_math(p, 0), *node = NULL;
  size_t size = 0;
  while (left) {
    size_t at = p->token->at;
    int op = comparison(p);
    if (!op)
      break;
    if (!node) {
      if (!(node = jinja_parse_node(p, NODE_COMPARE, at)))
        return NULL;
      node->a = left;
    }
    struct jinja_node *operand = wrap_one(p, NODE_OPERAND, at, parse_math(p, 0));
    if (!jinja_parse_push(p, &node->items, &size, operand))
      return NULL;
    operand->op = op;
  }
  return left && node ? jinja_parse_close(p, node) : left;
}

static struct jinja_node *parse_not(struct jinja_parser *p) {
  size_t at = p->token->at;
  if (!jinja_parse_skip_name(p, "not"))
    return parse_compare(p);
  if (++p->depth > EXPRESSION_DEPTH_MAX)
    return jinja_parse_fail(p, at, STATUS_UNSUPPORTED_VALUE, "more than %d nested expressions", EXPRESSION_DEPTH_MAX);
  struct jinja_node *node = wrap_one(p, NODE_NOT, at, parse_not(p));
  p->depth--;
  return node;
}

static struct jinja_node *parse_and(struct jinja_parser *p) {
  struct jinja_node *left = parse_not(p);
  while (left && jinja_parse_is_name(p, "and")) {
    size_t at = p->token++->at;
    left = wrap(p, NODE_AND, at, left, parse_not(p));
  }
  return left;
}

static struct jinja_node *parse_or(struct jinja_parser *p) {
  struct jinja_node *left = parse_and(p);
  while (left && jinja_parse_is_name(p, "or")) {
    size_t at = p->token++->at;
    left = wrap(p, NODE_OR, at, left, parse_and(p));
  }
  return left;
}

struct jinja_node *jinja_parse_expression(struct jinja_parser *p, bool with_condition) {
  if (++p->depth > EXPRESSION_DEPTH_MAX)
    return jinja_parse_fail(p, p->token->at, STATUS_UNSUPPORTED_VALUE, "more than %d nested expressions",
                            EXPRESSION_DEPTH_MAX);
  struct jinja_node *node = parse_or(p);
  while (node && with_condition && jinja_parse_is_name(p, "if")) {
    struct jinja_node *choice = jinja_parse_node(p, NODE_COND_EXPR, p->token->at);
    p->token++;
    if (!choice || !(choice->a = parse_or(p)))
      return NULL;
    choice->b = node;
    if (jinja_parse_skip_name(p, "else") && !(choice->c = jinja_parse_expression(p, true)))
      return NULL;
    node = jinja_parse_close(p, choice);
  }
  p->depth--;
  return node;
}

/* --- tuples and targets --------------------------------------------------------------------------- */

static bool is_tuple_end(const struct jinja_parser *p, bool target) {
  return p->token->kind == TOKEN_VARIABLE_END || p->token->kind == TOKEN_BLOCK_END || jinja_parse_is_op(p, ')') ||
         (target && jinja_parse_is_name(p, "in"));
}

static bool is_target(const struct jinja_node *node) {
  if (node->kind == NODE_NAME || node->kind == NODE_NS_REF)
    return true;
  if (node->kind != NODE_TUPLE)
    return false;
  for (size_t i = 0; i < node->items.count; i++)
    if (!is_target(node->items.items[i]))
      return false;
  return true;
}

enum tuple_of { TUPLE_EXPRESSIONS, TUPLE_NO_CONDITIONS, TUPLE_NAMES, TUPLE_MEMBERS };

static struct jinja_node *tuple(struct jinja_parser *p, enum tuple_of of, bool parentheses) {
  struct jinja_node *all = jinja_parse_node(p, NODE_TUPLE, p->token->at);
  bool target = of == TUPLE_NAMES || of == TUPLE_MEMBERS, comma = false;
  size_t size = 0;
  while (all) {
    if (all->items.count && !jinja_parse_expect_op(p, ','))
      return NULL;
    if (is_tuple_end(p, target))
      break;
    struct jinja_node *item =
        target ? parse_primary(p, of == TUPLE_MEMBERS) : jinja_parse_expression(p, of == TUPLE_EXPRESSIONS);
    if (!jinja_parse_push(p, &all->items, &size, item))
      return NULL;
    if (!jinja_parse_is_op(p, ','))
      break;
    comma = true;
  }
  if (!all || comma)
    return all ? jinja_parse_close(p, all) : NULL;
  if (all->items.count)
    return all->items.items[0];
  return parentheses ? jinja_parse_close(p, all) : jinja_parse_unexpected(p, "an expression");
}

struct jinja_node *jinja_parse_tuple(struct jinja_parser *p, bool with_condition, bool parentheses) {
  return tuple(p, with_condition ? TUPLE_EXPRESSIONS : TUPLE_NO_CONDITIONS, parentheses);
}

struct jinja_node *jinja_parse_target(struct jinja_parser *p, bool with_namespace) {
  size_t at = p->token->at;
  struct jinja_node *node = tuple(p, with_namespace ? TUPLE_MEMBERS : TUPLE_NAMES, false);
  if (node && !is_target(node))
    return jinja_parse_fail(p, at, STATUS_INVALID_VALUE, "this cannot be assigned to");
  return node;
}

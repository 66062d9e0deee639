/* Statements of a template, and what both halves of the parser use. */
#include "worker/jinja/syntax.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "worker/jinja/run.h"

enum { PARSE_DEPTH_MAX = 100 };

void *jinja_parse_fail(struct jinja_parser *p, size_t at, enum status status, const char *format, ...) {
  char text[sizeof p->err->text];
  va_list args;
  if (p->status)
    return NULL;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  p->status = jinja_fault(p->source, at, status, p->err, "%s", text);
  return NULL;
}

void *jinja_parse_unexpected(struct jinja_parser *p, const char *wanted) {
  const struct jinja_token *t = p->token;
  char got[80];
  switch (t->kind) {
  case TOKEN_END: snprintf(got, sizeof got, "the end of the template"); break;
  case TOKEN_DATA: snprintf(got, sizeof got, "text"); break;
  case TOKEN_VARIABLE_BEGIN: snprintf(got, sizeof got, "\"{{\""); break;
  case TOKEN_VARIABLE_END: snprintf(got, sizeof got, "\"}}\""); break;
  case TOKEN_BLOCK_BEGIN: snprintf(got, sizeof got, "\"{%%\""); break;
  case TOKEN_BLOCK_END: snprintf(got, sizeof got, "\"%%}\""); break;
  case TOKEN_NAME:
    snprintf(got, sizeof got, "\"%.*s\"", t->text.length > 40 ? 40 : (int)t->text.length, t->text.bytes);
    break;
  case TOKEN_STRING: snprintf(got, sizeof got, "a string"); break;
  case TOKEN_INT:
  case TOKEN_FLOAT: snprintf(got, sizeof got, "a number"); break;
  case TOKEN_OPERATOR:
    snprintf(got, sizeof got, "\"%.*s\"", t->op > 255 ? 2 : 1, p->source->text + t->at);
    break;
  }
  return jinja_parse_fail(p, t->at, STATUS_INVALID_VALUE, "expected %s, got %s", wanted, got);
}

struct jinja_node *jinja_parse_node(struct jinja_parser *p, enum jinja_node_kind kind, size_t at) {
  struct jinja_node *node = arena_alloc(p->arena, sizeof *node);
  if (!node)
    return jinja_parse_fail(p, at, STATUS_UNSUPPORTED_VALUE, "the template is too large");
  node->kind = kind;
  node->at = (uint32_t)at;
  return node;
}

bool jinja_parse_push(struct jinja_parser *p, struct jinja_node_list *list, size_t *size, struct jinja_node *node) {
  if (!node)
    return false;
  if (list->count == *size) {
    size_t bigger = *size ? *size * 2 : 4;
    struct jinja_node **items = arena_array(p->arena, bigger, sizeof *items);
    if (!items)
      return jinja_parse_fail(p, node->at, STATUS_UNSUPPORTED_VALUE, "the template is too large") != NULL;
    if (list->count)
      memcpy(items, list->items, list->count * sizeof *items);
    list->items = items;
    *size = bigger;
  }
  list->items[list->count++] = node;
  return true;
}

static uint32_t higher(uint32_t height, const struct jinja_node *part) {
  return part && part->height > height ? part->height : height;
}

static uint32_t highest(uint32_t height, const struct jinja_node_list *list) {
  for (size_t i = 0; i < list->count; i++)
    height = higher(height, list->items[i]);
  return height;
}

struct jinja_node *jinja_parse_close(struct jinja_parser *p, struct jinja_node *node) {
  uint32_t height = highest(highest(highest(0, &node->items), &node->body), &node->other);
  height = higher(higher(higher(height, node->a), node->b), node->c);
  for (size_t i = 0; i < node->named_count; i++)
    height = higher(height, node->named[i].value);
  node->height = height + 1;
  if (node->height > JINJA_TREE_DEPTH_MAX)
    return jinja_parse_fail(p, node->at, STATUS_UNSUPPORTED_VALUE, "more than %d nested expressions or blocks",
                            JINJA_TREE_DEPTH_MAX);
  return node;
}

bool jinja_parse_is_op(const struct jinja_parser *p, int op) {
  return p->token->kind == TOKEN_OPERATOR && p->token->op == op;
}

bool jinja_parse_is_name(const struct jinja_parser *p, const char *name) {
  return p->token->kind == TOKEN_NAME && jinja_is(&p->token->text, name);
}

bool jinja_parse_skip_op(struct jinja_parser *p, int op) {
  bool is = jinja_parse_is_op(p, op);
  p->token += is;
  return is;
}

bool jinja_parse_skip_name(struct jinja_parser *p, const char *name) {
  bool is = jinja_parse_is_name(p, name);
  p->token += is;
  return is;
}

bool jinja_parse_expect_op(struct jinja_parser *p, int op) {
  char wanted[8];
  snprintf(wanted, sizeof wanted, "\"%c\"", op);
  if (!jinja_parse_is_op(p, op))
    return jinja_parse_unexpected(p, wanted) != NULL;
  p->token++;
  return true;
}

static bool expect_kind(struct jinja_parser *p, enum jinja_token_kind kind, const char *wanted) {
  if (p->token->kind != kind)
    return jinja_parse_unexpected(p, wanted) != NULL;
  p->token++;
  return true;
}

/* --- statements ----------------------------------------------------------------------------------- */

static struct jinja_node *statement(struct jinja_parser *p);

static struct jinja_node *text_node(struct jinja_parser *p) {
  struct jinja_node *node = jinja_parse_node(p, NODE_TEMPLATE_DATA, p->token->at);
  struct jinja_string *text = node ? arena_alloc(p->arena, sizeof *text) : NULL;
  if (!text)
    return jinja_parse_fail(p, p->token->at, STATUS_UNSUPPORTED_VALUE, "the template is too large");
  *text = p->token++->text;
  node->value = (struct jinja_value){.kind = VALUE_STRING, .text = text};
  return jinja_parse_close(p, node);
}

static struct jinja_node *output(struct jinja_parser *p) {
  struct jinja_node *node = jinja_parse_node(p, NODE_OUTPUT, p->token->at);
  p->token++;
  if (!node || !(node->a = jinja_parse_tuple(p, true, false)) || !expect_kind(p, TOKEN_VARIABLE_END, "\"}}\""))
    return NULL;
  return jinja_parse_close(p, node);
}

static bool is_one_of(const struct jinja_parser *p, const char *const *names) {
  for (; *names; names++)
    if (jinja_parse_is_name(p, *names))
      return true;
  return false;
}

/* Up to a block that begins with one of `ends` (NULL: to the end); that name is then the token. */
static bool body(struct jinja_parser *p, struct jinja_node_list *list, size_t opened, const char *const *ends) {
  size_t size = 0;
  while (p->token->kind != TOKEN_END) {
    struct jinja_node *node;
    if (p->token->kind == TOKEN_DATA) {
      node = text_node(p);
    } else if (p->token->kind == TOKEN_VARIABLE_BEGIN) {
      node = output(p);
    } else {
      p->token++;
      if (ends && is_one_of(p, ends))
        return true;
      node = statement(p);
      if (node && !expect_kind(p, TOKEN_BLOCK_END, "\"%}\""))
        return false;
    }
    if (!jinja_parse_push(p, list, &size, node))
      return false;
  }
  return !ends || jinja_parse_fail(p, opened, STATUS_INVALID_VALUE, "the block has no {%% %s %%}", ends[0]) != NULL;
}

/* The rest of a block's opening tag, then its body, which ends at ends[0] or another of them. */
static bool block(struct jinja_parser *p, struct jinja_node_list *list, size_t opened, const char *const *ends) {
  jinja_parse_skip_op(p, ':');
  return expect_kind(p, TOKEN_BLOCK_END, "\"%}\"") && body(p, list, opened, ends);
}

static bool simple_block(struct jinja_parser *p, struct jinja_node_list *list, size_t opened, const char *end) {
  const char *const ends[] = {end, NULL};
  if (!block(p, list, opened, ends))
    return false;
  p->token++;
  return true;
}

/* elif is an if that is the whole of `other`. */
static struct jinja_node *parse_if(struct jinja_parser *p, size_t at) {
  static const char *const ends[] = {"endif", "elif", "else", NULL};
  struct jinja_node *node = jinja_parse_node(p, NODE_IF, at), *first = node;
  for (;;) {
    if (!node || !(node->a = jinja_parse_tuple(p, false, false)) || !block(p, &node->body, at, ends))
      return NULL;
    node->height = 1;
    if (!jinja_parse_skip_name(p, "elif"))
      break;
    struct jinja_node *next = jinja_parse_node(p, NODE_IF, p->token->at);
    size_t size = 0;
    if (!jinja_parse_push(p, &node->other, &size, next))
      return NULL;
    node = next;
  }
  if (jinja_parse_skip_name(p, "else")) {
    if (!simple_block(p, &node->other, at, "endif"))
      return NULL;
  } else {
    p->token++;
  }
  /* The chain is run by a loop, so its height is that of its highest part. */
  uint32_t height = 0;
  for (struct jinja_node *part = first;; part = part->other.items[0]) {
    uint32_t own = higher(highest(0, &part->body), part->a);
    height = own > height ? own : height;
    if (part == node)
      break;
  }
  height = highest(height, &node->other);
  if (height + 1 > JINJA_TREE_DEPTH_MAX)
    return jinja_parse_fail(p, at, STATUS_UNSUPPORTED_VALUE, "more than %d nested blocks", JINJA_TREE_DEPTH_MAX);
  first->height = height + 1;
  return first;
}

static struct jinja_node *parse_for(struct jinja_parser *p, size_t at) {
  static const char *const ends[] = {"endfor", "else", NULL};
  struct jinja_node *node = jinja_parse_node(p, NODE_FOR, at);
  bool outer_used = p->loop_used;
  if (!node || !(node->a = jinja_parse_target(p, false)))
    return NULL;
  if (!jinja_parse_skip_name(p, "in"))
    return jinja_parse_unexpected(p, "\"in\"");
  if (!(node->b = jinja_parse_tuple(p, false, false)))
    return NULL;
  if (jinja_parse_skip_name(p, "if") && !(node->c = jinja_parse_expression(p, true)))
    return NULL;
  if (jinja_parse_is_name(p, "recursive"))
    return jinja_parse_fail(p, p->token->at, STATUS_UNSUPPORTED_VALUE, "a recursive for loop is not supported");
  p->loop_used = false;
  p->loop_depth++;
  bool ok = block(p, &node->body, at, ends);
  p->loop_depth--;
  node->flag = p->loop_used;
  p->loop_used = outer_used;
  if (!ok)
    return NULL;
  if (jinja_parse_skip_name(p, "else")) {
    if (!simple_block(p, &node->other, at, "endfor"))
      return NULL;
  } else {
    p->token++;
  }
  return jinja_parse_close(p, node);
}

static struct jinja_node *parse_set(struct jinja_parser *p, size_t at) {
  struct jinja_node *node = jinja_parse_node(p, NODE_ASSIGN, at);
  if (!node || !(node->a = jinja_parse_target(p, true)))
    return NULL;
  if (jinja_parse_skip_op(p, '=')) {
    if (!(node->b = jinja_parse_tuple(p, true, false)))
      return NULL;
    return jinja_parse_close(p, node);
  }
  node->kind = NODE_ASSIGN_BLOCK;
  if (jinja_parse_is_op(p, '|') && !(node->b = jinja_parse_filters(p, NULL, false)))
    return NULL;
  if (p->token->kind != TOKEN_BLOCK_END)
    return jinja_parse_unexpected(p, "\"=\"");
  return simple_block(p, &node->body, at, "endset") ? jinja_parse_close(p, node) : NULL;
}

static bool parameters(struct jinja_parser *p, struct jinja_node *macro) {
  size_t size = 0;
  bool defaults = false;
  if (!jinja_parse_expect_op(p, '('))
    return false;
  while (!jinja_parse_is_op(p, ')')) {
    if (macro->items.count && !jinja_parse_expect_op(p, ','))
      return false;
    if (p->token->kind != TOKEN_NAME)
      return jinja_parse_unexpected(p, "a parameter") != NULL;
    struct jinja_node *name = jinja_parse_node(p, NODE_NAME, p->token->at);
    if (!jinja_parse_push(p, &macro->items, &size, name))
      return false;
    name->name = p->token++->text;
    if (jinja_parse_skip_op(p, '=')) {
      defaults = true;
      if (!(name->a = jinja_parse_expression(p, true)))
        return false;
    } else if (defaults) {
      return jinja_parse_fail(p, name->at, STATUS_INVALID_VALUE, "a parameter without default follows one with") !=
             NULL;
    }
    if (!jinja_parse_close(p, name))
      return false;
  }
  p->token++;
  return true;
}

/* A body that is rendered on its own: loops around it cannot be left from inside. */
static bool own_block(struct jinja_parser *p, struct jinja_node *node, const char *end) {
  unsigned loops = p->loop_depth;
  p->loop_depth = 0;
  bool ok = simple_block(p, &node->body, node->at, end);
  p->loop_depth = loops;
  return ok;
}

static struct jinja_node *parse_macro(struct jinja_parser *p, size_t at) {
  struct jinja_node *node = jinja_parse_node(p, NODE_MACRO, at);
  if (!node)
    return NULL;
  if (p->token->kind != TOKEN_NAME)
    return jinja_parse_unexpected(p, "the macro's name");
  node->name = p->token++->text;
  if (!parameters(p, node))
    return NULL;
  p->macro_depth++;
  bool ok = own_block(p, node, "endmacro");
  p->macro_depth--;
  return ok ? jinja_parse_close(p, node) : NULL;
}

static struct jinja_node *parse_with(struct jinja_parser *p, size_t at) {
  struct jinja_node *node = jinja_parse_node(p, NODE_WITH, at);
  size_t size = 0;
  while (node && p->token->kind != TOKEN_BLOCK_END) {
    if (node->items.count && !jinja_parse_expect_op(p, ','))
      return NULL;
    struct jinja_node *set = jinja_parse_node(p, NODE_ASSIGN, p->token->at);
    if (!set || !(set->a = jinja_parse_target(p, false)) || !jinja_parse_expect_op(p, '=') ||
        !(set->b = jinja_parse_expression(p, true)) || !jinja_parse_close(p, set) ||
        !jinja_parse_push(p, &node->items, &size, set))
      return NULL;
  }
  return node && simple_block(p, &node->body, at, "endwith") ? jinja_parse_close(p, node) : NULL;
}

static struct jinja_node *parse_filter_block(struct jinja_parser *p, size_t at) {
  struct jinja_node *node = jinja_parse_node(p, NODE_FILTER_BLOCK, at);
  if (!node || !(node->b = jinja_parse_filters(p, NULL, true)) || !own_block(p, node, "endfilter"))
    return NULL;
  return jinja_parse_close(p, node);
}

static struct jinja_node *parse_generation(struct jinja_parser *p, size_t at) {
  struct jinja_node *node = jinja_parse_node(p, NODE_GENERATION, at);
  p->has_generation = true;
  return node && own_block(p, node, "endgeneration") ? jinja_parse_close(p, node) : NULL;
}

static struct jinja_node *parse_jump(struct jinja_parser *p, size_t at, enum jinja_node_kind kind) {
  if (!p->loop_depth)
    return jinja_parse_fail(p, at, STATUS_INVALID_VALUE, "%s outside of a loop",
                            kind == NODE_BREAK ? "break" : "continue");
  struct jinja_node *node = jinja_parse_node(p, kind, at);
  return node ? jinja_parse_close(p, node) : NULL;
}

static struct jinja_node *unknown_tag(struct jinja_parser *p, const struct jinja_token *name) {
  static const char *const known[] = {"autoescape", "block", "call", "do", "extends", "from", "import", "include",
                                      "pluralize", "print", "trans", "debug", NULL};
  int length = name->text.length > 40 ? 40 : (int)name->text.length;
  bool ends = name->text.length > 3 && memcmp(name->text.bytes, "end", 3) == 0;
  for (size_t i = 0; known[i]; i++)
    if (jinja_is(&name->text, known[i]))
      return jinja_parse_fail(p, name->at, STATUS_UNSUPPORTED_VALUE, "the tag \"%.*s\" is not supported", length,
                              name->text.bytes);
  if (ends || jinja_is(&name->text, "else") || jinja_is(&name->text, "elif"))
    return jinja_parse_fail(p, name->at, STATUS_INVALID_VALUE, "\"%.*s\" closes nothing that is open here", length,
                            name->text.bytes);
  return jinja_parse_fail(p, name->at, STATUS_UNSUPPORTED_VALUE, "the tag \"%.*s\" is not known", length,
                          name->text.bytes);
}

static struct jinja_node *statement(struct jinja_parser *p) {
  static const struct {
    const char *name;
    struct jinja_node *(*parse)(struct jinja_parser *p, size_t at);
  } tags[] = {{"if", parse_if},         {"for", parse_for},   {"set", parse_set},
              {"macro", parse_macro},   {"with", parse_with}, {"filter", parse_filter_block},
              {"generation", parse_generation}};
  const struct jinja_token *name = p->token;
  struct jinja_node *node = NULL;
  if (name->kind != TOKEN_NAME)
    return jinja_parse_unexpected(p, "the name of a tag");
  if (++p->depth > PARSE_DEPTH_MAX)
    return jinja_parse_fail(p, name->at, STATUS_UNSUPPORTED_VALUE, "more than %d nested blocks", PARSE_DEPTH_MAX);
  p->token++;
  size_t i = 0;
  while (i < COUNT_OF(tags) && !jinja_is(&name->text, tags[i].name))
    i++;
  if (i < COUNT_OF(tags))
    node = tags[i].parse(p, name->at);
  else if (jinja_is(&name->text, "break") || jinja_is(&name->text, "continue"))
    node = parse_jump(p, name->at, jinja_is(&name->text, "break") ? NODE_BREAK : NODE_CONTINUE);
  else
    node = unknown_tag(p, name);
  p->depth--;
  return node;
}

enum status jinja_parse(struct jinja_tree *out, struct arena *arena, const struct jinja_source *source,
                        struct error *err) {
  struct jinja_token_list tokens;
  *out = (struct jinja_tree){0};
  enum status status = jinja_lex(&tokens, arena, source, err);
  if (status)
    return status;
  struct jinja_parser p = {.arena = arena, .source = source, .err = err, .token = tokens.items};
  if (!body(&p, &out->body, 0, NULL))
    return p.status;
  out->has_generation = p.has_generation;
  return STATUS_OK;
}

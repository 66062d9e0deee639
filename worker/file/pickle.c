/* A machine with a stack, a memo and nothing to call: what REDUCE may "call" is a row of a table, and gives a value of
   ours. Values name each other by pointers into the arena and are never walked, so that depth and cycles are harmless.
 */
#include "worker/file/pickle.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum kind { NONE, BOOLEAN, INTEGER, REAL, TEXT, TUPLE, LIST, DICTIONARY, GLOBAL, STORAGE, TENSOR };

static const char *const kind_names[] = {
    [NONE] = "None",     [BOOLEAN] = "a truth value",  [INTEGER] = "a number", [REAL] = "a number",
    [TEXT] = "a text",   [TUPLE] = "a tuple",          [LIST] = "a list",      [DICTIONARY] = "a dictionary",
    [GLOBAL] = "a name", [STORAGE] = "a bare storage", [TENSOR] = "a tensor",
};

/* What a pickle of tensors may name. */
enum call { ORDERED_DICT, TENSOR_V1, TENSOR_V2, PARAMETER, STORAGE_TYPE };

static const struct global {
  const char *module, *name;
  enum call call;
  enum st_dtype dtype; /* of a storage */
} globals[] = {
    {"collections", "OrderedDict", ORDERED_DICT, 0},      {"torch._utils", "_rebuild_tensor", TENSOR_V1, 0},
    {"torch._utils", "_rebuild_tensor_v2", TENSOR_V2, 0}, {"torch._utils", "_rebuild_parameter", PARAMETER, 0},
    {"torch", "FloatStorage", STORAGE_TYPE, ST_F32},      {"torch", "HalfStorage", STORAGE_TYPE, ST_F16},
    {"torch", "BFloat16Storage", STORAGE_TYPE, ST_BF16},  {"torch", "DoubleStorage", STORAGE_TYPE, ST_F64},
    {"torch", "LongStorage", STORAGE_TYPE, ST_I64},       {"torch", "IntStorage", STORAGE_TYPE, ST_I32},
    {"torch", "ShortStorage", STORAGE_TYPE, ST_I16},      {"torch", "CharStorage", STORAGE_TYPE, ST_I8},
    {"torch", "ByteStorage", STORAGE_TYPE, ST_U8},        {"torch", "BoolStorage", STORAGE_TYPE, ST_BOOL},
};

struct value {
  enum kind kind;
  uint32_t count; /* of a tuple */
  union {
    int64_t integer;
    const char *text;
    const struct value *items; /* of a tuple */
    struct dictionary *dictionary;
    const struct global *global;
    const struct pickle_tensor *tensor; /* a storage has no name, rank and shape */
  };
};

struct dictionary {
  size_t count, size;
  struct value (*items)[2];
};

struct machine {
  const unsigned char *bytes;
  size_t length, at, opcode; /* the next byte; where the opcode began that runs */
  struct arena *arena;
  struct value *stack, *memo;
  size_t depth, stack_size, memo_count, memo_size;
  size_t marks[PICKLE_MARKS_MAX], mark_count;
  struct error *err;
};

/* Of the opcode that runs. */
static enum status bad(const struct machine *m, const char *format, ...) PRINTF(2, 3);
static enum status bad(const struct machine *m, const char *format, ...) {
  va_list args;
  va_start(args, format);
  error_setv(m->err, STATUS_MODEL_INVALID, NULL, format, args);
  va_end(args);
  return m->err ? error_prefix(m->err, "byte %zu", m->opcode) : STATUS_MODEL_INVALID;
}

static enum status no_memory(const struct machine *m) {
  return error_no_memory(m->err, "the names of a file of PyTorch");
}

/* --- bytes, stack and memo ------------------------------------------------------------------------ */

static enum status take(const unsigned char **out, struct machine *m, uint64_t length) {
  if (length > m->length - m->at)
    return bad(m, "the pickle is cut short");
  *out = m->bytes + m->at;
  m->at += (size_t)length;
  return STATUS_OK;
}

/* A little-endian number of 1 to 8 bytes. */
static enum status take_number(uint64_t *out, struct machine *m, size_t bytes) {
  const unsigned char *from = NULL;
  *out = 0;
  enum status status = take(&from, m, bytes);
  for (size_t i = bytes; !status && i-- > 0;)
    *out = *out << 8 | from[i];
  return status;
}

/* Room for one more element; NULL: no memory. */
static void *grow(struct arena *arena, void *old, size_t count, size_t *size, size_t bytes_each) {
  if (count < *size)
    return old;
  size_t wider = *size ? 2 * *size : 16;
  void *array = arena_array(arena, wider, bytes_each);
  if (array && count)
    memcpy(array, old, count * bytes_each);
  *size = array ? wider : *size;
  return array;
}

static enum status push(struct machine *m, struct value value) {
  if (m->depth == PICKLE_STACK_MAX)
    return bad(m, "more than %d values are on the stack", PICKLE_STACK_MAX);
  struct value *stack = grow(m->arena, m->stack, m->depth, &m->stack_size, sizeof *stack);
  if (!stack)
    return no_memory(m);
  m->stack = stack;
  m->stack[m->depth++] = value;
  return STATUS_OK;
}

static size_t mark(const struct machine *m) {
  return m->mark_count ? m->marks[m->mark_count - 1] : 0;
}

/* The last value, never one from before the last mark. */
static enum status pop(struct value *out, struct machine *m) {
  *out = (struct value){0};
  if (m->depth == mark(m))
    return bad(m, "the stack has too few values");
  *out = m->stack[--m->depth];
  return STATUS_OK;
}

/* The values since the last mark, which goes with them; they are good until the next push. */
static enum status pop_marked(const struct value **out, size_t *count, struct machine *m) {
  if (!m->mark_count)
    return bad(m, "no mark is on the stack");
  size_t first = m->marks[--m->mark_count];
  *out = m->stack ? m->stack + first : NULL;
  *count = m->depth - first;
  m->depth = first;
  return STATUS_OK;
}

static enum status remember(struct machine *m, uint64_t index) {
  if (m->depth == mark(m))
    return bad(m, "the stack has too few values");
  if (index > m->memo_count || index >= PICKLE_MEMO_MAX)
    return bad(m, "the memo has no place %" PRIu64, index);
  struct value *memo = grow(m->arena, m->memo, m->memo_count, &m->memo_size, sizeof *memo);
  if (!memo)
    return no_memory(m);
  m->memo = memo;
  m->memo[index] = m->stack[m->depth - 1];
  m->memo_count += index == m->memo_count;
  return STATUS_OK;
}

static enum status recall(struct machine *m, uint64_t index) {
  return index < m->memo_count ? push(m, m->memo[index]) : bad(m, "the memo has no value %" PRIu64, index);
}

/* --- values --------------------------------------------------------------------------------------- */

static enum status push_integer(struct machine *m, int64_t integer) {
  return push(m, (struct value){.kind = INTEGER, .integer = integer});
}

static enum status push_text(struct machine *m, uint64_t length) {
  const unsigned char *from = NULL;
  enum status status = take(&from, m, length);
  if (status)
    return status;
  if (length && memchr(from, 0, (size_t)length))
    return bad(m, "a text has a NUL in it");
  const char *text = arena_copy(m->arena, (const char *)from, (size_t)length);
  return text ? push(m, (struct value){.kind = TEXT, .text = text}) : no_memory(m);
}

static enum status push_tuple(struct machine *m, const struct value *items, size_t count) {
  struct value *copy = arena_array(m->arena, count, sizeof *copy);
  if (!copy)
    return no_memory(m);
  if (count)
    memcpy(copy, items, count * sizeof *copy);
  return push(m, (struct value){.kind = TUPLE, .count = (uint32_t)count, .items = copy});
}

/* Of the last one to three values. */
static enum status push_short_tuple(struct machine *m, size_t count) {
  struct value items[3] = {0};
  enum status status = STATUS_OK;
  for (size_t i = count; !status && i-- > 0;)
    status = pop(&items[i], m);
  return status ? status : push_tuple(m, items, count);
}

static enum status push_dictionary(struct machine *m) {
  struct dictionary *dictionary = arena_alloc(m->arena, sizeof *dictionary);
  if (!dictionary)
    return no_memory(m);
  *dictionary = (struct dictionary){0};
  return push(m, (struct value){.kind = DICTIONARY, .dictionary = dictionary});
}

/* A number of LONG1: little-endian, in two's complement, of any length. */
static enum status push_long(struct machine *m) {
  uint64_t length, number;
  enum status status = take_number(&length, m, 1);
  if (!status && length > 8)
    return bad(m, "a number of %" PRIu64 " bytes is none of a tensor's", length);
  status = status ? status : take_number(&number, m, (size_t)length);
  if (status)
    return status;
  if (length && length < 8 && number >> (8 * length - 1))
    number |= UINT64_MAX << (8 * length);
  return push_integer(m, (int64_t)number);
}

static enum status push_global(struct machine *m, const char *module, size_t module_length, const char *name,
                               size_t name_length) {
  for (size_t i = 0; i < COUNT_OF(globals); i++)
    if (strlen(globals[i].module) == module_length && memcmp(globals[i].module, module, module_length) == 0 &&
        strlen(globals[i].name) == name_length && memcmp(globals[i].name, name, name_length) == 0)
      return push(m, (struct value){.kind = GLOBAL, .global = &globals[i]});
  return bad(m, "the global %.*s.%.*s is not a tensor's; it is not run", (int)(module_length < 80 ? module_length : 80),
             module, (int)(name_length < 80 ? name_length : 80), name);
}

/* Two lines: module and name. */
static enum status read_global(struct machine *m) {
  const unsigned char *line[2];
  size_t length[2];
  for (size_t i = 0; i < 2; i++) {
    const unsigned char *end = memchr(m->bytes + m->at, '\n', m->length - m->at);
    if (!end)
      return bad(m, "the pickle is cut short");
    line[i] = m->bytes + m->at;
    length[i] = (size_t)(end - line[i]);
    m->at += length[i] + 1;
  }
  return push_global(m, (const char *)line[0], length[0], (const char *)line[1], length[1]);
}

static enum status read_stack_global(struct machine *m) {
  struct value module, name;
  enum status status = pop(&name, m);
  status = status ? status : pop(&module, m);
  if (!status && (module.kind != TEXT || name.kind != TEXT))
    return bad(m, "a global's name must be texts");
  return status ? status : push_global(m, module.text, strlen(module.text), name.text, strlen(name.text));
}

/* --- tensors -------------------------------------------------------------------------------------- */

/* ("storage", type, file, device, elements) */
static enum status read_storage(struct machine *m) {
  struct value id;
  enum status status = pop(&id, m);
  if (status)
    return status;
  const struct value *item = id.items;
  if (id.kind != TUPLE || id.count != 5 || item[0].kind != TEXT || strcmp(item[0].text, "storage") != 0 ||
      item[1].kind != GLOBAL || item[1].global->call != STORAGE_TYPE || item[2].kind != TEXT ||
      item[4].kind != INTEGER || item[4].integer < 0)
    return bad(m, "a persistent id that is not a storage's");
  struct pickle_tensor *storage = arena_alloc(m->arena, sizeof *storage);
  if (!storage)
    return no_memory(m);
  *storage = (struct pickle_tensor){
      .storage = item[2].text, .dtype = item[1].global->dtype, .storage_elements = (uint64_t)item[4].integer};
  return push(m, (struct value){.kind = STORAGE, .tensor = storage});
}

/* (storage, offset, shape, strides, ...); what follows says how it is trained. */
static enum status rebuild_tensor(struct machine *m, const struct value *args) {
  const struct value *item = args->items;
  if (args->count < 4 || item[0].kind != STORAGE || item[1].kind != INTEGER || item[2].kind != TUPLE ||
      item[3].kind != TUPLE || item[1].integer < 0 || item[2].count != item[3].count)
    return bad(m, "a tensor must have storage, offset, shape and strides");
  if (item[2].count > ST_RANK_MAX)
    return bad(m, "a tensor of %u dimensions; at most %d are read", item[2].count, ST_RANK_MAX);
  struct pickle_tensor *tensor = arena_alloc(m->arena, sizeof *tensor);
  if (!tensor)
    return no_memory(m);
  *tensor = *item[0].tensor;
  tensor->offset = (uint64_t)item[1].integer;
  tensor->rank = (int)item[2].count;
  for (int i = 0; i < tensor->rank; i++) {
    const struct value *size = &item[2].items[i], *stride = &item[3].items[i];
    if (size->kind != INTEGER || stride->kind != INTEGER || size->integer < 0 || stride->integer < 0)
      return bad(m, "sizes and strides of a tensor must be numbers from 0");
    tensor->shape[i] = size->integer;
    tensor->strides[i] = stride->integer;
  }
  return push(m, (struct value){.kind = TENSOR, .tensor = tensor});
}

static enum status reduce(struct machine *m) {
  struct value callable, args;
  enum status status = pop(&args, m);
  status = status ? status : pop(&callable, m);
  if (status)
    return status;
  if (callable.kind != GLOBAL || args.kind != TUPLE)
    return bad(m, "REDUCE needs a global and a tuple");
  switch (callable.global->call) {
  case ORDERED_DICT: return args.count ? bad(m, "an OrderedDict with arguments is not read") : push_dictionary(m);
  case TENSOR_V1:
  case TENSOR_V2: return rebuild_tensor(m, &args);
  case PARAMETER:
    return args.count && args.items[0].kind == TENSOR ? push(m, args.items[0]) : bad(m, "a parameter of no tensor");
  case STORAGE_TYPE: break;
  }
  return bad(m, "the global %s.%s is not called for a tensor", callable.global->module, callable.global->name);
}

/* --- containers ----------------------------------------------------------------------------------- */

static enum status set_items(struct machine *m, const struct value *items, size_t count) {
  if (m->depth == mark(m) || m->stack[m->depth - 1].kind != DICTIONARY || count % 2)
    return bad(m, "items are set of what is no dictionary");
  struct dictionary *d = m->stack[m->depth - 1].dictionary;
  for (size_t i = 0; i < count; i += 2) {
    struct value(*pairs)[2] = grow(m->arena, d->items, d->count, &d->size, sizeof *pairs);
    if (!pairs)
      return no_memory(m);
    d->items = pairs;
    d->items[d->count][0] = items[i];
    d->items[d->count++][1] = items[i + 1];
  }
  return STATUS_OK;
}

static enum status set_item(struct machine *m) {
  struct value pair[2];
  enum status status = pop(&pair[1], m);
  status = status ? status : pop(&pair[0], m);
  return status ? status : set_items(m, pair, 2);
}

/* Attributes of the state dict (_metadata: versions of modules): nothing that tensors need. */
static enum status build(struct machine *m) {
  struct value state;
  enum status status = pop(&state, m);
  if (!status && (m->depth == mark(m) || m->stack[m->depth - 1].kind != DICTIONARY))
    return bad(m, "BUILD of what is no dictionary");
  return status;
}

/* Nothing that tensors need is in lists. */
static enum status append(struct machine *m) {
  struct value item;
  enum status status = pop(&item, m);
  if (!status && (m->depth == mark(m) || m->stack[m->depth - 1].kind != LIST))
    return bad(m, "an item is appended to what is no list");
  return status;
}

static enum status set_mark(struct machine *m) {
  if (m->mark_count == PICKLE_MARKS_MAX)
    return bad(m, "more than %d marks are on the stack", PICKLE_MARKS_MAX);
  m->marks[m->mark_count++] = m->depth;
  return STATUS_OK;
}

/* --- opcodes -------------------------------------------------------------------------------------- */

static enum status run_marked(struct machine *m, unsigned char opcode) {
  const struct value *items = NULL;
  size_t count = 0;
  enum status status = pop_marked(&items, &count, m);
  if (status)
    return status;
  if (opcode == 't')
    return push_tuple(m, items, count);
  if (opcode == 'u')
    return set_items(m, items, count);
  if (m->depth == mark(m) || m->stack[m->depth - 1].kind != LIST)
    return bad(m, "items are appended to what is no list");
  return STATUS_OK;
}

/* Opcodes that a number follows. */
static enum status run_number(struct machine *m, unsigned char opcode) {
  static const struct {
    unsigned char opcode, bytes;
  } sizes[] = {{'q', 1}, {'r', 4}, {'h', 1}, {'j', 4},    {'K', 1},    {'M', 2},
               {'J', 4}, {'X', 4}, {'G', 8}, {'\x8c', 1}, {'\x8d', 8}, {'\x95', 8}};
  size_t bytes = 0;
  uint64_t n;
  for (size_t i = 0; i < COUNT_OF(sizes); i++)
    bytes = sizes[i].opcode == opcode ? sizes[i].bytes : bytes;
  enum status status = take_number(&n, m, bytes);
  if (status)
    return status;
  switch (opcode) {
  case 'q':
  case 'r': return remember(m, n);
  case 'h':
  case 'j': return recall(m, n);
  case 'K':
  case 'M': return push_integer(m, (int64_t)n);
  case 'J': return push_integer(m, (int32_t)(uint32_t)n);
  case 'G': return push(m, (struct value){.kind = REAL});
  case 0x95: return STATUS_OK; /* FRAME: how much to read at once */
  default: return push_text(m, n);
  }
}

static enum status run(struct machine *m, unsigned char opcode) {
  switch (opcode) {
  case '(': return set_mark(m);
  case ')': return push_tuple(m, NULL, 0);
  case 't':
  case 'u':
  case 'e': return run_marked(m, opcode);
  case 0x85:
  case 0x86:
  case 0x87: return push_short_tuple(m, opcode - 0x84u);
  case '}': return push_dictionary(m);
  case ']': return push(m, (struct value){.kind = LIST});
  case 'a': return append(m);
  case 's': return set_item(m);
  case 'b': return build(m);
  case 'N': return push(m, (struct value){.kind = NONE});
  case 0x88:
  case 0x89: return push(m, (struct value){.kind = BOOLEAN});
  case 0x8a: return push_long(m);
  case 'c': return read_global(m);
  case 0x93: return read_stack_global(m);
  case 'R': return reduce(m);
  case 'Q': return read_storage(m);
  case 0x94: return remember(m, m->memo_count);
  case 'q':
  case 'r':
  case 'h':
  case 'j':
  case 'K':
  case 'M':
  case 'J':
  case 'G':
  case 'X':
  case 0x8c:
  case 0x8d:
  case 0x95: return run_number(m, opcode);
  default: return bad(m, "the opcode 0x%02x is none that a file of tensors needs; it is not run", opcode);
  }
}

/* --- the state dict ------------------------------------------------------------------------------- */

static enum status collect(struct pickle *out, const struct machine *m) {
  if (m->depth != 1 || m->mark_count || m->stack[0].kind != DICTIONARY)
    return bad(m, "the file has %s, not a dictionary of tensors",
               m->depth == 1 && !m->mark_count ? kind_names[m->stack[0].kind] : "several values");
  const struct dictionary *d = m->stack[0].dictionary;
  if (d->count > ST_TENSORS_MAX)
    return bad(m, "%zu tensors; at most %d are read", d->count, ST_TENSORS_MAX);
  out->tensors = arena_array(m->arena, d->count, sizeof *out->tensors);
  if (!out->tensors)
    return no_memory(m);
  for (size_t i = 0; i < d->count; i++) {
    const struct value *key = &d->items[i][0], *value = &d->items[i][1];
    if (key->kind != TEXT)
      return bad(m, "item %zu is named by %s, not by a text", i, kind_names[key->kind]);
    if (value->kind != TENSOR)
      return bad(m, "item %.80s is %s, not a tensor: only a model's own state dict is read", key->text,
                 kind_names[value->kind]);
    out->tensors[i] = *value->tensor;
    out->tensors[i].name = key->text;
  }
  out->count = d->count;
  return STATUS_OK;
}

enum status pickle_parse(struct pickle *out, const unsigned char *bytes, size_t length, struct arena *arena,
                         struct error *err) {
  struct machine m = {.bytes = bytes, .length = length, .arena = arena, .err = err};
  uint64_t version = 0;
  *out = (struct pickle){0};
  if (length > PICKLE_BYTES_MAX)
    return bad(&m, "%zu bytes; at most %d are read", length, PICKLE_BYTES_MAX);
  if (length < 2 || bytes[0] != 0x80)
    return bad(&m, "no pickle of protocol 2 to 5 begins here");
  m.at = 1;
  enum status status = take_number(&version, &m, 1);
  if (!status && (version < 2 || version > 5))
    return bad(&m, "protocol %" PRIu64 "; 2 to 5 are read", version);
  while (!status) {
    m.opcode = m.at;
    if (m.at == length)
      return bad(&m, "the pickle is cut short");
    unsigned char opcode = bytes[m.at++];
    if (opcode == '.')
      return collect(out, &m);
    status = run(&m, opcode);
  }
  return status;
}

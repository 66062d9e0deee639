/* Source to tokens, with Jinja's rules of white space as Transformers sets them: the newline after a
   block or comment goes (trim_blocks), so does the white space before one that begins its line
   (lstrip_blocks); - takes all white space on its side, + keeps it. */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "worker/jinja/run.h"
#include "worker/jinja/syntax.h"
#include "worker/text/unicode.h"

enum { BRACKETS_MAX = 200, NUMBER_MAX = 64 };

struct lexer {
  struct jinja_token_list *out;
  size_t size;
  struct arena *arena;
  const struct jinja_source *source;
  struct error *err;
  const char *text;
  size_t at, end;
  bool line_start; /* the last tag ended its line */
};

enum status jinja_fault(const struct jinja_source *source, size_t at, enum status status, struct error *err,
                        const char *format, ...) {
  size_t line = 1, column = 1;
  va_list args;
  for (size_t i = 0; i < at && i < source->length; i++) {
    if (source->text[i] == '\n') {
      line++;
      column = 1;
    } else if (((unsigned char)source->text[i] & 0xC0) != 0x80) {
      column++;
    }
  }
  if (at < source->length && ((unsigned char)source->text[at] & 0xC0) == 0x80)
    column--;
  va_start(args, format);
  error_setv(err, status, NULL, format, args);
  va_end(args);
  if (err)
    error_prefix(err, "line %zu, column %zu", line, column);
  return status;
}

#define fault(lexer, at, ...) jinja_fault((lexer)->source, at, STATUS_INVALID_VALUE, (lexer)->err, __VA_ARGS__)

static enum status add_token(struct lexer *l, struct jinja_token token) {
  if (l->out->count == l->size) {
    size_t size = l->size ? l->size * 2 : 256;
    struct jinja_token *items = arena_array(l->arena, size, sizeof *items);
    if (!items)
      return jinja_fault(l->source, token.at, STATUS_UNSUPPORTED_VALUE, l->err, "the template is too large");
    if (l->size)
      memcpy(items, l->out->items, l->size * sizeof *items);
    l->out->items = items;
    l->size = size;
  }
  l->out->items[l->out->count++] = token;
  return STATUS_OK;
}

static struct jinja_string slice(const struct lexer *l, size_t begin, size_t end) {
  return (struct jinja_string){.bytes = l->text + begin, .length = end - begin};
}

static bool starts(const struct lexer *l, size_t at, const char *what) {
  size_t length = strlen(what);
  return l->end - at >= length && memcmp(l->text + at, what, length) == 0;
}

/* The character at `at`, or 0 at the end. */
static uint32_t character(const struct lexer *l, size_t at, size_t *length) {
  *length = 0;
  return at < l->end ? utf8_decode(l->text + at, length) : 0;
}

static size_t skip_space(const struct lexer *l, size_t at) {
  size_t length;
  while (at < l->end && jinja_space(character(l, at, &length)))
    at += length;
  return at;
}

static size_t skip_blanks_back(const struct lexer *l, size_t begin, size_t at) {
  struct jinja_string all = slice(l, begin, at);
  return begin + jinja_strip(&all, NULL, false, true).length;
}

/* Where the text begin .. at before a tag ends; `sign` follows the tag's opening. */
static size_t text_end(const struct lexer *l, size_t begin, size_t at, char sign, bool is_output) {
  if (sign == '-')
    return skip_blanks_back(l, begin, at);
  if (sign == '+' || is_output)
    return at;
  size_t line = at;
  while (line > begin && l->text[line - 1] != '\n')
    line--;
  if (line == begin && !l->line_start)
    return at;
  return skip_blanks_back(l, line, at) == line ? line : at;
}

/* After the end of a block or comment at `at`, where `sign` stood before it. */
static size_t after_block(const struct lexer *l, size_t at, char sign) {
  if (sign == '-')
    return skip_space(l, at);
  return sign != '+' && at < l->end && l->text[at] == '\n' ? at + 1 : at;
}

static void passed(struct lexer *l, size_t at) {
  l->at = at;
  l->line_start = at > 0 && l->text[at - 1] == '\n';
}

/* --- strings and numbers -------------------------------------------------------------------------- */

static int digit(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  return isalpha((unsigned char)c) ? (c | 32) - 'a' + 10 : 99;
}

/* \x, \u, \U: exactly `count` digits; octal: at most `count`. */
static enum status code_escape(struct lexer *l, size_t *at, size_t count, int base, char **out) {
  uint32_t code = 0;
  size_t start = *at, read = 0;
  for (; read < count && *at < l->end && digit(l->text[*at]) < base; read++)
    code = code * (uint32_t)base + (uint32_t)digit(l->text[(*at)++]);
  if (base == 16 && read < count)
    return fault(l, start, "the escape needs %zu hexadecimal digits", count);
  if (code > 0x10FFFF)
    return fault(l, start, "the escape is no Unicode character");
  if (code >= 0xD800 && code < 0xE000)
    return jinja_fault(l->source, start, STATUS_UNSUPPORTED_VALUE, l->err,
                       "half of a surrogate pair is not supported as an escape");
  *out += utf8_encode(*out, code);
  return STATUS_OK;
}

/* The escape after a backslash, whose character is at *at. Python keeps backslashes it does not know. */
static enum status escape(struct lexer *l, size_t *at, char **out) {
  static const char names[] = "abfnrtv\\'\"", values[] = "\a\b\f\n\r\t\v\\'\"";
  char c = l->text[(*at)++];
  const char *known = c ? strchr(names, c) : NULL;
  if (known) {
    *(*out)++ = values[known - names];
    return STATUS_OK;
  }
  if (c >= '0' && c <= '7') {
    --*at;
    return code_escape(l, at, 3, 8, out);
  }
  if (c == 'x' || c == 'u' || c == 'U')
    return code_escape(l, at, c == 'x' ? 2 : c == 'u' ? 4 : 8, 16, out);
  if (c == 'N')
    return jinja_fault(l->source, *at - 2, STATUS_UNSUPPORTED_VALUE, l->err, "the escape \\N is not supported");
  if (c != '\n') {
    *(*out)++ = '\\';
    *(*out)++ = c;
  }
  return STATUS_OK;
}

static enum status lex_string(struct lexer *l) {
  size_t begin = l->at, at = begin + 1;
  char quote = l->text[begin];
  while (at < l->end && l->text[at] != quote)
    at += l->text[at] == '\\' ? 2 : 1;
  if (at >= l->end)
    return fault(l, begin, "the string has no end");
  /* No escape is shorter than what it stands for. */
  char *bytes = arena_alloc(l->arena, at - begin), *out = bytes;
  if (!bytes)
    return jinja_fault(l->source, begin, STATUS_UNSUPPORTED_VALUE, l->err, "the template is too large");
  for (size_t i = begin + 1; i < at;) {
    char c = l->text[i++];
    if (c != '\\') {
      *out++ = c;
      continue;
    }
    enum status status = escape(l, &i, &out);
    if (status)
      return status;
  }
  l->at = at + 1;
  struct jinja_string text = {.bytes = bytes, .length = (size_t)(out - bytes)};
  return add_token(l, (struct jinja_token){.kind = TOKEN_STRING, .at = begin, .text = text});
}

/* Copies digits of `base` without their underscores; false when there are too many. */
static bool digits(const struct lexer *l, size_t *at, int base, char *out, size_t *count) {
  for (; *at < l->end; ++*at) {
    char c = l->text[*at];
    if (c == '_' && *at + 1 < l->end && digit(l->text[*at + 1]) < base && digit(l->text[*at - 1]) < base)
      continue;
    if (digit(c) >= base)
      break;
    if (*count + 2 >= NUMBER_MAX)
      return false;
    out[(*count)++] = c;
  }
  out[*count] = '\0';
  return true;
}

static enum status lex_real(struct lexer *l, size_t begin, size_t at, char *number, size_t count) {
  bool fits = true;
  if (l->text[at] == '.') {
    number[count++] = l->text[at++];
    fits = digits(l, &at, 10, number, &count);
  }
  size_t exponent = at + 1;
  if (exponent < l->end && (l->text[exponent] == '+' || l->text[exponent] == '-'))
    exponent++;
  if (fits && at < l->end && (l->text[at] | 32) == 'e' && exponent < l->end && digit(l->text[exponent]) < 10 &&
      count + 3 < NUMBER_MAX) {
    number[count++] = 'e';
    if (exponent == at + 2)
      number[count++] = l->text[at + 1];
    at = exponent;
    fits = digits(l, &at, 10, number, &count);
  }
  if (!fits)
    return jinja_fault(l->source, begin, STATUS_UNSUPPORTED_VALUE, l->err, "the number has too many digits");
  l->at = at;
  return add_token(l, (struct jinja_token){.kind = TOKEN_FLOAT, .at = begin, .real = strtod(number, NULL)});
}

/* Does a float's rest begin here: .5 or e5? */
static bool is_real(const struct lexer *l, size_t at) {
  if (at + 1 >= l->end)
    return false;
  if (l->text[at] == '.')
    return digit(l->text[at + 1]) < 10;
  if ((l->text[at] | 32) != 'e')
    return false;
  at += l->text[at + 1] == '+' || l->text[at + 1] == '-' ? 2 : 1;
  return at < l->end && digit(l->text[at]) < 10;
}

static enum status lex_number(struct lexer *l) {
  char number[NUMBER_MAX];
  size_t begin = l->at, at = begin, count = 0;
  char kind = at + 1 < l->end && l->text[at] == '0' ? (char)(l->text[at + 1] | 32) : 0;
  int base = kind == 'x' ? 16 : kind == 'o' ? 8 : kind == 'b' ? 2 : 10;
  if (base != 10)
    at += 2;
  if (!digits(l, &at, base, number, &count))
    return jinja_fault(l->source, begin, STATUS_UNSUPPORTED_VALUE, l->err, "the number has too many digits");
  bool after_dot = begin > 0 && l->text[begin - 1] == '.';
  if (base == 10 && !after_dot && is_real(l, at))
    return lex_real(l, begin, at, number, count);
  if (!count || (base == 10 && number[0] == '0' && strspn(number, "0") < count))
    return fault(l, begin, "this is no number");
  errno = 0;
  int64_t value = strtoll(number, NULL, base);
  if (errno)
    return jinja_fault(l->source, begin, STATUS_UNSUPPORTED_VALUE, l->err, "integers beyond 64 bits are not supported");
  l->at = at;
  return add_token(l, (struct jinja_token){.kind = TOKEN_INT, .at = begin, .integer = value});
}

/* --- inside of tags ------------------------------------------------------------------------------- */

static enum status lex_operator(struct lexer *l) {
  static const struct {
    char text[3];
    int op;
  } pairs[] = {{"==", OP_EQ}, {"!=", OP_NE}, {"<=", OP_LE}, {">=", OP_GE}, {"//", OP_FLOOR}, {"**", OP_POWER}};
  for (size_t i = 0; i < COUNT_OF(pairs); i++)
    if (starts(l, l->at, pairs[i].text)) {
      l->at += 2;
      return add_token(l, (struct jinja_token){.kind = TOKEN_OPERATOR, .at = l->at - 2, .op = pairs[i].op});
    }
  char c = l->text[l->at];
  if (!c || !strchr("+-/*%~[](){}<>=.:|,;", c)) {
    size_t length;
    character(l, l->at, &length);
    return fault(l, l->at, "unexpected character \"%.*s\"", (int)length, l->text + l->at);
  }
  l->at++;
  return add_token(l, (struct jinja_token){.kind = TOKEN_OPERATOR, .at = l->at - 1, .op = c});
}

static enum status lex_token(struct lexer *l) {
  char c = l->text[l->at];
  if (isalpha((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80) {
    size_t begin = l->at;
    while (l->at < l->end && (isalnum((unsigned char)l->text[l->at]) || l->text[l->at] == '_' ||
                              (unsigned char)l->text[l->at] >= 0x80))
      l->at++;
    return add_token(l, (struct jinja_token){.kind = TOKEN_NAME, .at = begin, .text = slice(l, begin, l->at)});
  }
  if (c == '"' || c == '\'')
    return lex_string(l);
  return isdigit((unsigned char)c) ? lex_number(l) : lex_operator(l);
}

/* Keeps the brackets that are open; }} and %} end a tag only when there are none. */
static enum status balance(struct lexer *l, char open[BRACKETS_MAX], size_t *depth) {
  const struct jinja_token *token = &l->out->items[l->out->count - 1];
  if (token->kind != TOKEN_OPERATOR || token->op > 255 || !strchr("()[]{}", token->op))
    return STATUS_OK;
  if (strchr("([{", token->op)) {
    if (*depth == BRACKETS_MAX)
      return jinja_fault(l->source, token->at, STATUS_UNSUPPORTED_VALUE, l->err, "more than %d open brackets",
                         BRACKETS_MAX);
    open[(*depth)++] = (char)(token->op == '(' ? ')' : token->op == '[' ? ']' : '}');
    return STATUS_OK;
  }
  if (!*depth)
    return fault(l, token->at, "unexpected \"%c\"", token->op);
  if (open[--*depth] != token->op)
    return fault(l, token->at, "unexpected \"%c\", expected \"%c\"", token->op, open[*depth]);
  return STATUS_OK;
}

/* The tokens of a tag up to its end, "}}" or "%}". */
static enum status lex_tag(struct lexer *l, const char *close, size_t begin) {
  char open[BRACKETS_MAX];
  size_t depth = 0;
  bool is_block = close[0] == '%';
  for (;;) {
    l->at = skip_space(l, l->at);
    if (l->at >= l->end)
      return fault(l, begin, "the tag has no end \"%s\"", close);
    char sign = l->text[l->at];
    bool signed_end = (sign == '-' || (is_block && sign == '+')) && starts(l, l->at + 1, close);
    if (depth == 0 && (signed_end || starts(l, l->at, close))) {
      size_t at = l->at, after = at + signed_end + 2;
      sign = signed_end ? sign : 0;
      passed(l, is_block ? after_block(l, after, sign) : sign ? skip_space(l, after) : after);
      return add_token(l, (struct jinja_token){.kind = is_block ? TOKEN_BLOCK_END : TOKEN_VARIABLE_END, .at = at});
    }
    enum status status = lex_token(l);
    if (!status)
      status = balance(l, open, &depth);
    if (status)
      return status;
  }
}

/* {% raw %} at `at`? *after is the byte after it. `word` is raw or endraw. */
static bool is_raw(const struct lexer *l, size_t at, const char *word, size_t *after) {
  at += 2;
  if (at < l->end && (l->text[at] == '-' || l->text[at] == '+'))
    at++;
  at = skip_space(l, at);
  if (!starts(l, at, word))
    return false;
  at = skip_space(l, at + strlen(word));
  char sign = at < l->end ? l->text[at] : 0;
  bool is_end = word[0] == 'e';
  if (sign == '-' || (sign == '+' && is_end))
    at++;
  else
    sign = 0;
  if (!starts(l, at, "%}"))
    return false;
  *after = is_end ? after_block(l, at + 2, sign) : sign == '-' ? skip_space(l, at + 2) : at + 2;
  return true;
}

static enum status add_text(struct lexer *l, size_t begin, size_t end) {
  if (begin == end)
    return STATUS_OK;
  return add_token(l, (struct jinja_token){.kind = TOKEN_DATA, .at = begin, .text = slice(l, begin, end)});
}

static enum status lex_raw(struct lexer *l, size_t begin, size_t at) {
  passed(l, at);
  for (size_t i = at; i < l->end; i++) {
    size_t after;
    if (!starts(l, i, "{%") || !is_raw(l, i, "endraw", &after))
      continue;
    enum status status = add_text(l, at, text_end(l, at, i, i + 2 < l->end ? l->text[i + 2] : 0, false));
    passed(l, after);
    return status;
  }
  return fault(l, begin, "{%% raw %%} has no {%% endraw %%}");
}

static enum status lex_comment(struct lexer *l, size_t begin) {
  const char *close = begin + 2 < l->end ? memmem(l->text + begin + 2, l->end - begin - 2, "#}", 2) : NULL;
  if (!close)
    return fault(l, begin, "the comment has no end \"#}\"");
  size_t at = (size_t)(close - l->text);
  char sign = at > begin + 2 && (l->text[at - 1] == '-' || l->text[at - 1] == '+') ? l->text[at - 1] : 0;
  passed(l, after_block(l, at + 2, sign));
  return STATUS_OK;
}

static enum status lex_one(struct lexer *l) {
  size_t begin = l->at, at = begin, after;
  while (at + 1 < l->end && !(l->text[at] == '{' && strchr("{%#", l->text[at + 1]) && l->text[at + 1]))
    at++;
  if (at + 1 >= l->end) {
    l->at = l->end;
    return add_text(l, begin, l->end);
  }
  char kind = l->text[at + 1], sign = at + 2 < l->end ? l->text[at + 2] : 0;
  enum status status = add_text(l, begin, text_end(l, begin, at, sign, kind == '{'));
  if (status)
    return status;
  if (kind == '#')
    return lex_comment(l, at);
  if (kind == '%' && is_raw(l, at, "raw", &after))
    return lex_raw(l, at, after);
  status = add_token(l, (struct jinja_token){.kind = kind == '{' ? TOKEN_VARIABLE_BEGIN : TOKEN_BLOCK_BEGIN, .at = at});
  if (status)
    return status;
  l->at = at + 2 + (sign == '-' || (sign == '+' && kind == '%'));
  return lex_tag(l, kind == '{' ? "}}" : "%}", at);
}

enum status jinja_lex(struct jinja_token_list *out, struct arena *arena, const struct jinja_source *source,
                      struct error *err) {
  struct lexer l = {.out = out, .arena = arena, .source = source, .err = err, .text = source->text,
                    .end = source->length, .line_start = true};
  size_t bad;
  *out = (struct jinja_token_list){0};
  if (!utf8_valid(source->text, source->length, &bad))
    return jinja_fault(source, bad, STATUS_INVALID_VALUE, err, "the template is not UTF-8");
  if (memchr(source->text, '\0', source->length))
    return jinja_fault(source, strlen(source->text), STATUS_INVALID_VALUE, err, "the template has a NUL byte");
  while (l.at < l.end) {
    enum status status = lex_one(&l);
    if (status)
      return status;
  }
  return add_token(&l, (struct jinja_token){.kind = TOKEN_END, .at = source->length});
}

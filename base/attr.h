/* Compiler attributes under readable names, and the check for our own mistakes. */
#ifndef BASE_ATTR_H
#define BASE_ATTR_H

#define NODISCARD __attribute__((warn_unused_result))
#define PRINTF(format_index, first_index) __attribute__((format(printf, format_index, first_index)))
#define NORETURN __attribute__((noreturn))
#define COLD __attribute__((cold))

/* Runs `verb` on the variable's address when it leaves its scope: for resources that stay within
   one function, never for ones whose ownership moves. */
#define AUTO(verb) __attribute__((cleanup(verb)))

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* A condition that only a bug of ours can break. Active in release builds: it prints the place and
   the condition to stderr and aborts. Never used on input. */
#define CHECK(condition)                                            \
  do {                                                              \
    if (__builtin_expect(!(condition), 0))                          \
      check_failed(__FILE__, __LINE__, #condition);                 \
  } while (0)

NORETURN COLD void check_failed(const char *file, int line, const char *condition);

#endif

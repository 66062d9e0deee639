/* reflect profiles: named servers, so that neither address nor key is typed again. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "cli/command.h"
#include "cli/text.h"

enum { ARENA_BYTES = 4 << 20 };

static const char *key_of(const struct connection *connection) {
  return connection->key ? "kept here" : connection->key_file ? connection->key_file : "-";
}

static void cell_name(struct str *out, const json_t *item) {
  str_puts(out, json_is_true(json_object_get(item, "in_use")) ? "* " : "  ");
  text_clean(out, text_member(item, "name", "-"));
}
static const struct text_column columns[] = {{"  NAME", cell_name, NULL},
                                             {"URL", text_cell, "base_url"},
                                             {"KEY", text_cell, "key"},
                                             {"TENANT", text_cell, "tenant"}};

static enum exit_code show(const struct cli *cli, const struct profiles *profiles) {
  AUTO(json_release) json_t *list = json_array();
  for (size_t i = 0; i < profiles->count; i++) {
    const struct profile *profile = &profiles->item[i];
    const struct connection *c = &profile->connection;
    bool in_use = profiles->current && strcmp(profiles->current, profile->name) == 0;
    json_array_append_new(list, json_pack("{ss sb ss ss ss? ss?}", "name", profile->name, "in_use", in_use, "base_url",
                                          c->url, "key", key_of(c), "tenant", c->tenant, "cacert", c->cacert));
  }
  if (cli->json) {
    AUTO(json_release) json_t *out = json_pack("{ss sO}", "path", profiles->path, "data", list);
    return cli_print_json(out);
  }
  AUTO(str_done) struct str text;
  str_init(&text, 1 << 20);
  text_table(&text, columns, COUNT_OF(columns), list);
  fputs(text.text, stdout);
  return EXIT_DONE;
}

/* Relative names would mean another file in another folder. */
static enum status absolute(const char **path, struct arena *arena, struct error *err) {
  char full[PATH_MAX];
  if (!*path)
    return STATUS_OK;
  if (!realpath(*path, full))
    return error_set_errno(err, STATUS_IO, NULL, "%s", *path);
  *path = arena_string(arena, full);
  return *path ? STATUS_OK : error_set(err, STATUS_OUT_OF_MEMORY, NULL, "out of memory");
}

static enum status add(struct profiles *profiles, const char *name, const struct connection *flags, struct arena *arena,
                       struct error *err) {
  struct connection connection = *flags;
  if (!profile_name_valid(name))
    return error_set(err, STATUS_INVALID_VALUE, "NAME", "\"%s\" is no name of a profile: letters, digits, - _ .", name);
  if (profiles_find(profiles, name))
    return error_set(err, STATUS_INVALID_VALUE, "NAME",
                     "there is a profile \"%s\" already; reflect profiles remove %s takes it away", name, name);
  if (profiles->count == PROFILES_MAX)
    return error_set(err, STATUS_TOO_LARGE, "NAME", "there are %d profiles, no more fit", PROFILES_MAX);
  if (!connection.url)
    return error_set(err, STATUS_MISSING_PARAMETER, "url", "--url is missing: the server that the profile is to name");
  if (strncmp(connection.url, "http://", 7) != 0 && strncmp(connection.url, "https://", 8) != 0)
    return error_set(err, STATUS_INVALID_VALUE, "url", "not a http:// or https:// address: %s", connection.url);
  if (connection.key && connection.key_file)
    return error_set(err, STATUS_INVALID_VALUE, "key-file", "--key and --key-file are both given");
  enum status status = absolute(&connection.key_file, arena, err);
  if (!status)
    status = absolute(&connection.cacert, arena, err);
  if (status)
    return status;
  profiles->item[profiles->count++] = (struct profile){name, connection};
  if (!profiles->current)
    profiles->current = name;
  return STATUS_OK;
}

static enum status use(struct profiles *profiles, const char *name, struct error *err) {
  if (!profiles_find(profiles, name))
    return error_set(err, STATUS_INVALID_VALUE, "NAME", "there is no profile \"%s\"", name);
  profiles->current = name;
  return STATUS_OK;
}

static enum status take_away(struct profiles *profiles, const char *name, struct error *err) {
  struct profile *profile = profiles_find(profiles, name);
  if (!profile)
    return error_set(err, STATUS_INVALID_VALUE, "NAME", "there is no profile \"%s\"", name);
  if (profiles->current && strcmp(profiles->current, name) == 0)
    profiles->current = NULL;
  size_t after = (size_t)(&profiles->item[--profiles->count] - profile);
  memmove(profile, profile + 1, after * sizeof *profile);
  return STATUS_OK;
}

enum change { NOTHING, ADD, USE, REMOVE };

/* Reads, changes, writes, and shows what there is. */
static enum exit_code carry_out(struct cli *cli, enum change change, const char *name) {
  AUTO(arena_done) struct arena arena;
  struct profiles profiles;
  struct error err;
  arena_init(&arena, ARENA_BYTES);
  enum status status = profiles_read(&profiles, &arena, &err);
  if (!status && change == ADD)
    status = add(&profiles, name, cli->flags, &arena, &err);
  if (!status && change == USE)
    status = use(&profiles, name, &err);
  if (!status && change == REMOVE)
    status = take_away(&profiles, name, &err);
  if (!status && change != NOTHING)
    status = profiles_write(&profiles, &err);
  return status ? cli_fail(cli, &err) : show(cli, &profiles);
}

static enum exit_code profiles_list(struct cli *cli, const char *const *operands, const void *values,
                                    json_t *document) {
  (void)operands, (void)values, (void)document;
  return carry_out(cli, NOTHING, NULL);
}
static enum exit_code profiles_add(struct cli *cli, const char *const *operands, const void *values, json_t *document) {
  (void)values, (void)document;
  return carry_out(cli, ADD, operands[0]);
}
static enum exit_code profiles_use(struct cli *cli, const char *const *operands, const void *values, json_t *document) {
  (void)values, (void)document;
  return carry_out(cli, USE, operands[0]);
}
static enum exit_code profiles_remove(struct cli *cli, const char *const *operands, const void *values,
                                      json_t *document) {
  (void)values, (void)document;
  return carry_out(cli, REMOVE, operands[0]);
}

static const struct command commands[] = {
    {.verb = "list", .operands = "", .doc = "List named servers; * is the one in use", .run = profiles_list},
    {
        .verb = "add",
        .operands = "NAME",
        .operand_count = 1,
        .doc = "Name the server of --url, with --key-file (or --key), --tenant and --cacert",
        .run = profiles_add,
    },
    {
        .verb = "use",
        .operands = "NAME",
        .operand_count = 1,
        .doc = "Use it where none is named",
        .run = profiles_use,
    },
    {.verb = "remove", .operands = "NAME", .operand_count = 1, .doc = "Forget it", .run = profiles_remove},
};

const struct noun profiles_noun = {
    .name = "profiles",
    .doc = "Named servers, in ~/.config/reflect/config.json",
    .commands = commands,
    .count = COUNT_OF(commands),
    .verb_optional = true,
    .is_local = true,
};

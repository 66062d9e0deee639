#include "cli/profile.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/field.h"
#include "base/file.h"
#include "base/json.h"

enum { FILE_BYTES_MAX = 1 << 20, KEY_BYTES_MAX = 4096 };

#define AT(member) offsetof(struct connection, member)
static const struct field fields[] = {
    {"base_url", NULL, FIELD_STRING, AT(url), FIELD_REQUIRED, 1, 2000, .doc = "The server's address."},
    {"api_key", NULL, FIELD_STRING, AT(key), 0, 1, 4000, .doc = "The key that it is sent."},
    {"api_key_file", NULL, FIELD_STRING, AT(key_file), 0, 1, 4000, .doc = "Or the file that has it."},
    {"tenant", NULL, FIELD_STRING, AT(tenant), 0, 1, 200, .doc = "Of operators: whose things."},
    {"cacert", NULL, FIELD_STRING, AT(cacert), 0, 1, 4000, .doc = "PEM file of the authorities that are trusted."},
};
#undef AT
static const struct field_table table = {.fields = fields, .count = COUNT_OF(fields)};

bool profile_name_valid(const char *name) {
  size_t length = strlen(name);
  return length > 0 && length <= PROFILE_NAME_MAX && name[0] != '-' &&
         strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == length;
}

struct profile *profiles_find(struct profiles *profiles, const char *name) {
  for (size_t i = 0; i < profiles->count; i++)
    if (strcmp(profiles->item[i].name, name) == 0)
      return &profiles->item[i];
  return NULL;
}

/* ---- the file ---- */

static enum status find_path(const char **out, struct arena *arena, struct error *err) {
  const char *folder = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
  const struct passwd *user = home && *home ? NULL : getpwuid(getuid());
  if (folder && *folder == '/') /* the specification has relative ones ignored */
    *out = arena_format(arena, "%s/reflect/config.json", folder);
  else if ((home && *home) || user)
    *out = arena_format(arena, "%s/.config/reflect/config.json", home && *home ? home : user->pw_dir);
  else
    return error_set(err, STATUS_IO, NULL, "there is no home folder to look for profiles in: set HOME");
  return *out ? STATUS_OK : error_set(err, STATUS_OUT_OF_MEMORY, NULL, "out of memory");
}

static enum status read_profile(struct profiles *out, const char *name, const json_t *value, struct arena *arena,
                                struct error *err) {
  struct fault_list faults = {0};
  struct profile *profile = &out->item[out->count];
  const char *path = arena_format(arena, "profiles.%s", name);
  if (out->count == PROFILES_MAX)
    return error_set(err, STATUS_TOO_LARGE, "profiles", "there are more than %d profiles", PROFILES_MAX);
  if (!profile_name_valid(name))
    return error_set(err, STATUS_INVALID_VALUE, "profiles", "\"%s\" is no name of a profile: letters, digits, - _ .",
                     name);
  if (!json_is_object(value))
    return error_set(err, STATUS_INVALID_VALUE, path, "profiles.%s must be an object, not %s", name, json_kind(value));
  profile->name = arena_string(arena, name);
  field_read(&table, &profile->connection, value, path ? path : "", NULL, arena, &faults);
  if (!path || !profile->name)
    return error_set(err, STATUS_OUT_OF_MEMORY, NULL, "out of memory");
  if (faults.count)
    return error_set(err, faults.item[0].status, faults.item[0].param, "%s", faults.item[0].text);
  if (profile->connection.key && profile->connection.key_file)
    return error_set(err, STATUS_INVALID_VALUE, path, "%s has both api_key and api_key_file", path);
  out->count++;
  return STATUS_OK;
}

static enum status read_document(struct profiles *out, const json_t *document, struct arena *arena, struct error *err) {
  const char *name;
  json_t *value;
  enum status status = STATUS_OK;
  if (!json_is_object(document))
    return error_set(err, STATUS_INVALID_VALUE, NULL, "expected an object, found %s", json_kind(document));
  json_object_foreach((json_t *)(uintptr_t)document, name, value) {
    const char *inner;
    json_t *profile;
    if (strcmp(name, "profile") == 0 && (json_is_null(value) || json_is_string(value))) {
      out->current = json_is_string(value) ? arena_string(arena, json_string_value(value)) : NULL;
    } else if (strcmp(name, "profiles") == 0 && json_is_object(value)) {
      json_object_foreach(value, inner, profile) {
        if (!status)
          status = read_profile(out, inner, profile, arena, err);
      }
    } else {
      return error_set(err, STATUS_UNKNOWN_PARAMETER, name,
                       "\"%s\" is not expected; there are \"profile\", a name, and \"profiles\", an object", name);
    }
  }
  if (!status && out->current && !profiles_find(out, out->current))
    status = error_set(err, STATUS_INVALID_VALUE, "profile",
                       "\"profile\" names \"%s\", which is not among the profiles", out->current);
  return status;
}

/* What has a key in it is its owner's alone. */
static enum status check_mode(const struct profiles *profiles, mode_t mode, struct error *err) {
  for (size_t i = 0; i < profiles->count; i++)
    if (profiles->item[i].connection.key && (mode & 077))
      return error_set(err, STATUS_INVALID_VALUE, NULL,
                       "it has a key, and others may read it (mode %04o): chmod 600 %s", (unsigned)(mode & 07777),
                       profiles->path);
  return STATUS_OK;
}

enum status profiles_read(struct profiles *out, struct arena *arena, struct error *err) {
  AUTO(json_release) json_t *document = NULL;
  struct stat info;
  *out = (struct profiles){0};
  enum status status = find_path(&out->path, arena, err);
  if (status)
    return status;
  if (stat(out->path, &info) != 0)
    return errno == ENOENT || errno == ENOTDIR ? STATUS_OK : error_set_errno(err, STATUS_IO, NULL, "%s", out->path);
  status = json_parse_file(&document, out->path, &(struct json_limits){.bytes_max = FILE_BYTES_MAX}, err);
  if (status)
    return status;
  status = read_document(out, document, arena, err);
  if (!status)
    status = check_mode(out, info.st_mode, err);
  if (status)
    (void)error_prefix(err, "%s", out->path);
  return status;
}

/* Members that are not said are left out. */
static json_t *document_of(const struct profiles *profiles) {
  json_t *all = json_object();
  for (size_t i = 0; i < profiles->count; i++) {
    const char *name;
    json_t *value, *profile = field_write(&table, &profiles->item[i].connection);
    void *next;
    json_object_foreach_safe(profile, next, name, value) {
      if (json_is_null(value))
        json_object_del(profile, name);
    }
    json_object_set_new(all, profiles->item[i].name, profile);
  }
  return json_pack("{s:s?, s:o}", "profile", profiles->current, "profiles", all);
}

enum status profiles_write(const struct profiles *profiles, struct error *err) {
  AUTO(json_release) json_t *document = document_of(profiles);
  char *text = document ? json_dumps(document, JSON_INDENT(2)) : NULL, *folder = strdup(profiles->path);
  enum status status = STATUS_OK;
  if (text && folder) {
    *strrchr(folder, '/') = '\0';
    status = file_mkdirs(folder, err);
    if (!status)
      status = file_put(profiles->path, text, strlen(text), err);
  } else {
    status = error_set(err, STATUS_OUT_OF_MEMORY, NULL, "out of memory");
  }
  free(text);
  free(folder);
  return status;
}

/* ---- which one ---- */

static const char *first_said(const char *a, const char *b) {
  return a && *a ? a : b && *b ? b : NULL;
}

/* Of a tail that says the same: "http://host/", "http://host/v1". */
static size_t base_length(const char *url) {
  size_t length = strlen(url);
  while (length > 0 && url[length - 1] == '/')
    length--;
  return length > 3 && memcmp(url + length - 3, "/v1", 3) == 0 ? length - 3 : length;
}

static bool same_server(const char *a, const char *b) {
  size_t length = base_length(a);
  return length == base_length(b) && memcmp(a, b, length) == 0;
}

static enum status find_named(const struct profile **out, struct profiles *profiles, const char *name,
                              struct error *err) {
  AUTO(str_done) struct str names;
  str_init(&names, 1 << 16);
  *out = profiles_find(profiles, name);
  if (*out)
    return STATUS_OK;
  for (size_t i = 0; i < profiles->count; i++)
    str_printf(&names, "%s%s", i ? ", " : "", profiles->item[i].name);
  return error_set(err, STATUS_INVALID_VALUE, "profile", "there is no profile \"%s\" in %s; there %s%s", name,
                   profiles->path, profiles->count ? "are: " : "is none", names.text);
}

/* The members of `strong`, where it has none those of `weak`. A key and a key file say the same thing. */
static struct connection join(const struct connection *strong, const struct connection *weak) {
  bool key = first_said(strong->key, strong->key_file) != NULL;
  return (struct connection){.url = first_said(strong->url, weak->url),
                             .key = key ? strong->key : weak->key,
                             .key_file = key ? strong->key_file : weak->key_file,
                             .tenant = first_said(strong->tenant, weak->tenant),
                             .cacert = first_said(strong->cacert, weak->cacert)};
}

enum status connection_resolve(struct connection *out, const struct profile **used, const struct connection *flags,
                               const char *named, const struct connection *environment, const char *chosen,
                               struct profiles *profiles, struct error *err) {
  const char *name = first_said(named, first_said(chosen, profiles->current));
  *used = NULL;
  if (name) {
    enum status status = find_named(used, profiles, name, err);
    if (status)
      return status;
  }
  bool on_line = named && *named;
  const struct connection nothing = {0};
  const struct profile *profile = *used;
  /* What was said before the profile is, and may name another server. */
  struct connection before = on_line ? *flags : join(flags, environment);
  if (profile && before.url && !same_server(before.url, profile->connection.url)) {
    if (on_line)
      return error_set(err, STATUS_INVALID_VALUE, "profile",
                       "--profile %s is the server %s, and --url names another: leave one of them out", name,
                       profile->connection.url);
    *used = profile = NULL;
  }
  struct connection own = join(&before, profile ? &profile->connection : &nothing);
  *out = join(&own, environment);
  return STATUS_OK;
}

enum status connection_read_key(struct connection *connection, struct arena *arena, struct error *err) {
  char *text;
  size_t length;
  if (!connection->key_file || connection->key)
    return STATUS_OK;
  enum status status = file_read(&text, &length, connection->key_file, KEY_BYTES_MAX, err);
  if (status)
    return error_prefix(err, "the key's file");
  text[strcspn(text, "\r\n")] = '\0';
  connection->key = arena_string(arena, text);
  bool empty = !*text;
  explicit_bzero(text, length);
  free(text);
  if (empty)
    return error_set(err, STATUS_INVALID_VALUE, "key-file", "the key's file %s is empty", connection->key_file);
  return connection->key ? STATUS_OK : error_set(err, STATUS_OUT_OF_MEMORY, NULL, "out of memory");
}

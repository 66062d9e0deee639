/* Named servers: REFLECT's configuration file, {"profile": "work", "profiles": {"work": {"base_url": ...}}}. What is
   said on the command line goes before the environment, that before a profile, that before the defaults; a profile that
   the command line names counts as said there. A profile's key, tenant and authorities go to its own base_url alone. */
#ifndef CLI_PROFILE_H
#define CLI_PROFILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"

enum { PROFILES_MAX = 256, PROFILE_NAME_MAX = 64 };

/* How a server is talked to. Members that are not said are NULL. */
struct connection {
  const char *url, *key, *key_file, *tenant, *cacert;
};

struct profile {
  const char *name;
  struct connection connection;
};

struct profiles {
  const char *path;    /* of the file, which may not be there */
  const char *current; /* the one that is used when none is named, or NULL */
  size_t count;
  struct profile item[PROFILES_MAX];
};

/* Reads $XDG_CONFIG_HOME/reflect/config.json, else ~/.config/reflect/config.json; one that is not there is empty. A
   file that has a key and that others may read is refused (STATUS_INVALID_VALUE), and so is any member that is unknown.
   Strings live in the arena. */
NODISCARD enum status profiles_read(struct profiles *out, struct arena *arena, struct error *err);
/* Writes it whole, with mode 0600. */
NODISCARD enum status profiles_write(const struct profiles *profiles, struct error *err);

/* NULL: there is none of that name. */
struct profile *profiles_find(struct profiles *profiles, const char *name);
/* The name of one may have letters, digits, '-', '_' and '.'. */
bool profile_name_valid(const char *name);

/* What is talked to: `flags` and `named` (--profile) are the command line's, `environment` and `chosen`
   ($REFLECT_PROFILE) the environment's. *used is the profile that it comes from, or NULL. A key file is not read yet.
   STATUS_INVALID_VALUE: there is no such profile, or a profile was named together with another server's address. */
NODISCARD enum status connection_resolve(struct connection *out, const struct profile **used,
                                         const struct connection *flags, const char *named,
                                         const struct connection *environment, const char *chosen,
                                         struct profiles *profiles, struct error *err);
/* Takes the key from the key file, where there is one. */
NODISCARD enum status connection_read_key(struct connection *connection, struct arena *arena, struct error *err);

#endif

/* What the daemon says of itself: there is one, it is ready, it takes the key, and it has models. */
#include <string.h>

#include "base/json.h"
#include "cli/findings.h"
#include "cli/text.h"

enum { MODELS_SHOWN = 10 };

static bool look_at_version(struct findings *findings, struct cli *cli) {
  AUTO(json_release) json_t *answer = NULL;
  struct error err;
  if (http_json(&cli->http, &answer, "GET", "/version", NULL, &err) != STATUS_OK) {
    finding(findings, FINDING_FAIL, "server", "start reflectd, or name another with --url, --profile or $REFLECT_URL",
            "%s", err.text);
    return false;
  }
  const char *name = text_member(answer, "name", "?"), *version = text_member(answer, "version", "?");
  bool ours = strcmp(name, "reflectd") == 0, same = strcmp(version, REFLECTD_VERSION) == 0;
  finding(findings,
          !ours  ? FINDING_FAIL
          : same ? FINDING_OK
                 : FINDING_WARN,
          "server",
          !ours  ? "is the address right?"
          : same ? NULL
                 : "take client and server of one version; what only one of them knows does not work",
          "%s %s at %s%s", name, version, cli->http.url, same ? "" : "; this client is " REFLECTD_VERSION);
  return ours;
}

static void look_at_readiness(struct findings *findings, struct cli *cli) {
  AUTO(json_release) json_t *answer = NULL;
  struct error err;
  bool ready = http_json(&cli->http, &answer, "GET", "/readyz", NULL, &err) == STATUS_OK;
  finding(findings, ready ? FINDING_OK : FINDING_FAIL, "ready", ready ? NULL : "jobs wait until this is mended", "%s",
          ready ? "it takes jobs" : err.text);
}

/* True: the key is good for the rest. */
static bool look_at_key(struct findings *findings, struct cli *cli, json_t **capabilities) {
  struct error err;
  if (http_json(&cli->http, capabilities, "GET", "/v1/capabilities", NULL, &err) != STATUS_OK) {
    finding(findings, FINDING_FAIL, "key",
            err.status == STATUS_INVALID_API_KEY ? "ask who runs the server for a key: $REFLECT_API_KEY, or a profile"
                                                 : NULL,
            "%s", err.text);
    return false;
  }
  const json_t *caller = json_object_get(*capabilities, "caller");
  const json_t *tenant = json_object_get(json_object_get(*capabilities, "limits"), "tenant");
  const char *scope = text_member(caller, "scope", NULL), *id = text_member(caller, "key_id", NULL);
  bool reads = scope && strcmp(scope, "read") == 0, open = json_is_false(json_object_get(caller, "key_needed"));
  finding(findings, reads || (open && !cli->http.loopback) ? FINDING_WARN : FINDING_OK, "key",
          reads  ? "it can look, but not submit: ask for one of scope submit"
          : open ? (cli->http.loopback ? NULL : "whoever reaches the server is its operator: reflectd keys create")
                 : NULL,
          "%s%s%s: scope %s, tenant %s",
          open ? "none is needed"
          : id ? "valid, "
               : "valid, the configured one",
          !open && id ? id : "", "", scope ? scope : "unknown (an older server)", text_member(tenant, "id", "?"));
  if (cli->http.key && !cli->http.loopback && strncmp(cli->http.url, "https://", 8) != 0)
    finding(findings, FINDING_WARN, "key", "use https://", "it crosses the network unencrypted");
  return true;
}

static void look_at_models(struct findings *findings, const json_t *capabilities) {
  size_t index, usable = 0, unusable = 0, unknown = 0;
  const json_t *entry;
  json_array_foreach(json_object_get(capabilities, "devices"), index, entry)
      finding(findings, FINDING_OK, "runs on", NULL, "%s: %s, %lld at a time", text_member(entry, "name", "?"),
              text_member(entry, "processor", "?"), (long long)json_integer_value(json_object_get(entry, "places")));
  json_array_foreach(json_object_get(capabilities, "models"), index, entry) {
    const json_t *good = json_object_get(entry, "usable");
    usable += json_is_true(good);
    unknown += !json_is_boolean(good);
    if (json_is_false(good) && unusable++ < MODELS_SHOWN)
      finding(findings, FINDING_WARN, "models", "mend its folder, or take it away", "%s: %s",
              text_member(entry, "id", "?"),
              text_member(json_object_get(entry, "error"), "message", "no job can use it"));
  }
  bool none = usable + unknown == 0;
  finding(findings, none ? FINDING_FAIL : FINDING_OK, "models",
          none ? "put one into the models folder of the server: reflect models add FOLDER --models DIR" : NULL,
          "%zu that jobs can use, %zu not looked at yet, %zu that cannot be used", usable, unknown, unusable);
}

void doctor_server(struct findings *findings, struct cli *cli) {
  AUTO(json_release) json_t *capabilities = NULL;
  if (!look_at_version(findings, cli))
    return;
  look_at_readiness(findings, cli);
  if (look_at_key(findings, cli, &capabilities))
    look_at_models(findings, capabilities);
}

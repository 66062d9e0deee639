/* The dashboard: the files of server/web/, which are part of the program. They say nothing that is anybody's own, so
   they need no key; what the page shows it asks for as any other client does. */
#include <string.h>

#include "base/hash.h"
#include "server/http/reply.h"

/* Each file as it is, and as gzip packs it: the Makefile makes the second. */
#define WEB(symbol, name, type)                                                                                        \
  __asm__(".pushsection .rodata\n" #symbol ": .incbin \"server/web/" name "\"\n" #symbol "_end:\n" #symbol             \
          "_packed: .incbin \"" WEB_PACKED "/" name ".gz\"\n" #symbol "_packed_end:\n.popsection\n");                  \
  extern const char symbol[], symbol##_end[], symbol##_packed[], symbol##_packed_end[];
#include "server/web/files.def"
#undef WEB

static const struct web_file {
  const char *name, *type, *text, *text_end, *packed, *packed_end;
} files[] = {
#define WEB(symbol, name, type) {name, type, symbol, symbol##_end, symbol##_packed, symbol##_packed_end},
#include "server/web/files.def"
#undef WEB
};

/* Scripts, styles, pictures and requests of this server alone: a script that some name or message smuggled into the
   page would not run. Pictures that need a key are fetched with it, and shown as blobs. */
static const char POLICY[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/* Does an Accept-Encoding take gzip? */
static bool takes_gzip(const char *header) {
  for (const char *at = header; at && (at = strcasestr(at, "gzip")) != NULL; at += strlen("gzip")) {
    const char *weight = at + strlen("gzip");
    weight += strspn(weight, " \t");
    if (*weight != ';')
      return *weight == '\0' || *weight == ',';
    weight += 1 + strspn(weight + 1, " \t");
    return strncasecmp(weight, "q=0", 3) != 0 || (weight[3] == '.' && weight[4 + strspn(weight + 4, "0")] >= '1');
  }
  return false;
}

static void send_file(struct request *request, const struct web_file *file) {
  static char hashes[COUNT_OF(files)][HASH_HEX]; /* made when they are asked for first */
  char *hash = hashes[file - files], etag[48];
  bool packed = takes_gzip(request_header(request, "Accept-Encoding"));
  if (!hash[0])
    hash_bytes(hash, file->text, (size_t)(file->text_end - file->text));
  snprintf(etag, sizeof etag, "\"%.32s%s\"", hash, packed ? "-gzip" : "");
  reply_fixed(request, &(struct reply_fixed){
                           .bytes = packed ? file->packed : file->text,
                           .length = (size_t)(packed ? file->packed_end - file->packed : file->text_end - file->text),
                           .content_type = file->type,
                           .etag = etag,
                           .policy = POLICY,
                           .gzip = packed,
                       });
}

static void send_named(struct request *request, const char *name) {
  struct error err;
  for (size_t i = 0; i < COUNT_OF(files); i++)
    if (strcmp(files[i].name, name) == 0) {
      send_file(request, &files[i]);
      return;
    }
  error_set(&err, STATUS_NOT_FOUND, NULL, "the dashboard has no such file");
  reply_error(request, &err);
}

void http_web_page(struct request *request) {
  send_named(request, "index.html");
}

void http_web_docs(struct request *request) {
  send_named(request, "docs.html");
}

void http_web_file(struct request *request) {
  send_named(request, request_param(request, 0));
}

#include "worker/backend/backend.h"

#include <stdlib.h>

static char host_memory;
struct buffer *const place_host_memory = (struct buffer *)(void *)&host_memory;

void backend_set_precision(struct backend *backend, enum precision precision) {
  backend->ops->set_precision(backend, precision);
}

void backend_set_matmul(struct backend *backend, enum matmul_library library) {
  if (backend->ops->set_matmul)
    backend->ops->set_matmul(backend, library);
}

bool backend_emulates_bf16(const struct backend *backend) {
  return backend->ops->emulates_bf16 && backend->ops->emulates_bf16(backend);
}

void backend_close(struct backend *backend) {
  if (backend->ops) /* else it was never opened */
    backend->ops->close(backend);
  *backend = (struct backend){0};
}

struct owned_buffer {
  struct owned_buffer *next;
  struct place place;
  size_t bytes;
};

enum status buffers_new(struct buffers *owner, struct place *out, size_t bytes, struct error *err) {
  struct owned_buffer *own = malloc(sizeof *own);
  *out = (struct place){0};
  if (!own)
    return error_no_memory(err, "a buffer");
  *own = (struct owned_buffer){.next = owner->first, .bytes = bytes};
  enum status status = owner->backend->ops->allocate(owner->backend, &own->place, bytes, err);
  if (status) {
    free(own);
    return status;
  }
  owner->first = own;
  *out = own->place;
  return STATUS_OK;
}

enum status buffers_import(struct buffers *owner, struct place *out, const void *host, size_t bytes,
                           struct error *err) {
  *out = place_host(host);
  if (!host || !owner->backend || owner->backend->ops->host_memory)
    return STATUS_OK;
  enum status status = buffers_new(owner, out, bytes, err);
  if (!status)
    owner->backend->ops->write(owner->backend, *out, host, bytes);
  return status;
}

void buffers_release(struct buffers *owner) {
  while (owner->first) {
    struct owned_buffer *own = owner->first;
    owner->first = own->next;
    owner->backend->ops->release(owner->backend, own->place, own->bytes);
    free(own);
  }
}

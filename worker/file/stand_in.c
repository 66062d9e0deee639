#include "worker/file/stand_in.h"

#include <string.h>
#include <strings.h>

#define BEGINS(text, what)                                                                                             \
  { text, sizeof(text) - 1, what }
#define PICKLE                                                                                                         \
  "is a file of PyTorch (a pickle); a base model's is read as pytorch_model.bin, and save_pretrained writes "          \
  "safetensors"
#define PAGE "is a web page, not the file: download it again, by its \"resolve\" address or with hf download"

enum status stand_in_refuse(const void *bytes, size_t length, struct error *err) {
  static const struct {
    const char *text;
    size_t length;
    const char *what;
  } known[] = {
      BEGINS("version https://git-lfs.github.com/spec/",
             "is a Git LFS pointer, not the file itself: fetch it with git lfs pull or hf download"),
      BEGINS("PK\x03\x04", PICKLE),
      BEGINS("\x80\x02", PICKLE),
      BEGINS("\x89HDF\r\n", "is an HDF5 file (TensorFlow's), which is not read; save_pretrained writes safetensors"),
      BEGINS("<!doctype html", PAGE),
      BEGINS("<html", PAGE),
  };
  if (length == 0)
    return error_set(err, STATUS_MODEL_INVALID, NULL, "is empty: download it again");
  for (size_t i = 0; i < COUNT_OF(known); i++)
    if (length > known[i].length && strncasecmp(bytes, known[i].text, known[i].length) == 0)
      return error_set(err, STATUS_MODEL_INVALID, NULL, "%s", known[i].what);
  return STATUS_OK;
}

/* reflect images: pictures of a prompt, into PNG files, and how well they keep to their hints. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/file.h"
#include "base/json.h"
#include "cli/command.h"
#include "cli/images_compare.h"
#include "cli/text.h"

enum { NAME_BYTES = 4096, HINT_FILE_BYTES = 48 << 20 };

struct images_options {
  const char *output, *conditioning_image;
};

static const struct option_row rows[] = {
    {"prompt", OPTION_TEXT, 0, "prompt", "TEXT", "what the image shows"},
    {"output", OPTION_TEXT, offsetof(struct images_options, output), NULL, "FILE.png",
     "where it is written, image.png if not said; several are FILE-1.png, FILE-2.png, ...; overwrites nothing"},
    {"n", OPTION_INT, 0, "n", "N", "images, each with the seed after that of the one before"},
    {"size", OPTION_TEXT, 0, "size", "WIDTHxHEIGHT", "in pixels; what the model was trained at if not said"},
    {"negative-prompt", OPTION_TEXT, 0, "negative_prompt", "TEXT", "what the guidance leads away from"},
    {"conditioning-image", OPTION_TEXT, offsetof(struct images_options, conditioning_image), NULL, "FILE",
     "hint of a controllable model: a PNG, JPEG or WebP of the image's size"},
    {"steps", OPTION_INT, 0, "num_inference_steps", "N", "steps of the sampler; 50 by default"},
    {"guidance-scale", OPTION_NUMBER, 0, "guidance_scale", "G", "of classifier-free guidance; 7.5 by default"},
    {"scheduler", OPTION_TEXT, 0, "scheduler", "CLASS",
     "DDIMScheduler, PNDMScheduler, EulerDiscreteScheduler, DPMSolverMultistepScheduler"},
    {"seed", OPTION_INT, 0, "seed", "N", "the same seed gives the same image"},
};
static const struct option_table table = {rows, COUNT_OF(rows)};

/* "dog.png", or of several "dog-1.png". */
static void name_file(char out[NAME_BYTES], const char *output, size_t index, size_t count) {
  size_t length = strlen(output), stem = length > 4 && strcmp(output + length - 4, ".png") == 0 ? length - 4 : length;
  if (count == 1)
    snprintf(out, NAME_BYTES, "%.*s.png", (int)stem, output);
  else
    snprintf(out, NAME_BYTES, "%.*s-%zu.png", (int)stem, output, index + 1);
}

static enum status check_free(const char *output, size_t count, struct error *err) {
  char name[NAME_BYTES];
  for (size_t i = 0; i < count; i++) {
    name_file(name, output, i, count);
    if (access(name, F_OK) == 0)
      return error_set(err, STATUS_INVALID_VALUE, "output", "%s is there already, and nothing is overwritten", name);
  }
  return STATUS_OK;
}

static enum status write_image(const char *name, const json_t *image, struct error *err) {
  unsigned char *bytes = NULL;
  size_t length;
  enum status status = base64_read(&bytes, &length, text_member(image, "b64_json", ""), err);
  if (!status && length == 0)
    status = error_set(err, STATUS_INTERNAL, NULL, "the server's answer has no image");
  status = status ? status : file_put(name, bytes, length, err);
  free(bytes);
  return status;
}

static enum status write_images(const json_t *answer, const char *output, struct error *err) {
  const json_t *data = json_object_get(answer, "data");
  size_t count = json_array_size(data);
  char name[NAME_BYTES];
  enum status status = count ? STATUS_OK : error_set(err, STATUS_INTERNAL, NULL, "the server's answer has no image");
  for (size_t i = 0; !status && i < count; i++) {
    const json_t *image = json_array_get(data, i);
    name_file(name, output, i, count);
    status = write_image(name, image, err);
    if (!status)
      printf("%s (seed %lld)\n", name, (long long)json_integer_value(json_object_get(image, "seed")));
  }
  return status;
}

static enum status add_hint(json_t *document, const char *path, struct error *err) {
  AUTO(str_done) struct str text;
  char *bytes;
  size_t length;
  str_init(&text, 2 * (size_t)HINT_FILE_BYTES);
  if (!path)
    return STATUS_OK;
  enum status status = file_read(&bytes, &length, path, HINT_FILE_BYTES, err);
  if (status)
    return status;
  bool added = base64_add(&text, bytes, length) &&
               json_object_set_new(document, "conditioning_image", json_string(text.text)) == 0;
  free(bytes);
  return added ? STATUS_OK : error_no_memory(err, path);
}

static enum exit_code images(struct cli *cli, const char *const *operands, const void *values, json_t *document) {
  const struct images_options *options = values;
  const char *output = options->output ? options->output : "image.png";
  const json_t *n = json_object_get(document, "n");
  AUTO(json_release) json_t *answer = NULL;
  struct error err;
  enum status status = STATUS_OK;
  cli->http.patient = true;
  if (json_object_set_new(document, "model", json_string(operands[0])))
    status = error_set(&err, STATUS_INVALID_VALUE, "model", "the model is not UTF-8");
  else if (!cli->json)
    status = check_free(output, n ? (size_t)json_integer_value(n) : 1, &err);
  status = status ? status : add_hint(document, options->conditioning_image, &err);
  status = status ? status : http_json(&cli->http, &answer, "POST", "/v1/images/generations", document, &err);
  if (!status && cli->json)
    return cli_print_json(answer);
  status = status ? status : write_images(answer, output, &err);
  return status ? cli_fail(cli, &err) : EXIT_DONE;
}

static enum exit_code compare(struct cli *cli, const char *const *operands, const void *values, json_t *document) {
  return images_compare(cli, operands[0], operands[1], values, document);
}

static const struct command commands[] = {
    {
        .verb = "of",
        .operands = "MODEL",
        .operand_count = 1,
        .doc = "Make images of a prompt, as PNG files",
        .options = &table,
        .values_bytes = sizeof(struct images_options),
        .run = images,
    },
    {
        .verb = "compare",
        .operands = "TRUTH_DIR MAPS_DIR",
        .operand_count = 2,
        .doc = "Compare maps that a detector made of images with those of the originals, on this machine",
        .options = &images_compare_table,
        .values_bytes = sizeof(struct images_compare_options),
        .run = compare,
    },
};

const struct noun images_noun = {"images", "Images of prompts, and what they are like", commands, COUNT_OF(commands),
                                 .verb_optional = true};

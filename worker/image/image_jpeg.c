#include "worker/image/image_jpeg.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

#include "worker/image/exif.h"

/* A progressive file can ask for the whole picture again with every few bytes. */
enum { SCANS_MAX = 200 };

/* Outlives the longjmp out of libjpeg, which never returns from an error. */
struct reading {
  struct jpeg_decompress_struct jpeg;
  struct jpeg_error_mgr errors;
  struct jpeg_source_mgr source;
  struct jpeg_progress_mgr progress;
  jmp_buf failed;
  size_t length;
  struct image image;
  unsigned char *cmyk; /* a row */
  enum status status;
  struct error *err;
};

static void NORETURN fail(j_common_ptr jpeg) {
  struct reading *r = jpeg->client_data;
  char text[JMSG_LENGTH_MAX];
  if (r->status == STATUS_OK) {
    r->errors.format_message(jpeg, text);
    r->status = jpeg->err->msg_code == JERR_OUT_OF_MEMORY
                    ? error_no_memory(r->err, "an image")
                    : error_set(r->err, STATUS_DATASET_INVALID, NULL, "the JPEG is damaged: %.200s", text);
  }
  longjmp(r->failed, 1);
}

/* Warnings about the picture's own bits are errors: what is made up in their place is no picture of the user's. */
static void message(j_common_ptr jpeg, int level) {
  switch (level < 0 ? jpeg->err->msg_code : 0) {
  case JWRN_HIT_MARKER:
  case JWRN_HUFF_BAD_CODE:
  case JWRN_ARITH_BAD_CODE:
  case JWRN_MUST_RESYNC:
  case JWRN_NOT_SEQUENTIAL:
  case JWRN_BOGUS_PROGRESSION: fail(jpeg);
  default: return;
  }
}

static void begin(j_decompress_ptr jpeg) {
  (void)jpeg;
}

static boolean no_more(j_decompress_ptr jpeg) {
  struct reading *r = jpeg->client_data;
  r->status = error_set(r->err, STATUS_DATASET_INVALID, NULL, "the JPEG is truncated after %zu bytes", r->length);
  fail((j_common_ptr)jpeg);
}

static void skip(j_decompress_ptr jpeg, long count) {
  if (count <= 0)
    return;
  if ((size_t)count > jpeg->src->bytes_in_buffer)
    no_more(jpeg);
  jpeg->src->next_input_byte += count;
  jpeg->src->bytes_in_buffer -= (size_t)count;
}

static void watch(j_common_ptr jpeg) {
  struct reading *r = jpeg->client_data;
  if (r->jpeg.input_scan_number > SCANS_MAX && r->status == STATUS_OK) {
    r->status = error_set(r->err, STATUS_DATASET_INVALID, NULL, "the JPEG has more than %d scans", SCANS_MAX);
    fail(jpeg);
  }
}

static void start(struct reading *r, const unsigned char *bytes, size_t length) {
  r->jpeg.err = jpeg_std_error(&r->errors);
  r->jpeg.client_data = r;
  r->errors.error_exit = fail;
  r->errors.emit_message = message;
  r->source = (struct jpeg_source_mgr){.next_input_byte = bytes,
                                       .bytes_in_buffer = length,
                                       .init_source = begin,
                                       .fill_input_buffer = no_more,
                                       .skip_input_data = skip,
                                       .resync_to_restart = jpeg_resync_to_restart,
                                       .term_source = begin};
  r->progress.progress_monitor = watch;
}

/* Values are inverted: a pixel of no ink is 255. */
static void cmyk_to_rgb(unsigned char *out, const unsigned char *cmyk, size_t width) {
  for (size_t x = 0; x < width; x++)
    for (size_t c = 0; c < 3; c++) {
      unsigned product = (255u - cmyk[4 * x + c]) * cmyk[4 * x + 3] + 128;
      out[3 * x + c] = (unsigned char)(cmyk[4 * x + 3] - ((product + (product >> 8)) >> 8));
    }
}

static enum status read_rows(struct reading *r) {
  j_decompress_ptr jpeg = &r->jpeg;
  enum status status = image_alloc(&r->image, jpeg->image_width, jpeg->image_height, r->err);
  if (status)
    return status;
  bool cmyk = jpeg->jpeg_color_space == JCS_CMYK || jpeg->jpeg_color_space == JCS_YCCK;
  jpeg->out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
  if (cmyk && !(r->cmyk = malloc(4 * r->image.width)))
    return error_no_memory(r->err, "an image");
  jpeg_start_decompress(jpeg);
  while (jpeg->output_scanline < jpeg->output_height) {
    unsigned char *row = r->image.pixels + 3 * r->image.width * jpeg->output_scanline, *read = cmyk ? r->cmyk : row;
    jpeg_read_scanlines(jpeg, &read, 1);
    if (cmyk)
      cmyk_to_rgb(row, r->cmyk, r->image.width);
  }
  jpeg_finish_decompress(jpeg);
  return STATUS_OK;
}

static enum status read_picture(struct reading *r, int *orientation) {
  if (setjmp(r->failed))
    return r->status;
  jpeg_create_decompress(&r->jpeg);
  r->jpeg.src = &r->source;
  r->jpeg.progress = &r->progress;
  jpeg_save_markers(&r->jpeg, JPEG_APP0 + 1, 0xffff);
  jpeg_read_header(&r->jpeg, TRUE);
  for (jpeg_saved_marker_ptr marker = r->jpeg.marker_list; marker; marker = marker->next)
    if (marker->data_length >= 6 && memcmp(marker->data, "Exif\0\0", 6) == 0) {
      *orientation = exif_orientation(marker->data, marker->data_length);
      break;
    }
  return read_rows(r);
}

bool image_jpeg_is(const unsigned char *bytes, size_t length) {
  return length >= 3 && memcmp(bytes, "\xff\xd8\xff", 3) == 0;
}

enum status image_jpeg_decode(struct image *out, int *orientation, const unsigned char *bytes, size_t length,
                              struct error *err) {
  struct reading reading = {.length = length, .err = err}, *r = &reading;
  *orientation = 1;
  start(r, bytes, length);
  r->status = read_picture(r, orientation);
  jpeg_destroy_decompress(&r->jpeg);
  free(r->cmyk);
  if (r->status)
    image_done(&r->image);
  *out = r->image;
  return r->status;
}

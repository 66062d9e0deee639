#include "worker/image/image_png.h"

#include <png.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "worker/image/exif.h"

/* libpng needs a few rows; what chunks beside the picture claim to have is allocated before it is read. */
enum { ALLOCATION_MAX = 16 << 20, CHUNKS_MAX = 1000, PNG_OVERHEAD = 1 << 20 };

/* Outlives the longjmp out of libpng, which never returns from an error. */
struct reading {
  png_structp png;
  png_infop info;
  const unsigned char *bytes;
  size_t length, at;
  uint32_t frames; /* of an animation; 0: it is none */
  bool labels;     /* what stands in the file, not what it looks like */
  size_t channels; /* of what libpng gives */
  struct image image;
  png_bytep *rows;
  enum status status;
  struct error *err;
};

static void NORETURN reading_failed(png_structp png, png_const_charp text) {
  struct reading *r = png_get_error_ptr(png);
  if (r->status == STATUS_OK)
    r->status = error_set(r->err, STATUS_DATASET_INVALID, NULL, "the PNG is damaged: %.200s", text);
  png_longjmp(png, 1);
}

/* Of what is beside the picture; PIL says nothing either. */
static void reading_warned(png_structp png, png_const_charp text) {
  (void)png;
  (void)text;
}

static png_voidp allocate(png_structp png, png_alloc_size_t size) {
  (void)png;
  return size <= ALLOCATION_MAX ? malloc(size) : NULL;
}

static void release(png_structp png, png_voidp memory) {
  (void)png;
  free(memory);
}

static void read_bytes(png_structp png, png_bytep out, size_t size) {
  struct reading *r = png_get_io_ptr(png);
  if (size > r->length - r->at) {
    r->status = error_set(r->err, STATUS_DATASET_INVALID, NULL, "the PNG is truncated after %zu bytes", r->length);
    png_error(png, "truncated");
  }
  memcpy(out, r->bytes + r->at, size);
  r->at += size;
}

static int read_chunk(png_structp png, png_unknown_chunkp chunk) {
  struct reading *r = png_get_user_chunk_ptr(png);
  if (memcmp(chunk->name, "acTL", 4) == 0 && chunk->size >= 4)
    r->frames = png_get_uint_32(chunk->data);
  return 1;
}

/* Each transformation is what makes 8 bits of RGB out of a kind of PNG. */
static void ask_for_colours(struct reading *r, int colour) {
  if (colour == PNG_COLOR_TYPE_PALETTE)
    png_set_palette_to_rgb(r->png);
  if (colour == PNG_COLOR_TYPE_GRAY)
    png_set_expand_gray_1_2_4_to_8(r->png);
  if (colour == PNG_COLOR_TYPE_GRAY || colour == PNG_COLOR_TYPE_GRAY_ALPHA)
    png_set_gray_to_rgb(r->png);
  png_set_strip_16(r->png);
}

/* All but the pixels. */
static enum status read_header(struct reading *r) {
  png_set_user_limits(r->png, IMAGE_SIDE_MAX, IMAGE_SIDE_MAX);
  png_set_chunk_cache_max(r->png, CHUNKS_MAX);
  png_set_read_user_chunk_fn(r->png, r, read_chunk);
  png_read_info(r->png, r->info);
  if (r->frames > 1)
    return error_set(r->err, STATUS_DATASET_INVALID, NULL, "the PNG is an animation of %u frames; a picture is needed",
                     (unsigned)r->frames);
  int colour = png_get_color_type(r->png, r->info);
  if (r->labels && png_get_bit_depth(r->png, r->info) == 16)
    return error_set(r->err, STATUS_DATASET_INVALID, NULL,
                     "the PNG has 16 bits a channel; a map of classes has 8 at most");
  if (r->labels)
    png_set_packing(r->png);
  else
    ask_for_colours(r, colour);
  png_set_strip_alpha(r->png);
  png_set_interlace_handling(r->png);
  png_read_update_info(r->png, r->info);
  r->channels = png_get_channels(r->png, r->info);
  return image_alloc(&r->image, png_get_image_width(r->png, r->info), png_get_image_height(r->png, r->info), r->err);
}

/* A row that has one channel lies at the end of its place, so that no pixel is written before it is read. */
static void repeat_channel(struct image *image) {
  for (size_t y = 0; y < image->height; y++) {
    unsigned char *row = image->pixels + 3 * image->width * y;
    const unsigned char *from = row + 2 * image->width;
    for (size_t x = 0; x < image->width; x++) {
      const unsigned char value = from[x];
      row[3 * x] = row[3 * x + 1] = row[3 * x + 2] = value;
    }
  }
}

static enum status read_picture(struct reading *r, int *orientation) {
  png_bytep exif = NULL;
  png_uint_32 exif_length = 0;
  if (setjmp(png_jmpbuf(r->png)))
    return r->status;
  enum status status = read_header(r);
  if (status)
    return status;
  CHECK((r->channels == 3 || (r->labels && r->channels == 1)) &&
        png_get_rowbytes(r->png, r->info) == r->channels * r->image.width);
  r->rows = calloc(r->image.height, sizeof *r->rows);
  if (!r->rows)
    return error_no_memory(r->err, "an image");
  for (size_t y = 0; y < r->image.height; y++)
    r->rows[y] = r->image.pixels + 3 * r->image.width * y + (3 - r->channels) * r->image.width;
  png_read_image(r->png, r->rows);
  png_read_end(r->png, r->info);
  if (r->channels == 1)
    repeat_channel(&r->image);
  if (png_get_eXIf_1(r->png, r->info, &exif_length, &exif))
    *orientation = exif_orientation(exif, exif_length);
  return STATUS_OK;
}

bool image_png_is(const unsigned char *bytes, size_t length) {
  return length >= 8 && png_sig_cmp(bytes, 0, 8) == 0;
}

static enum status decode(struct image *out, int *orientation, bool labels, const unsigned char *bytes, size_t length,
                          struct error *err) {
  struct reading reading = {.bytes = bytes, .length = length, .labels = labels, .err = err}, *r = &reading;
  *out = (struct image){0};
  *orientation = 1;
  r->png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, r, reading_failed, reading_warned, NULL, allocate, release);
  r->info = r->png ? png_create_info_struct(r->png) : NULL;
  if (r->info) {
    png_set_read_fn(r->png, r, read_bytes);
    r->status = read_picture(r, orientation);
  } else {
    r->status = error_no_memory(err, "an image");
  }
  png_destroy_read_struct(&r->png, &r->info, NULL);
  free(r->rows);
  if (r->status)
    image_done(&r->image);
  *out = r->image;
  return r->status;
}

enum status image_png_decode(struct image *out, int *orientation, const unsigned char *bytes, size_t length,
                             struct error *err) {
  return decode(out, orientation, false, bytes, length, err);
}

enum status image_png_labels(struct image *out, const unsigned char *bytes, size_t length, struct error *err) {
  int orientation = 1;
  *out = (struct image){0};
  if (!image_png_is(bytes, length))
    return error_set(err, STATUS_DATASET_INVALID, NULL, "the file does not begin as a PNG does");
  enum status status = decode(out, &orientation, true, bytes, length, err);
  status = status ? status : image_turn(out, orientation, err);
  if (status)
    image_done(out);
  return status;
}

/* --- writing ------------------------------------------------------------------------------------- */

static void NORETURN writing_failed(png_structp png, png_const_charp text) {
  (void)text; /* the text's memory is all that can run out: the picture is ours */
  png_longjmp(png, 1);
}

static void write_bytes(png_structp png, png_bytep bytes, size_t size) {
  if (!str_add(png_get_io_ptr(png), (const char *)bytes, size))
    png_error(png, "no memory");
}

static void write_nothing(png_structp png) {
  (void)png;
}

static bool write_picture(png_structp png, png_infop info, const struct image *image) {
  if (setjmp(png_jmpbuf(png)))
    return false;
  png_set_IHDR(png, info, (png_uint_32)image->width, (png_uint_32)image->height, 8, PNG_COLOR_TYPE_RGB,
               PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(png, info);
  for (size_t y = 0; y < image->height; y++)
    png_write_row(png, image->pixels + 3 * image->width * y);
  png_write_end(png, info);
  return true;
}

enum status image_png_encode(unsigned char **out, size_t *length, const struct image *image, struct error *err) {
  struct str bytes;
  /* What deflate cannot shorten it lengthens by less than a hundredth. */
  str_init(&bytes, 4 * image->width * image->height + PNG_OVERHEAD);
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, writing_failed, reading_warned);
  png_infop info = png ? png_create_info_struct(png) : NULL;
  bool written = false;
  if (info) {
    png_set_write_fn(png, &bytes, write_bytes, write_nothing);
    written = write_picture(png, info, image);
  }
  png_destroy_write_struct(&png, &info);
  *out = written ? (unsigned char *)str_take(&bytes, length) : NULL;
  str_done(&bytes);
  return *out ? STATUS_OK : error_no_memory(err, "a PNG");
}

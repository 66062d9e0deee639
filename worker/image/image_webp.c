#include "worker/image/image_webp.h"

#include <string.h>

#include <webp/decode.h>
#include <webp/demux.h>

#include "worker/image/exif.h"

bool image_webp_is(const unsigned char *bytes, size_t length) {
  return length >= 12 && memcmp(bytes, "RIFF", 4) == 0 && memcmp(bytes + 8, "WEBP", 4) == 0;
}

static enum status refused(VP8StatusCode code, size_t length, struct error *err) {
  switch (code) {
  case VP8_STATUS_NOT_ENOUGH_DATA:
  case VP8_STATUS_SUSPENDED:
    return error_set(err, STATUS_DATASET_INVALID, NULL, "the WebP is truncated after %zu bytes", length);
  case VP8_STATUS_OUT_OF_MEMORY: return error_no_memory(err, "an image");
  case VP8_STATUS_UNSUPPORTED_FEATURE:
    return error_set(err, STATUS_DATASET_INVALID, NULL, "the WebP is of a kind that libwebp does not read");
  default: return error_set(err, STATUS_DATASET_INVALID, NULL, "the WebP is damaged");
  }
}

static int orientation_of(const WebPData *data) {
  WebPChunkIterator chunk;
  int orientation = 1;
  WebPDemuxer *demuxer = WebPDemux(data);
  if (demuxer && WebPDemuxGetChunk(demuxer, "EXIF", 1, &chunk)) {
    orientation = exif_orientation(chunk.chunk.bytes, chunk.chunk.size);
    WebPDemuxReleaseChunkIterator(&chunk);
  }
  WebPDemuxDelete(demuxer);
  return orientation;
}

enum status image_webp_decode(struct image *out, int *orientation, const unsigned char *bytes, size_t length,
                              struct error *err) {
  WebPDecoderConfig config;
  *out = (struct image){0};
  *orientation = 1;
  CHECK(WebPInitDecoderConfig(&config));
  VP8StatusCode code = WebPGetFeatures(bytes, length, &config.input);
  if (code != VP8_STATUS_OK)
    return refused(code, length, err);
  if (config.input.has_animation)
    return error_set(err, STATUS_DATASET_INVALID, NULL, "the WebP is an animation; a picture is needed");
  enum status status = image_alloc(out, (size_t)config.input.width, (size_t)config.input.height, err);
  if (status)
    return status;
  config.output.colorspace = MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA.rgba = out->pixels;
  config.output.u.RGBA.stride = (int)(3 * out->width);
  config.output.u.RGBA.size = 3 * out->width * out->height;
  code = WebPDecode(bytes, length, &config);
  WebPFreeDecBuffer(&config.output);
  if (code != VP8_STATUS_OK) {
    image_done(out);
    return refused(code, length, err);
  }
  *orientation = orientation_of(&(WebPData){bytes, length});
  return STATUS_OK;
}

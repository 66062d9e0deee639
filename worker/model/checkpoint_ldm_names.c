/* CompVis' names numbered blocks of whatever kind; diffusers' say the kind. */
#include <stdio.h>
#include <string.h>

#include "worker/model/checkpoint_ldm.h"

/* What a name begins with, there and here. */
struct rename {
  const char *from, *to;
};

static const char *after(const char *text, const char *prefix) {
  size_t length = strlen(prefix);
  return strncmp(text, prefix, length) == 0 ? text + length : NULL;
}

/* Reads "12." and goes behind it. */
static bool number(const char **at, size_t *out) {
  const char *p = *at;
  *out = 0;
  for (; *p >= '0' && *p <= '9' && p - *at < 3; p++)
    *out = *out * 10 + (size_t)(*p - '0');
  bool found = p > *at && *p == '.';
  *at = p + 1;
  return found;
}

/* path + name, with the row of `rows` that `name` begins with put in its place; false: with none. */
static bool join(char out[LDM_NAME_BYTES], const char *path, const char *name, const struct rename *rows,
                 size_t count) {
  for (size_t i = 0; i < count; i++) {
    const char *rest = after(name, rows[i].from);
    if (rest)
      return snprintf(out, LDM_NAME_BYTES, "%s%s%s", path, rows[i].to, rest) < LDM_NAME_BYTES;
  }
  return false;
}

/* --- the UNet ------------------------------------------------------------------------------------- */

static const struct rename outer[] = {{"time_embed.0.", "time_embedding.linear_1."},
                                      {"time_embed.2.", "time_embedding.linear_2."},
                                      {"input_blocks.0.0.", "conv_in."},
                                      {"out.0.", "conv_norm_out."},
                                      {"out.2.", "conv_out."}};

static const struct rename resnet[] = {{"in_layers.0.", "norm1."},          {"in_layers.2.", "conv1."},
                                       {"emb_layers.1.", "time_emb_proj."}, {"out_layers.0.", "norm2."},
                                       {"out_layers.3.", "conv2."},         {"skip_connection.", "conv_shortcut."}};

static const struct rename attention[] = {{"norm.", "norm."},
                                          {"proj_in.", "proj_in."},
                                          {"transformer_blocks.", "transformer_blocks."},
                                          {"proj_out.", "proj_out."}};

static const struct rename downsampler[] = {{"op.", "conv."}}, upsampler[] = {{"conv.", "conv."}};

static bool middle_name(char out[LDM_NAME_BYTES], const char *name) {
  size_t part;
  if (!number(&name, &part) || part > 2)
    return false;
  return part == 1 ? join(out, "mid_block.attentions.0.", name, attention, COUNT_OF(attention))
                   : join(out, part ? "mid_block.resnets.1." : "mid_block.resnets.0.", name, resnet, COUNT_OF(resnet));
}

/* On the way down the first convolution is block 0, and what halves the image a block of its own. */
static bool down_name(char out[LDM_NAME_BYTES], const char *name, size_t layers) {
  char path[80];
  size_t block, part;
  if (!number(&name, &block) || !number(&name, &part) || block == 0 || part > 1)
    return false;
  size_t level = (block - 1) / (layers + 1), layer = (block - 1) % (layers + 1);
  if (layer == layers) {
    snprintf(path, sizeof path, "down_blocks.%zu.downsamplers.0.", level);
    return part == 0 && join(out, path, name, downsampler, COUNT_OF(downsampler));
  }
  snprintf(path, sizeof path, "down_blocks.%zu.%s.%zu.", level, part ? "attentions" : "resnets", layer);
  return part ? join(out, path, name, attention, COUNT_OF(attention)) : join(out, path, name, resnet, COUNT_OF(resnet));
}

/* On the way up what doubles the image is the last part of a level's last block. */
static bool up_name(char out[LDM_NAME_BYTES], const char *name, size_t layers) {
  char path[80];
  size_t block, part;
  if (!number(&name, &block) || !number(&name, &part) || part > 2)
    return false;
  size_t level = block / (layers + 1), layer = block % (layers + 1);
  snprintf(path, sizeof path, "up_blocks.%zu.upsamplers.0.", level);
  if (part > 0 && layer == layers && join(out, path, name, upsampler, COUNT_OF(upsampler)))
    return true;
  snprintf(path, sizeof path, "up_blocks.%zu.%s.%zu.", level, part ? "attentions" : "resnets", layer);
  return part ? part == 1 && join(out, path, name, attention, COUNT_OF(attention))
              : join(out, path, name, resnet, COUNT_OF(resnet));
}

bool checkpoint_ldm_unet_name(char out[LDM_NAME_BYTES], const char *name, size_t layers) {
  const char *rest;
  if (join(out, "", name, outer, COUNT_OF(outer)))
    return true;
  if ((rest = after(name, "middle_block.")))
    return middle_name(out, rest);
  if ((rest = after(name, "input_blocks.")))
    return down_name(out, rest, layers);
  return (rest = after(name, "output_blocks.")) && up_name(out, rest, layers);
}

/* --- the VAE -------------------------------------------------------------------------------------- */

static const struct rename coder[] = {{"conv_in.", "conv_in."},
                                      {"conv_out.", "conv_out."},
                                      {"norm_out.", "conv_norm_out."},
                                      {"mid.attn_1.norm.", "mid_block.attentions.0.group_norm."},
                                      {"mid.attn_1.q.", "mid_block.attentions.0.to_q."},
                                      {"mid.attn_1.k.", "mid_block.attentions.0.to_k."},
                                      {"mid.attn_1.v.", "mid_block.attentions.0.to_v."},
                                      {"mid.attn_1.proj_out.", "mid_block.attentions.0.to_out.0."}};

static const struct rename vae_resnet[] = {{"norm1.", "norm1."},
                                           {"conv1.", "conv1."},
                                           {"norm2.", "norm2."},
                                           {"conv2.", "conv2."},
                                           {"nin_shortcut.", "conv_shortcut."}};

static const struct rename encoder_sampler[] = {{"downsample.conv.", "downsamplers.0.conv."}},
                           decoder_sampler[] = {{"upsample.conv.", "upsamplers.0.conv."}};

/* Levels of the decoder are counted from the largest images there, in the order of their work here. */
static bool level_name(char out[LDM_NAME_BYTES], const char *name, size_t levels, bool decodes) {
  const char *rest;
  char path[80];
  size_t level, layer;
  if (!number(&name, &level) || level >= levels)
    return false;
  int length = decodes ? snprintf(path, sizeof path, "decoder.up_blocks.%zu.", levels - 1 - level)
                       : snprintf(path, sizeof path, "encoder.down_blocks.%zu.", level);
  if (join(out, path, name, decodes ? decoder_sampler : encoder_sampler, 1))
    return true;
  if (!(rest = after(name, "block.")) || !number(&rest, &layer))
    return false;
  snprintf(path + length, sizeof path - (size_t)length, "resnets.%zu.", layer);
  return join(out, path, rest, vae_resnet, COUNT_OF(vae_resnet));
}

static bool coder_name(char out[LDM_NAME_BYTES], const char *name, size_t levels, bool decodes) {
  const char *rest = after(name, "mid.block_"), *path = decodes ? "decoder." : "encoder.";
  char middle[80];
  size_t layer;
  if (rest && number(&rest, &layer) && (layer == 1 || layer == 2)) {
    snprintf(middle, sizeof middle, "%smid_block.resnets.%zu.", path, layer - 1);
    return join(out, middle, rest, vae_resnet, COUNT_OF(vae_resnet));
  }
  if ((rest = after(name, decodes ? "up." : "down.")))
    return level_name(out, rest, levels, decodes);
  return join(out, path, name, coder, COUNT_OF(coder));
}

bool checkpoint_ldm_vae_name(char out[LDM_NAME_BYTES], const char *name, size_t levels) {
  static const struct rename quants[] = {{"quant_conv.", "quant_conv."}, {"post_quant_conv.", "post_quant_conv."}};
  const char *rest;
  if ((rest = after(name, "encoder.")))
    return coder_name(out, rest, levels, false);
  if ((rest = after(name, "decoder.")))
    return coder_name(out, rest, levels, true);
  return join(out, "", name, quants, COUNT_OF(quants));
}

/* --- open_clip's text encoder --------------------------------------------------------------------- */

bool checkpoint_ldm_open_clip_name(char out[LDM_NAME_BYTES], const char *name, const char **third) {
  static const struct rename whole[] = {{"token_embedding.weight", "text_model.embeddings.token_embedding.weight"},
                                        {"positional_embedding", "text_model.embeddings.position_embedding.weight"},
                                        {"ln_final.", "text_model.final_layer_norm."}};
  static const struct rename layer[] = {{"ln_1.", "layer_norm1."},       {"ln_2.", "layer_norm2."},
                                        {"mlp.c_fc.", "mlp.fc1."},       {"mlp.c_proj.", "mlp.fc2."},
                                        {"attn.in_proj_", "self_attn."}, {"attn.out_proj.", "self_attn.out_proj."}};
  const char *rest = after(name, "transformer.resblocks.");
  char path[80];
  size_t index;
  *third = NULL;
  if (!rest)
    return join(out, "", name, whole, COUNT_OF(whole));
  if (!number(&rest, &index))
    return false;
  snprintf(path, sizeof path, "text_model.encoder.layers.%zu.", index);
  *third = after(rest, "attn.in_proj_");
  return join(out, path, rest, layer, COUNT_OF(layer));
}

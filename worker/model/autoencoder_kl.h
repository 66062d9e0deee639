/* AutoencoderKL of diffusers (Kingma and Welling, 2014; Rombach et al., 2022): images to the mean and log-variance of
   their latents, and back. Frozen: it is never trained here. Images have values from -1 to 1, channels last. */
#ifndef WORKER_MODEL_AUTOENCODER_KL_H
#define WORKER_MODEL_AUTOENCODER_KL_H

#include "worker/model/model.h"

struct autoencoder_kl_sizes {
  size_t image_channels, latent_channels;
  size_t scale; /* an image's height and width are so many times the latents' */
};
struct autoencoder_kl_sizes autoencoder_kl_sizes(const struct model *model);
/* x: (pixels of the images, image_channels) -> (pixels of the latents, 2 * latent_channels): mean, then log-variance,
   which is not clamped yet. Heights and widths are multiples of the scale. *images becomes the latents'. */
struct tensor *autoencoder_kl_encode(struct tape *tape, const struct model *model, struct tensor *x,
                                     struct images *images);
/* z: (pixels of the latents, latent_channels), as encoded: not scaled -> (pixels of the images, image_channels).
 *images becomes the images'. */
struct tensor *autoencoder_kl_decode(struct tape *tape, const struct model *model, struct tensor *z,
                                     struct images *images);

#endif

/* A model of Stable Diffusion as one file: a .safetensors with the tensors of UNet, VAE and text encoder under the
   names of the program that trained them, CompVis' latent-diffusion. The tokenizer is not in such a file, nor is how it
   was trained; these lie beside it, in the folders of diffusers' layout. */
#ifndef API_SINGLE_FILE_H
#define API_SINGLE_FILE_H

#include <limits.h>
#include <stdbool.h>

enum { SINGLE_FILE_PARTS = 5 };

/* What is read beside the file, below its folder: "tokenizer", which must be there, and a config each of UNet, VAE,
   text encoder and scheduler. */
extern const char *const single_file_parts[SINGLE_FILE_PARTS];

struct single_file {
  char path[PATH_MAX];   /* of the file */
  char folder[PATH_MAX]; /* that it lies in */
};

/* Does the name end in .safetensors? */
bool single_file_named(const char *path);
/* Is the model at `path` such a file? `path` is one itself, or a folder that has exactly one, beside a folder
   tokenizer, and neither config.json nor model_index.json. Names are looked at, no file is read. */
bool single_file_find(struct single_file *out, const char *path);

#endif

#include "worker/peft/peft_card.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/split_file.h"

/* Has the base a head of another size, which Transformers would stumble over? */
static bool head_differs(const struct model *model) {
  char name[100];
  struct checkpoint_tensor t;
  snprintf(name, sizeof name, "%s.weight", model_head(model->ops, model->output));
  return checkpoint_find(&t, &model->checkpoint, name) && t.shape[0] != (int64_t)model->num_labels;
}

/* Transformers reads one file: of a base in parts the one that they are merged into. */
static void write_gguf_base(struct str *card, const struct checkpoint *base) {
  const char *slash = strrchr(base->weights_path, '/'), *name = slash ? slash + 1 : base->weights_path;
  struct split_file one;
  split_file_named(&one, name);
  str_puts(card, "\"path/to/the/folder/of/it\", gguf_file=");
  if (one.count > 1)
    str_printf(card, "\"%.*s.gguf\"", (int)one.stem, name);
  else
    str_printf(card, "\"%s\"", name);
}

/* What from_pretrained takes for the base. */
static void write_base(struct str *card, const struct model *model, const char *base) {
  if (model->checkpoint.is_gguf)
    write_gguf_base(card, &model->checkpoint);
  else
    str_printf(card, "\"%s\"", base);
}

/* The base as a classifier with its classes: Python that runs. */
static void write_classifier(struct str *card, const struct model *model, const char *base) {
  const struct classes classes = model_classes(model);
  AUTO(json_release) json_t *config = classes_config(&classes, model->output);
  const json_t *names = json_object_get(config, "id2label");
  const char *key;
  json_t *name;
  str_puts(card, "id2label = {");
  json_object_foreach((json_t *)(uintptr_t)names, key, name) {
    str_printf(card, "%s%s: ", strcmp(key, "0") == 0 ? "" : ", ", key);
    json_append(card, name);
  }
  const struct job_output_row *output = job_output_of(model->output);
  str_printf(card, "}\nbase = AutoModel%s.from_pretrained(\n    ", output->class_suffix);
  write_base(card, model, base);
  str_printf(card, ", num_labels=%zu, id2label=id2label, label2id={name: i for i, name in id2label.items()}",
             model->num_labels);
  if (output->problem_type)
    str_printf(card, ",\n    problem_type=\"%s\"", output->problem_type);
  str_puts(card, head_differs(model) ? ", ignore_mismatched_sizes=True)\n" : ")\n");
}

/* Embeddings as sentence-transformers makes them, whose default is the mean. */
static void write_encoder(struct str *card, const struct model *model, const char *base) {
  bool cls = model->pooling == POOLING_CLS;
  str_puts(card, "from sentence_transformers import SentenceTransformer\n");
  if (cls)
    str_printf(card,
               "from sentence_transformers.models import Pooling, Transformer\n\nencoder = Transformer(\"%s\")\n"
               "model = SentenceTransformer(modules=[encoder, "
               "Pooling(encoder.get_word_embedding_dimension(), \"cls\")])\n",
               base);
  else
    str_printf(card, "\nmodel = SentenceTransformer(\"%s\")\n", base);
  str_printf(
      card,
      "model.load_adapter(\"path/to/this/folder\")\n"
      "embeddings = model.encode([\"a text\", \"another\"])\n```\n\nIts embeddings are compared by their "
      "cosine. With PEFT alone, `PeftModel.from_pretrained` of `AutoModel` gives the rows of the tokens; a text's "
      "embedding is %s.\n\n",
      cls ? "the first one" : "their mean");
}

/* Words of tagged texts were tokenised as if a space stood before each; such tokenizers of bytes do that when they are
   told to alone. */
static bool words_need_space(const struct model *model) {
  const char *type = json_string_value(json_object_get(model->checkpoint.config, "model_type"));
  return model->output == OUTPUT_TAGS && type && (strcmp(type, "roberta") == 0 || strcmp(type, "modernbert") == 0);
}

/* A UNet in its pipeline. */
static void write_pipeline(struct str *card, const char *base) {
  str_printf(card,
             "from diffusers import DiffusionPipeline\nfrom peft import PeftModel\n\n"
             "pipeline = DiffusionPipeline.from_pretrained(\"%s\")\n"
             "pipeline.unet = PeftModel.from_pretrained(pipeline.unet, \"path/to/this/folder\")\n\n"
             "pipeline(\"a prompt\").images[0].save(\"image.png\")\n```\n\n",
             base);
}

/* Lines of Python that ask the model and print what it says. A tokenizer without a chat template takes the beginning of
   a text. */
static const char *question_of(const struct model *model) {
  switch (model->output) {
  case OUTPUT_TEXT:
    return "model = model.merge_and_unload()  # as fast as the base\n"
           "prompt = \"a question, or the beginning of a text\"\n"
           "chat = tokenizer.chat_template is not None\n"
           "if chat:\n"
           "    prompt = tokenizer.apply_chat_template([{\"role\": \"user\", \"content\": prompt}], tokenize=False,\n"
           "                                           add_generation_prompt=True)\n"
           "inputs = tokenizer(prompt, add_special_tokens=not chat, return_tensors=\"pt\")\n"
           "answer = model.generate(**inputs, max_new_tokens=64)[0, inputs[\"input_ids\"].shape[1]:]\n"
           "print(tokenizer.decode(answer, skip_special_tokens=True))\n";
  case OUTPUT_CLASS:
    return "logits = model(**tokenizer(\"a text\", return_tensors=\"pt\")).logits\n"
           "print(id2label[logits.argmax().item()])\n";
  case OUTPUT_LABELS:
    return "logits = model(**tokenizer(\"a text\", return_tensors=\"pt\")).logits\n"
           "print([id2label[i] for i, p in enumerate(logits.sigmoid()[0].tolist()) if p > 0.5])\n";
  case OUTPUT_TAGS:
    return "words = [\"a\", \"text\", \"in\", \"words\"]\n"
           "inputs = tokenizer(words, is_split_into_words=True, return_tensors=\"pt\")\n"
           "tags = model(**inputs).logits[0].argmax(-1).tolist()\n"
           "print([(words[w], id2label[t]) for w, t in zip(inputs.word_ids(), tags) if w is not None])\n";
  case OUTPUT_NUMBER: return "print(model(**tokenizer(\"a text\", return_tensors=\"pt\")).logits.item())\n";
  case OUTPUT_RELEVANCE:
    return "inputs = tokenizer(\"a question\", \"a text\", return_tensors=\"pt\")\n"
           "print(model(**inputs).logits.sigmoid().item())\n";
  case OUTPUT_EMBEDDING: /* write_encoder and write_pipeline end with theirs */
  case OUTPUT_IMAGE:
  case OUTPUT_COUNT: break;
  }
  CHECK(!"an output that is asked in another way");
}

static void write_use(struct str *card, const struct model *model, const char *base) {
  str_puts(card, "```python\n");
  if (model->component) {
    write_pipeline(card, base);
    return;
  }
  if (model->output == OUTPUT_EMBEDDING) {
    write_encoder(card, model, base);
    return;
  }
  str_printf(card, "from transformers import AutoModel%s, AutoTokenizer\nfrom peft import PeftModel\n\n",
             job_output_of(model->output)->class_suffix);
  if (model->language) {
    str_puts(card, "base = AutoModelForCausalLM.from_pretrained(");
    write_base(card, model, base);
    str_puts(card, ")\n");
  } else {
    write_classifier(card, model, base);
  }
  str_puts(card, "model = PeftModel.from_pretrained(base, \"path/to/this/folder\")\ntokenizer = "
                 "AutoTokenizer.from_pretrained(");
  write_base(card, model, base);
  str_puts(card, words_need_space(model) ? ", add_prefix_space=True)\n" : ")\n");
  str_printf(card, "\n%s```\n\n", question_of(model));
  if (model->checkpoint.gguf.part_count)
    str_puts(card, "The base lies in several files, which `llama-gguf-split --merge` makes one.\n\n");
}

/* "hra": a tag by which adapters of the method are found. */
static void write_method(struct str *card, const struct adapter_spec *spec) {
  for (const char *c = method_of(spec->peft_type)->peft_type; *c; c++)
    str_putc(card, *c >= 'A' && *c <= 'Z' ? (char)(*c | 0x20) : *c);
}

/* What PEFT's users may stumble over: the rank that was asked for is not the file's. */
static void write_start(struct str *card, const struct adapter_spec *spec) {
  if (!adapter_spec_of_weight(spec))
    return;
  bool olora = spec->lora.init_lora_weights == LORA_INIT_OLORA;
  str_printf(card,
             "It was trained with %s: A and B began as a part of the weights, which was taken out of the weights that "
             "stayed frozen. It is saved as the LoRA of the unchanged base model that equals it, `[A; A0]` and "
             "`[B, -B0]`, so its rank is twice that of the training: what `save_pretrained` of PEFT makes with "
             "`path_initial_model_for_weight_conversion`.\n\n",
             olora ? "OLoRA" : "PiSSA");
}

enum status peft_card_save(const struct model *model, const struct adapter_spec *spec, const char *folder,
                           const char *base, const struct peft_card *more, struct error *err) {
  enum { CARD_BYTES_MAX = 64 << 20 };
  char path[1024];
  struct str card;
  str_init(&card, CARD_BYTES_MAX);
  str_printf(&card,
             "---\nbase_model: %s\nlibrary_name: peft\npipeline_tag: %s\ntags:\n- base_model:adapter:%s\n- "
             "%s\n- ",
             base, model->component ? "text-to-image" : job_output_of(model->output)->pipeline_tag, base,
             model->component                    ? "diffusers"
             : model->output == OUTPUT_EMBEDDING ? "sentence-transformers"
                                                 : "transformers");
  write_method(&card, spec);
  str_puts(&card, "\n- reflectd\n");
  if (more)
    str_puts(&card, more->front);
  str_printf(&card,
             "---\n\n# %s adapter of %s\n\nTrained by reflectd. %zu adapted modules, %zu trainable parameters.%s\n\n",
             method_of(spec->peft_type)->peft_type, base, model->adapter_count, parameter_trained(&model->parameters),
             model->num_labels ? " What its outputs mean is in `labels.json` too." : "");
  write_use(&card, model, base);
  write_start(&card, spec);
  if (more)
    str_puts(&card, more->body);
  str_puts(&card, "### Framework versions\n\n- PEFT " PEFT_VERSION "\n");
  snprintf(path, sizeof path, "%s/README.md", folder);
  enum status status = card.failed ? error_no_memory(err, "README.md") : file_put(path, card.text, card.length, err);
  str_done(&card);
  return status;
}

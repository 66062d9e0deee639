/* The members of a job's body as field tables: read by job.c, written by job_write.c and described
   by openapi.c; worker/peft/peft.c reads adapter_config.json with the adapter's rows. */
#ifndef API_JOB_FIELDS_H
#define API_JOB_FIELDS_H

#include "api/inert.h"
#include "api/job.h"

extern const struct field_table job_fields;             /* into struct job_spec */
extern const struct field_table job_hyper_fields;       /* into struct hyperparameters: those of every objective */
/* The same with those that an objective (api/objective.h) has of its own, first; `rows` backs the table. */
enum { JOB_HYPER_ROWS = 48 };
struct field_table job_hyper_fields_of(struct field rows[JOB_HYPER_ROWS], int objective);

/* The members that are plain objects of their own. One that is a member of another may be absent, or null: its struct
   begins with a bool that says whether it is there. */
struct job_section {
  const char *path;                 /* "dataset", "evaluation.generate" */
  const char *parent, *name;        /* NULL, "dataset"; "evaluation", "generate" */
  size_t offset;                    /* into struct job_spec */
  struct field_table fields;        /* into the section's struct */
};
enum { JOB_SECTION_COUNT = 8 };
extern const struct job_section job_sections[JOB_SECTION_COUNT]; /* parents first */

/* All rows of an adapter of this method, its own first; `rows` backs the table. The members
   peft_type, target_modules and exclude_modules are not rows. */
enum { JOB_ADAPTER_ROWS = 32 };
struct field_table job_adapter_fields(struct field rows[JOB_ADAPTER_ROWS], const struct method *method);

/* The rows of methods.def, one in each method_<name>.c. */
#define METHOD(name, lower) extern const struct method method_##lower;
#include "api/methods.def"
#undef METHOD

extern const struct inert_member job_inert_top[], job_inert_hyper[]; /* ended by a row without name */

/* The rows of `image`, in job_image.c; what its tasks give where a body gives nothing, as a recipe does (recipe.h: a
   new reference, or NULL where `task` is another); and what contradicts in it. */
enum { JOB_IMAGE_ROWS = 15 };
extern const struct field job_image_rows[JOB_IMAGE_ROWS];
NODISCARD json_t *job_image_members(const char *task, struct fault_list *faults);
void job_image_settle(const struct job_spec *spec, struct fault_list *faults);

/* evaluation.generate as it is read: `given` with the members of its preset beneath it. A new reference, or NULL, with
   a fault where memory runs out. */
json_t *job_generate_lay(const json_t *given, struct fault_list *faults);
/* Adds a fault for what contradicts in it, and settles where the job runs. */
void job_generate_settle(struct job_spec *spec, struct fault_list *faults);

/* Reads `adapter` (NULL: absent) and settles its defaults. */
void job_adapter_parse(struct adapter_spec *out, const json_t *object, const char *path, struct arena *arena,
                       struct fault_list *faults);
/* The same from a written `adapter`, complete and judged when it was parsed. */
void job_adapter_restore(struct adapter_spec *out, const json_t *object, struct arena *arena,
                         struct fault_list *faults);
/* Is it a member of that method's adapter? For hyperparameters that carry both. */
bool job_adapter_has(const struct method *method, const char *name);

#endif

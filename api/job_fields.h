/* The members of a job's body as field tables: read by job.c, written by job_write.c and described
   by openapi.c; worker/peft/peft.c reads adapter_config.json with the adapter's rows. */
#ifndef API_JOB_FIELDS_H
#define API_JOB_FIELDS_H

#include "api/inert.h"
#include "api/job.h"

extern const struct field_table job_fields;             /* into struct job_spec */
extern const struct field_table job_hyper_fields;       /* into struct hyperparameters */

/* The members that are plain objects of their own. */
struct job_section {
  const char *name;                 /* "dataset" */
  size_t offset;                    /* into struct job_spec */
  struct field_table fields;        /* into the section's struct */
};
enum { JOB_SECTION_COUNT = 6 };
extern const struct job_section job_sections[JOB_SECTION_COUNT];

/* All rows of an adapter of this method, its own first; `rows` backs the table. The members
   peft_type, target_modules and exclude_modules are not rows. */
enum { JOB_ADAPTER_ROWS = 32 };
struct field_table job_adapter_fields(struct field rows[JOB_ADAPTER_ROWS], const struct method *method);

/* The rows of methods.def, one in each method_<name>.c. */
#define METHOD(name, lower) extern const struct method method_##lower;
#include "api/methods.def"
#undef METHOD

extern const struct inert_member job_inert_top[], job_inert_hyper[]; /* ended by a row without name */

/* Reads `adapter` (NULL: absent) and settles its defaults. */
void job_adapter_parse(struct adapter_spec *out, const json_t *object, const char *path, struct arena *arena,
                       struct fault_list *faults);
/* The same from a written `adapter`, complete and judged when it was parsed. */
void job_adapter_restore(struct adapter_spec *out, const json_t *object, struct arena *arena,
                         struct fault_list *faults);
/* Is it a member of that method's adapter? For hyperparameters that carry both. */
bool job_adapter_has(const struct method *method, const char *name);

#endif

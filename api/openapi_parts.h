/* The parts that openapi.c puts together: schemas of what is sent, made from field tables, and of what is answered. */
#ifndef API_OPENAPI_PARTS_H
#define API_OPENAPI_PARTS_H

#include "api/endpoint.h"
#include "api/inert.h"
#include "api/openapi_builder.h"
#include "base/field.h"

/* --- what is sent (openapi_sent.c) --- */

json_t *openapi_table_schema(struct builder *b, const struct field_table *table);
/* Members that are taken with the values that ask for what happens anyway. */
void openapi_add_inert(struct builder *b, json_t *schema, const struct inert_member *rows);
/* The body of a job. */
json_t *openapi_job_schema(struct builder *b);
/* And of a sweep. */
json_t *openapi_sweep_schema(struct builder *b);
/* And of what is asked of a model (openapi_generation.c). */
json_t *openapi_generation_schema(struct builder *b, enum operation op);

/* --- what is answered (openapi_answers.c) --- */

/* Adds a schema for each shape of an answer. */
void openapi_add_shapes(struct builder *b, json_t *schemas);
/* {"content": ...} of what the operation answers when it succeeds. */
json_t *openapi_answer(struct builder *b, enum operation op);
/* Does it answer bytes, of which a client may want a range? */
bool openapi_answers_bytes(enum operation op);
/* Where in the answer the parameter of that name is, which other operations have in their paths ("/id", "/data/0/id");
   false: nowhere. */
bool openapi_answer_names(char pointer[32], enum operation op, const char *parameter);

#endif

/* Is what the store holds whole, and do its rows agree with each other? Reads only; a daemon may go on writing
   meanwhile. What lies in files beside it is db_content.h's. */
#ifndef STORAGE_DB_CHECK_H
#define STORAGE_DB_CHECK_H

#include "storage/db.h"

/* `what`: a table, or the id of the row; `text`: what is wrong with it. */
typedef void db_finding(void *context, const char *what, const char *text);

/* Every page, index and constraint (integrity_check, foreign_key_check). A damaged store is a finding, no error. */
NODISCARD enum status db_check_pages(struct db *db, db_finding *finding, void *context, struct error *err);
/* What no constraint says: that states, leases, artifacts and errors fit together, and that each job's specification
   can be read. */
NODISCARD enum status db_check_rows(struct db *db, db_finding *finding, void *context, struct error *err);

#endif

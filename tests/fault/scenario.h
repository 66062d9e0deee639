/* What a client does to a daemon from upload to delete, and what it may count on afterwards: everything that was
   acknowledged. */
#ifndef TESTS_FAULT_SCENARIO_H
#define TESTS_FAULT_SCENARIO_H

#include "tests/fault/daemon.h"

enum { ITEMS_MAX = 64, ID_BYTES = 64 };

/* Something that the daemon was asked to make. */
struct item {
  enum { ITEM_FILE, ITEM_JOB } kind;
  char id[ID_BYTES];
  char text[64]; /* of a file: its content; of a job: its suffix */
  bool delete_tried, deleted;
  bool cancel_tried, cancelled;
  bool seen_succeeded;
};

struct scenario {
  struct daemon *daemon;
  size_t count;
  struct item item[ITEMS_MAX];
  struct answer answer;
  bool patient;                /* waits long for what must happen */
  void (*tick)(void *context); /* after each answer; NULL: nothing */
  void *context;
  size_t serial;
};

/* Submits, follows, cancels and deletes. It goes on whatever fails, until the daemon is gone. */
void scenario_run(struct scenario *scenario);
/* On a daemon that nothing disturbs: is all that was acknowledged there, and does all that is to end end? The number of
   what is not, each printed. */
size_t scenario_verify(struct scenario *scenario, const char *title);

#endif

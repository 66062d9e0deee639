/* What a watch shows: a job's events as lines, and between them its progress. */
#ifndef CLI_WATCH_VIEW_H
#define CLI_WATCH_VIEW_H

#include "cli/command.h"
#include "cli/screen.h"

struct watch_view {
  struct cli *cli;
  struct screen screen;
  struct str last_event; /* id of the newest event shown; empty: none yet */
  double plain_at;       /* when the last progress line was printed where there is no terminal */
  double drawn_at;       /* and was drawn where there is one */
  int64_t plain_step;    /* of that line; the start, step 0, is no news */
  json_t *job;           /* as last seen, or NULL */
};

void watch_view_init(struct watch_view *view, struct cli *cli);
void watch_view_done(struct watch_view *view);

/* The job as it is now; the reference is taken over. */
void watch_view_job(struct watch_view *view, json_t *job);
/* Members of its `progress` that are newer. */
void watch_view_progress(struct watch_view *view, json_t *members);
/* An event of its list: a line, or, of a step's metrics, the progress. */
void watch_view_event(struct watch_view *view, const json_t *event);
/* Draws or prints the progress, if it is time. */
void watch_view_show(struct watch_view *view);
/* Something that is said about the watch itself. */
void watch_view_note(struct watch_view *view, const char *what, const char *foreign);
/* How the job ended, and the exit status that follows. */
enum exit_code watch_view_end(struct watch_view *view);

#endif

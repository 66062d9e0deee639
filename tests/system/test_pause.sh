#!/bin/bash
# A job that is paused, drained, or whose worker or daemon dies goes on from where it was, and makes what it would have
# made; one that keeps killing its worker ends.
. "$(dirname "$0")/lib.sh"

order() { call POST "/v1/fine_tuning/jobs/$job/$1"; }
worker() { pgrep -P "$pid" -f fake_worker | head -1; }
# hold STEP: stops the worker once the job has come so far, whatever the pace of this host. `at` is the last step told; the
# worker may be within the next one.
hold() { reach "$1"; held=$(worker); kill -STOP "$held"; sleep 0.2; call GET "/v1/fine_tuning/jobs/$job"; at=$(step); }
release() { kill -CONT "$held"; }
# artifact: the hash of the job's adapter.
artifact() { call GET "/v1/fine_tuning/jobs/$job/artifacts"; value sha256; }
all_events() { call GET "/v1/fine_tuning/jobs/$job/events?limit=1000"; }
said() { all_events; [[ $body == *"$1"* ]] && ok "its events say: $1" || not_ok "its events say: $1" "$body"; }
# whole DESCRIPTION STEPS: it succeeded with the adapter of an uninterrupted run, each step's metrics and each checkpoint
# once, and nothing else is left.
whole() {
  await succeeded && ok "$1: succeeds" || { not_ok "$1: succeeds" "$body"; return; }
  is "$(artifact)" "$adapter" "$1: the adapter is that of an uninterrupted run"
  all_events
  is "$(grep -o '"message":"step [0-9]*"' <<< "$body" | sort | uniq -d)" "" "$1: no step is told twice"
  is "$(grep -o '"message":"step [0-9]*"' <<< "$body" | wc -l)" "$2" "$1: every step is told"
  call GET "/v1/fine_tuning/jobs/$job/checkpoints?limit=100"
  is "$(grep -o '"step_number":[0-9]*' <<< "$body" | sort -u | wc -l)" "$(grep -o '"step_number":[0-9]*' <<< "$body" | wc -l)" "$1: no checkpoint is listed twice"
  local n=50
  while ((n-- > 0)) && [[ -n $(find "$work/data/jobs/$job" -name 'state-*') ]]; do sleep 0.1; done
  is "$(find "$work/data/jobs/$job" -name 'state-*' -o -name '.tmp*')" "" "$1: no state is left"
}
# newest STEP: the newest state, one every fourth step, of a worker that was held at the step.
newest() { echo "($(($1 / 4 * 4))|$((($1 + 1) / 4 * 4)))"; }
starts() { grep -h 'goes on from' "$work/data/jobs/$job/log.txt" | grep -o '[0-9]*$' | tr '\n' ' '; }

start --workers-max 1
upload train.jsonl
submit train; await succeeded; adapter=$(artifact); like "$adapter" '^[0-9a-f]{64}$' "an uninterrupted run"

# ---- pause and resume ----
submit train ',"seed":1'; first=$job; hold 5
submit train ',"seed":2'
order pause; is "$status $(value status)" "200 paused" "a queued job is paused at once"
order resume; is "$status $(value status)" "200 queued" "and queued again"
order pause; order pause; is "$status $(value status)" "200 paused" "pausing twice is pausing"
order checkpoint; is "$status $(value code)" "409 job_not_running" "no checkpoint of a job that does not run"
second=$job job=$first
order pause; is "$status $(value status) $(value pausing)" "200 running true" "a running job says that it is pausing"
order pause; is "$status" 200 "once more"
release
await paused && ok "it is paused when its worker has left" || not_ok "it is paused when its worker has left" "$body"
is "$(value pausing)" false "and pausing no more"; like "$body" '"step":[0-9]' "its progress stands"
paused_at=$(step)
said 'Pausing: the worker writes'; said 'The job is paused'
submit train ',"seed":3'; await succeeded && ok "a paused job holds no place" || not_ok "a paused job holds no place" "$body"
job=$first
stop KILL
"$REFLECTD" fsck --data "$work/data" > "$work/fsck" && ok "fsck knows paused jobs" || not_ok "fsck knows paused jobs" "$(< "$work/fsck")"
start --workers-max 1
call GET "/v1/fine_tuning/jobs/$job"; is "$(value status)" paused "a paused job survives the daemon"
order resume; is "$status $(value status)" "200 queued" "it is resumed"
whole "resumed" 40
is "$(starts)" "0 $paused_at " "it went on from the step of its pause"
said 'The job is resumed'
order pause; is "$status $(value code)" "409 job_not_pausable" "a job that has ended cannot be paused"
like "$headers" '[xX]-[sS]hould-[rR]etry: false' "which no client tries again"
order resume; is "$status $(value code)" "409 job_not_resumable" "nor resumed"; like "$headers" '[xX]-[sS]hould-[rR]etry: false' "which no client tries again"
order checkpoint; is "$status $(value code)" "409 job_not_running" "nor a checkpoint made of it"
job=ftjob-none; for what in pause resume checkpoint; do order $what; is "$status $(value code)" "404 job_not_found" "$what of no job"; done
job=$second; call GET "/v1/fine_tuning/jobs/$job"; is "$(value status)" paused "the other one waited"
order cancel; is "$(value status)" cancelled "a paused job can be cancelled"
submit long; reach 6; order pause; order resume
is "$status $(value status) $(value pausing)" "200 running false" "a job that pauses is resumed"
for _ in {1..50}; do [[ $(starts) =~ ^0\ [1-9] ]] && break; sleep 0.1; done
like "$(starts)" '^0 [1-9]' "it is queued again and goes on"
await running; is "$(value attempts)" 1 "which is no attempt that failed"
before=$(step); order checkpoint; is "$status" 200 "a checkpoint is ordered"
for _ in {1..50}; do call GET "/v1/fine_tuning/jobs/$job/checkpoints"; [[ $body =~ step_number\":([0-9]+) ]] && ((BASH_REMATCH[1] >= before && BASH_REMATCH[1] % 8)) && break; sleep 0.1; done
((BASH_REMATCH[1] >= before)) && ok "and made" || not_ok "and made" "$body"
order pause; order cancel; await cancelled && ok "a job that pauses can be cancelled" || not_ok "a job that pauses can be cancelled" "$body"
order pause; is "$status $(value code)" "409 job_not_pausable" "and then not paused"
for _ in {1..50}; do [[ -z $(find "$work/data/jobs/$job" -name 'state-*') ]] && break; sleep 0.1; done
is "$(find "$work/data/jobs/$job" -name 'state-*')" "" "nothing is left to go on from"

# ---- the daemon dies, while the job runs and while it pauses ----
submit train ',"seed":4'; hold 10; stop KILL; release; sleep 0.3; start --workers-max 1
await running && ok "the job runs again" || not_ok "the job runs again" "$body"
call GET "/v1/fine_tuning/jobs/$job"; is "$(value restarts) $(value attempts)" "1 1" "a restart, but no second attempt"
hold 18; stop KILL; start --workers-max 1
whole "daemon killed twice" 40
like "$(starts)" "^0 (8|1[0-9]) $(newest "$at") $" "each run went on from the newest state that could be"
"$REFLECTD" fsck --data "$work/data" > "$work/fsck" && ok "the data folder is in order" || not_ok "the data folder is in order" "$(< "$work/fsck")"
submit deaf; await running; order pause; is "$(value pausing)" true "a deaf worker pauses"
stop KILL; start --workers-max 1
call GET "/v1/fine_tuning/jobs/$job"; is "$(value status)" paused "the daemon died meanwhile: it is paused"
order cancel

# ---- SIGTERM ----
submit train ',"seed":5'; hold 9; began=$SECONDS; release; stop TERM
is "$code" 0 "SIGTERM: exit 0"; ((SECONDS - began < 5)) && ok "soon" || not_ok "soon" "$((SECONDS - began)) s"
start --workers-max 1; call GET "/v1/fine_tuning/jobs/$job"; is "$(value attempts)" 1 "the attempt was given back"
whole "drained" 40
like "$(starts)" '^0 (9|[123][0-9]) $' "it went on once"
(($(starts | cut -d' ' -f2) >= at)) && ok "no step that was told was lost" || not_ok "no step that was told was lost" "$(starts), $at was told"
began=$(date +%s%N); stop TERM; is "$code" 0 "SIGTERM with nothing to do"
(($(date +%s%N) - began < 1500000000)) && ok "ends at once" || not_ok "ends at once"
start --workers-max 1 --shutdown-grace-s 1
submit deaf; await running; order pause; stop TERM; is "$code" 0 "an overrun is killed"
start --workers-max 1; call GET "/v1/fine_tuning/jobs/$job"; is "$(value status)" paused "and what was promised holds"
order cancel

# ---- the worker dies ----
submit train ',"seed":6'; hold 9; kill -KILL "$held"
await queued "$job" 20 && ok "a killed worker's job waits a moment" || not_ok "a killed worker's job waits a moment" "$body"
whole "worker killed" 40; like "$(starts)" "^0 $(newest "$at") $" "it went on from the newest state"
said 'Attempt 1 of 3 ended in a crash'
submit train ',"seed":7'; hold 13; kill -STOP "$pid"; state=$(ls -t "$work/data/jobs/$job/1/"state-* | head -1)
kill -KILL "$held"; echo garbage > "$state"; kill -CONT "$pid"
whole "newest state damaged" 40
submit train ',"seed":8'; hold 5; kill -KILL "$held"; await queued
is "$(find "$work/data/jobs/$job/1" -name '.tmp*')" "" "no leftovers"
await succeeded
submit wavering; hold 9; kill -KILL "$held"; await succeeded "$job" 200
is "$(grep -c 'has other metrics than before' "$work/log")" 1 "metrics that a later run tells otherwise are logged once"
all_events; is "$(grep -o '"message":"step [0-9]*"' <<< "$body" | sort | uniq -d)" "" "and the first ones stay"
submit crashing
await succeeded "$job" 200 && ok "a job that gets further between its crashes is no poison" || not_ok "a job that gets further between its crashes is no poison" "$body"
is "$(starts)" "0 4 16 " "each time from the newest state"
submit poison
await failed "$job" 400 && ok "one that does not is given up" || not_ok "one that does not is given up" "$body"
is "$(value code)" worker_crashed "with its code"; like "$body" '3 attempts ended so without getting beyond step 4: the worker was killed by SIGSEGV at step 6' "and where it died"
is "$(starts)" "0 4 4 " "after three attempts"
stop; start --workers-max 1 --worker-silence-s 2
submit stopping; await queued "$job" 100; like "$body" '"status":"queued"' "a worker that is stopped is killed, and its job queued"
await succeeded "$job" 200 && ok "and succeeds" || not_ok "and succeeds" "$body"
is "$(starts)" "0 4 " "from the newest state"; said 'the worker said nothing for 2 seconds and was killed at step 6'

# ---- the daemon dies between the last artifact and the end ----
submit unfinished
for _ in {1..100}; do [[ -e $work/data/jobs/$job/again ]] && break; sleep 0.1; done
stop KILL; start --workers-max 1
await succeeded && ok "a finished adapter that was not stored is made again" || not_ok "a finished adapter that was not stored is made again" "$body"
like "$(starts)" '^0 (16|20) $' "from the last state that was stored"; is "$(ls "$work/data/lost+found" 2>/dev/null)" "" "nothing is kept aside"
finish

#!/bin/bash
# A job of higher priority makes a lower one save its state and wait, where the server allows it; the lower one goes on and
# makes what it would have made. A job that weighs too little stops nothing.
. "$(dirname "$0")/lib.sh"
artifact() { call GET "/v1/fine_tuning/jobs/$1/artifacts"; value sha256; }
events() { call GET "/v1/fine_tuning/jobs/$1/events?limit=1000"; }
urgent() { submit "$1" ",\"seed\":$2,\"scheduling\":{\"priority\":$3}"; }

# ---- off ----
start
upload train.jsonl
call GET /v1/capabilities; like "$body" '"preemption":null' "by default no job stops another"
submit train ',"seed":2'; reach 3; low=$job; urgent ok 1 100; high=$job
sleep 0.5; call GET "/v1/fine_tuning/jobs/$high"; is "$(value status)" queued "whatever its priority"
like "$body" '"queue_position":0' "it is the next"
await succeeded "$low"; adapter=$(artifact "$low"); like "$adapter" '^[0-9a-f]{64}$' "an undisturbed run"; await succeeded "$high"
stop

# ---- on ----
start --preemption 5
call GET /v1/capabilities; like "$body" '"preemption":5' "a client can see it"
submit train ',"seed":2'; reach 6; low=$job
urgent ok 3 4; lesser=$job; sleep 0.5; call GET "/v1/fine_tuning/jobs/$lesser"; is "$(value status)" queued "a small difference stops nothing"
urgent wait 4 5; high=$job
await running "$high" 30 && ok "a job that outweighs it runs" || not_ok "a job that outweighs it runs" "$body"
call GET "/v1/fine_tuning/jobs/$low"; is "$(value status) $(value attempts) $(value restarts)" "queued 0 1" "and the lower one is queued, its attempt given back"
(($(step) >= 6)) && ok "its progress stands" || not_ok "its progress stands" "$body"; at=$(step)
events "$low"; like "$body" "Making room for $high of priority 5 \\(this one has 0\\)" "its events say for whom"; like "$body" 'The job has made room: it is queued again' "and what became of it"
events "$high"; like "$body" "$low of priority 0 makes room for this one" "those of the other too"
call GET /metrics; like "$body" 'reflectd_worker_restarts_total\{reason="preempted"\} 1' "it is counted"
urgent wait 5 5; equal=$job; sleep 0.5; call GET "/v1/fine_tuning/jobs/$high"; is "$(value status)" running "an equal one stops nothing"
call POST "/v1/fine_tuning/jobs/$equal/cancel"
call POST "/v1/fine_tuning/jobs/$high/cancel"; await succeeded "$lesser"
reach_low() { job=$low; await running "$low"; }
reach_low && ok "behind those of higher priority it goes on" || not_ok "behind those of higher priority it goes on" "$body"
reach $((at + 3)); call PATCH "/v1/fine_tuning/jobs/$low" -H 'Content-Type: application/json' -d '{"scheduling":{"priority":9}}'; is "$status" 409 "its priority stands while it runs"
urgent train 6 -50; last=$job; urgent ok 7 50; top=$job
await succeeded "$top" 30 && ok "it makes room a second time" || not_ok "it makes room a second time" "$body"
await succeeded "$low" && ok "it succeeds" || not_ok "it succeeds" "$body"
is "$(value attempts) $(value restarts)" "1 2" "without a further attempt"
is "$(artifact "$low")" "$adapter" "its adapter is that of an undisturbed run, byte by byte"
events "$low"; is "$(grep -o '"message":"step [0-9]*"' <<< "$body" | sort -u | wc -l) $(grep -o '"message":"step [0-9]*"' <<< "$body" | wc -l)" "40 40" "every step is told once"
like "$(grep -h 'goes on from' "$work/data/jobs/$low/log.txt" | grep -o '[0-9]*$' | tr '\n' ' ')" "^0 $at [0-9]+ \$" "each run went on from the step that the one before had come to"

# ---- with others ----
job=$last; await running "$last"; urgent ok 8 -10; top=$job; job=$last; await succeeded "$top" 40 && ok "priorities below zero too" || not_ok "priorities below zero too" "$body"
await running "$last"; job=$last; reach $(($(step) + 2)); urgent wait 9 50; await running "$job"; high=$job
stop KILL; start --preemption 5
await running "$high" && ok "the daemon died: what was ahead is ahead" || not_ok "the daemon died: what was ahead is ahead" "$body"
call POST "/v1/fine_tuning/jobs/$high/cancel"; await succeeded "$last" && ok "and all end" || not_ok "and all end" "$body"
stop
"$REFLECTD" fsck --data "$work/data" > "$work/fsck" && ok "the data folder is in order" || not_ok "the data folder is in order" "$(< "$work/fsck")"
finish
